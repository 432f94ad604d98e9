"""steering.v1.AdminService: list, validate, preview and reload policies, and say how the server stands.

Everything that takes time runs on a thread of its own (one, whatever is asked), so that Recommend keeps the event loop;
a preview gives way after every user, and ends when its caller leaves.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import faiss

from bundle import __version__
from bundle.errors import TillerError
from protos.steering.v1 import admin_pb2 as pb
from protos.steering.v1.admin_pb2_grpc import AdminServiceServicer
from server.errors import InvalidRequest, PolicyError
from server.policy import PolicySet, compile_files
from server.preview import MOST_USERS, Sample, compare
from server.reload import Served, Swap
from server.rpc.calls import Calls, unary
from server.rpc.custom import CustomConcepts
from server.rpc.policy_messages import fault_messages, policy_message, preview_message, warning_messages
from server.steer import Engine

NAME = "steering.v1.AdminService"

USERS, K = 200, 10
CANDIDATE = "policies"
"""What refusals call the files of a request."""

_T = TypeVar("_T")


class AdminService(AdminServiceServicer):
    """Speaks for ``served``; ``calls`` is told about every call."""

    def __init__(self, served: Served, calls: Calls) -> None:
        self._served = served
        self._calls = calls
        self._started = time.time()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="admin", initializer=faiss.omp_set_num_threads,
                                          initargs=(1,))  # fmt: skip
        self._leaving = threading.Event()
        self._customs = CustomConcepts(served, self._on_thread)

    def close(self) -> None:
        """End what runs on the thread, and drop what waits for it."""
        self._leaving.set()
        self._worker.shutdown(wait=True, cancel_futures=True)

    @unary("GetStatus")
    async def GetStatus(self, request: pb.GetStatusRequest, request_id: str) -> pb.GetStatusResponse:  # noqa: ARG002
        """What is served, since when, and whether the policy folder is in force."""
        engine, status, bundle = self._served.current(), self._served.status, self._served.bundle_status
        manifest = engine.catalogue.bundle.manifest
        return pb.GetStatusResponse(
            bundle_id=engine.bundle_id,
            bundle_name=manifest.name,
            items=manifest.dims.items,
            concepts=manifest.dims.concepts,
            policy_revision=engine.policy_revision,
            policy_folder=status.folder or "",
            policies=len(_policies(engine).policies),
            started_at=self._started,
            policies_loaded_at=status.loaded_at,
            policies_checked_at=status.checked_at,
            reloads=status.loads,
            refusals=status.refusals,
            stale=status.error is not None,
            error=_sentence(status.error),
            faults=fault_messages(status.error),
            pid=os.getpid(),
            version=__version__,
            bundle_folder=bundle.folder,
            bundle_loaded_at=bundle.loaded_at,
            bundle_swaps=bundle.swaps,
            bundle_refusals=bundle.refusals,
            previous_bundle_id=bundle.previous,
            bundle_error=_sentence(bundle.error),
        )

    @unary("ListPolicies")
    async def ListPolicies(self, request: pb.ListPoliciesRequest, request_id: str) -> pb.ListPoliciesResponse:  # noqa: ARG002
        """The policies in force, in file order."""
        engine = self._served.current()
        return await self._on_thread(_list, engine)

    @unary("ValidatePolicies")
    async def ValidatePolicies(
        self, request: pb.ValidatePoliciesRequest, request_id: str  # noqa: ARG002
    ) -> pb.ValidatePoliciesResponse:  # fmt: skip
        """Would these files be taken by this server?"""
        return await self._on_thread(_validate, self._served.current(), _sources(request.files))

    @unary("PreviewPolicies")
    async def PreviewPolicies(self, request: pb.PreviewPoliciesRequest, request_id: str) -> pb.PreviewPoliciesResponse:  # noqa: ARG002
        """Who would see what differently under these files."""
        sample = _sample(request)
        left = threading.Event()
        try:
            return await self._on_thread(self._preview, self._served.current(), _sources(request.files), sample, left)
        except asyncio.CancelledError:
            left.set()
            raise

    @unary("ReloadPolicies")
    async def ReloadPolicies(self, request: pb.ReloadPoliciesRequest, request_id: str) -> pb.ReloadPoliciesResponse:  # noqa: ARG002
        """Read the policy folder again, now; a refusal is an answer."""
        result = await self._served.reload("admin")
        return pb.ReloadPoliciesResponse(
            outcome=result.outcome,
            policy_revision=result.revision,
            error=_sentence(result.error),
            faults=fault_messages(result.error),
        )

    @unary("LoadBundle")
    async def LoadBundle(self, request: pb.LoadBundleRequest, request_id: str) -> pb.LoadBundleResponse:  # noqa: ARG002
        """Serve another bundle; a refusal is an answer, a path out of the root is an error."""
        done = await self._served.use(request.path, accept_losses=request.accept_losses)
        return pb.LoadBundleResponse(**self._told(done))

    @unary("RollbackBundle")
    async def RollbackBundle(self, request: pb.RollbackBundleRequest, request_id: str) -> pb.RollbackBundleResponse:  # noqa: ARG002
        """Serve the previous bundle again; a refusal is an answer."""
        done = await self._served.rollback(accept_losses=request.accept_losses)
        return pb.RollbackBundleResponse(**self._told(done))

    def _told(self, done: Swap) -> dict[str, Any]:
        return {
            "outcome": done.outcome,
            "bundle_id": done.bundle_id,
            "previous_bundle_id": self._served.bundle_status.previous,
            "error": _sentence(done.error),
            "seconds": done.seconds,
        }

    @unary("ListCustomConcepts")
    async def ListCustomConcepts(
        self, request: pb.ListCustomConceptsRequest, request_id: str  # noqa: ARG002
    ) -> pb.ListCustomConceptsResponse:  # fmt: skip
        """The concepts of one's own that are in force."""
        return self._customs.list()

    @unary("SaveConcept")
    async def SaveConcept(self, request: pb.SaveConceptRequest, request_id: str) -> pb.SaveConceptResponse:  # noqa: ARG002
        """Write a concept of one's own into the policy folder, and bring it into force."""
        return await self._customs.save(request.concept)

    @unary("DeleteConcept")
    async def DeleteConcept(self, request: pb.DeleteConceptRequest, request_id: str) -> pb.DeleteConceptResponse:  # noqa: ARG002
        """Take one out of the policy folder."""
        return await self._customs.delete(request.id)

    def _preview(
        self, engine: Engine, files: Mapping[str, bytes], sample: Sample, left: threading.Event
    ) -> pb.PreviewPoliciesResponse:
        candidate = replace(engine, policies=compile_files(files, CANDIDATE))

        def step(done: int, total: int) -> bool:  # noqa: ARG001
            time.sleep(0)  # lets the event loop have the interpreter
            return not (left.is_set() or self._leaving.is_set())

        return preview_message(compare(engine, candidate, sample, step))

    async def _on_thread(self, ask: Callable[..., _T], *arguments: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, ask, *arguments)


def _sentence(error: TillerError | None) -> str:
    return "" if error is None else str(error)


def _policies(engine: Engine) -> PolicySet:
    return engine.policies or PolicySet()


def _sources(files: Sequence[pb.PolicySource]) -> dict[str, bytes]:
    """File name -> content.

    Raises:
        InvalidRequest: a name is empty, or given twice.
    """
    found: dict[str, bytes] = {}
    for place, file in enumerate(files):
        if not file.name or file.name in found:
            raise InvalidRequest(
                f"files[{place}].name", field=f"files[{place}].name", found=repr(file.name), expected="each name once"
            )
        found[file.name] = file.content
    return found


def _sample(request: pb.PreviewPoliciesRequest) -> Sample:
    if request.users > MOST_USERS:
        raise InvalidRequest("users", field="users", found=request.users, expected=f"0 (for {USERS}) to {MOST_USERS}")
    return Sample(
        users=request.users or USERS,
        user_ids=tuple(request.user_ids),
        seed=request.seed,
        k=request.k or K,
        attributes=dict(request.attributes.values) if request.HasField("attributes") else None,
        at=request.at or None,
    )


def _list(engine: Engine) -> pb.ListPoliciesResponse:
    now, policies = time.time(), _policies(engine)
    return pb.ListPoliciesResponse(
        policies=[policy_message(policy, now) for policy in policies.policies],
        policy_revision=engine.policy_revision,
        warnings=warning_messages(engine, policies),
    )


def _validate(engine: Engine, files: Mapping[str, bytes]) -> pb.ValidatePoliciesResponse:
    try:
        policies = compile_files(files, CANDIDATE)
    except PolicyError as error:
        return pb.ValidatePoliciesResponse(valid=False, faults=fault_messages(error))
    return pb.ValidatePoliciesResponse(
        valid=True,
        revision=policies.revision,
        policies=len(policies.policies),
        warnings=warning_messages(engine, policies),
    )
