"""A synchronous client of the admin service: what `tiller policy` asks a running server.

Answers are the messages of protos/steering/v1/admin.proto as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, TypeVar

import grpc

from client.errors import from_rpc_error
from client.security import Security
from protos.steering.v1 import admin_pb2 as pb
from protos.steering.v1 import concepts_pb2
from protos.steering.v1.admin_pb2_grpc import AdminServiceStub

MAX_MESSAGE_BYTES = 64 << 20

_T = TypeVar("_T")


class TillerAdmin:
    """Asks the admin service of one server; close it, or use it in a ``with`` block.

    Args:
        target: "HOST:PORT" of the server's --admin-port.
        timeout: seconds a call may take; a preview has its own.
        security: token and certificates; None: what the environment says.

    Raises:
        SecurityRefused: a file of ``security`` cannot be read.
    """

    def __init__(self, target: str, *, timeout: float = 10.0, security: Security | None = None) -> None:
        self.target = target
        self.timeout = timeout
        options = [
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ]
        self._channel = (security or Security.from_environment()).channel(target, options)
        self._stub = AdminServiceStub(self._channel)

    def status(self) -> pb.GetStatusResponse:
        """What is served, since when, and whether what lies in the policy folder is in force."""
        return self._call(self._stub.GetStatus, pb.GetStatusRequest())

    def policies(self) -> pb.ListPoliciesResponse:
        """The policies in force."""
        return self._call(self._stub.ListPolicies, pb.ListPoliciesRequest())

    def validate(self, files: Mapping[str, bytes]) -> pb.ValidatePoliciesResponse:
        """Would these files (name -> content) be taken?"""
        return self._call(self._stub.ValidatePolicies, pb.ValidatePoliciesRequest(files=_sources(files)))

    def preview(
        self,
        files: Mapping[str, bytes],
        *,
        users: int = 0,
        user_ids: Iterable[str] = (),
        seed: int = 0,
        k: int = 0,
        attributes: Mapping[str, str] | None = None,
        at: float = 0.0,
        timeout: float = 300.0,
    ) -> pb.PreviewPoliciesResponse:
        """Who would see what differently under these files than under the policies in force; 0: the server's choice."""
        request = pb.PreviewPoliciesRequest(
            files=_sources(files), users=users, user_ids=user_ids, seed=seed, k=k, at=at,
            attributes=None if attributes is None else pb.Attributes(values=attributes),
        )  # fmt: skip
        return self._call(self._stub.PreviewPolicies, request, timeout)

    def reload(self) -> pb.ReloadPoliciesResponse:
        """Have the server read its policy folder again, now; a refusal is an answer."""
        return self._call(self._stub.ReloadPolicies, pb.ReloadPoliciesRequest(), 60.0)

    def use_bundle(self, path: str, *, accept_losses: bool = False, timeout: float = 600.0) -> pb.LoadBundleResponse:
        """Have the server serve another bundle, below its --bundles-root; a refusal is an answer."""
        request = pb.LoadBundleRequest(path=path, accept_losses=accept_losses)
        return self._call(self._stub.LoadBundle, request, timeout)

    def rollback_bundle(self, *, accept_losses: bool = False) -> pb.RollbackBundleResponse:
        """Have the server serve the bundle before the present one again; a refusal is an answer."""
        return self._call(self._stub.RollbackBundle, pb.RollbackBundleRequest(accept_losses=accept_losses), 60.0)

    def custom_concepts(self) -> pb.ListCustomConceptsResponse:
        """The concepts of the policy folder that are in force."""
        return self._call(self._stub.ListCustomConcepts, pb.ListCustomConceptsRequest())

    def save_concept(
        self,
        concept_id: str,
        *,
        concepts: Mapping[str, float] | None = None,
        like: Iterable[str] = (),
        unlike: Iterable[str] = (),
        items: Iterable[str] = (),
        display_name: str = "",
        description: str = "",
    ) -> pb.SaveConceptResponse:
        """Write a concept (``custom:NAME``) into the policy folder and bring it into force; made in one of the ways."""
        message = concepts_pb2.CustomConcept(
            id=concept_id, display_name=display_name, description=description, concepts=concepts, like=like,
            unlike=unlike, items=items,
        )  # fmt: skip
        return self._call(self._stub.SaveConcept, pb.SaveConceptRequest(concept=message), 60.0)

    def delete_concept(self, concept_id: str) -> pb.DeleteConceptResponse:
        """Take one out of the policy folder; refused while a policy names it."""
        return self._call(self._stub.DeleteConcept, pb.DeleteConceptRequest(id=concept_id), 60.0)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def __enter__(self) -> TillerAdmin:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, method: Callable[..., _T], request: Any, timeout: float | None = None) -> _T:
        """One call.

        Raises:
            TillerRpcError: the server refused, or did not answer.
        """
        try:
            return method(request, timeout=timeout or self.timeout)
        except grpc.RpcError as error:
            raise from_rpc_error(error, self.target) from error


def _sources(files: Mapping[str, bytes]) -> list[pb.PolicySource]:
    return [pb.PolicySource(name=name, content=content) for name, content in files.items()]
