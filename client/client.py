"""A synchronous client: one channel, a deadline on every call, retries only where they are safe."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Literal, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from client.answers import Concept, Recommendation
from client.convert import make_request, to_concept, to_recommendation
from client.errors import TillerRpcError, from_batch_error, from_rpc_error
from client.rules import Rule
from client.security import Security
from protos.steering.v1 import concepts_pb2, recommend_pb2
from protos.steering.v1.concepts_pb2_grpc import ConceptServiceStub
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub

RECOMMEND = "steering.v1.RecommendService"
CONCEPTS = "steering.v1.ConceptService"

ATTEMPTS = 4
"""Of one call, the first included, within its deadline."""

RECONNECT_MS = 50
"""Before a connection that was lost is tried again; the attempts of a call are spread over ten times as long."""

PAGE = 1000
POLL_SECONDS = 0.05
MAX_MESSAGE_BYTES = 64 << 20

_T = TypeVar("_T")


class TillerClient:
    """Asks one Tiller server. Safe to share between threads; close it, or use it in a ``with`` block.

    Every call changes nothing on the server, so a call that no server took (UNAVAILABLE) is repeated with growing
    pauses, within its deadline. A refusal, a deadline and RESOURCE_EXHAUSTED are never repeated: more calls would make
    an overload worse.

    Args:
        target: "HOST:PORT".
        timeout: seconds a call may take, retries included; each method's own ``timeout`` overrides it.
        credentials: for TLS, made by the caller; None: what ``security`` says.
        security: token and certificates; None: what the environment says (``Security.from_environment``).

    Raises:
        SecurityRefused: a file of ``security`` cannot be read.
    """

    def __init__(
        self,
        target: str = "127.0.0.1:50051",
        *,
        timeout: float = 5.0,
        credentials: grpc.ChannelCredentials | None = None,
        security: Security | None = None,
    ) -> None:
        self.target = target
        self.timeout = timeout
        options = [
            ("grpc.service_config", json.dumps(_service_config())),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            # gRPC's second would outlast every attempt: a worker that dies may take a fresh connection with it.
            ("grpc.initial_reconnect_backoff_ms", RECONNECT_MS),
        ]
        self._channel = (security or Security.from_environment()).channel(target, options, credentials)
        self._recommend = RecommendServiceStub(self._channel)
        self._concepts = ConceptServiceStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)

    def recommend(
        self,
        *,
        user_id: str | None = None,
        embedding: Iterable[float] | None = None,
        history: Iterable[str] | None = None,
        k: int = 10,
        rules: Iterable[Rule] = (),
        exclude: Iterable[str] = (),
        exclude_history: bool = False,
        attributes: Mapping[str, str] | None = None,
        ignore_policies: bool = False,
        explain: bool = False,
        baseline: bool = False,
        order: Literal["steered", "base"] | None = None,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Recommendation:
        """One user's top ``k``, steered; exactly one of ``user_id``, ``embedding`` and ``history``.

        ``history``: item ids, the newest last, for a bundle with a user tower; its items may come back unless
        ``exclude_history``. ``order``: by steered score (None), or the same items as the recommender alone would.

        Raises:
            ValueError: more than one of the three, or a number that the message cannot carry.
            TillerRpcError: the server refused, or did not answer.
        """
        request = make_request(
            user_id=user_id, embedding=embedding, history=history, k=k, rules=rules, exclude=exclude,
            exclude_history=exclude_history, attributes=attributes, ignore_policies=ignore_policies, explain=explain,
            baseline=baseline, order=order, request_id=request_id,
        )  # fmt: skip
        return to_recommendation(self._call(self._recommend.Recommend, request, timeout), baseline=baseline)

    def recommend_batch(
        self, requests: Iterable[Mapping[str, Any]], *, request_id: str = "", timeout: float | None = None
    ) -> list[Recommendation | TillerRpcError]:
        """Many lists from one bundle and policy revision; ``requests``: the arguments of ``recommend``, each.

        What a single call would raise stands in the place of its answer.

        Raises:
            ValueError: as ``recommend`` does.
            TillerRpcError: the whole batch was refused, or the server did not answer.
        """
        asked = [make_request(**arguments) for arguments in requests]
        message = recommend_pb2.RecommendBatchRequest(requests=asked, request_id=request_id)
        answer = self._call(self._recommend.RecommendBatch, message, timeout)
        return [
            to_recommendation(result.response, baseline=request.include_baseline)
            if result.HasField("response")
            else from_batch_error(result.error)
            for request, result in zip(asked, answer.results, strict=True)
        ]

    def concepts(
        self, *, family: str = "", query: str = "", include_not_offered: bool = False, timeout: float | None = None
    ) -> tuple[Concept, ...]:
        """Every concept of a family ("": all but the latents) that matches the words; all pages of it.

        Raises:
            TillerRpcError: the server refused, or did not answer.
        """
        request = concepts_pb2.ListConceptsRequest(
            family=family, query=query, include_not_offered=include_not_offered, page_size=PAGE
        )
        found: list[Concept] = []
        while True:
            page = self._call(self._concepts.ListConcepts, request, timeout)
            found += map(to_concept, page.concepts)
            if not page.next_page_token:
                return tuple(found)
            request.page_token = page.next_page_token

    def concept(self, concept: str, *, top_items: int = 10, timeout: float | None = None) -> Concept:
        """One concept or latent, with its strongest items.

        Raises:
            TillerRpcError: NOT_FOUND with the nearest names, or the server did not answer.
        """
        request = concepts_pb2.GetConceptRequest(concept=concept, top_items=top_items)
        return to_concept(self._call(self._concepts.GetConcept, request, timeout).concept)

    def wait_ready(self, timeout: float = 30.0) -> None:
        """Return once the server says that it serves.

        Raises:
            TillerRpcError: DEADLINE_EXCEEDED when it does not in time.
        """
        deadline = time.monotonic() + timeout
        request = health_pb2.HealthCheckRequest(service=RECOMMEND)
        while (left := deadline - time.monotonic()) > 0:
            try:
                answer = self._health.Check(request, timeout=left, wait_for_ready=True)
            except grpc.RpcError as error:
                if error.code() not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
                    raise from_rpc_error(error, self.target) from error
            else:
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            time.sleep(min(POLL_SECONDS, max(0.0, deadline - time.monotonic())))
        raise TillerRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, f"{self.target} did not serve within {timeout:g} s")

    def close(self) -> None:
        """Close the channel; calls in flight are given up."""
        self._channel.close()

    def __enter__(self) -> TillerClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the channel."""
        self.close()

    def _call(self, method: Callable[..., _T], request: Any, timeout: float | None) -> _T:
        try:
            return method(request, timeout=self.timeout if timeout is None else timeout)
        except grpc.RpcError as error:
            raise from_rpc_error(error, self.target) from error


def _service_config() -> dict[str, Any]:
    retry = {
        "maxAttempts": ATTEMPTS,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 3,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return {"methodConfig": [{"name": [{"service": RECOMMEND}, {"service": CONCEPTS}], "retryPolicy": retry}]}
