"""steering.v1.RecommendService.

The search runs on the event loop: with one FAISS thread it is the fastest arrangement measured, 4,000 to 100,000 items
(docs/decisions/006), and a call never waits for a thread.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace

from protos.steering.v1 import recommend_pb2 as pb
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceServicer
from server.errors import DeadlinePassed, InvalidRequest, SteeringError
from server.rpc.calls import UNTIL, Calls, in_time, request_id_of, unary
from server.rpc.convert import to_query, to_response
from server.rpc.errors import batch_error
from server.steer import Engine
from server.types import Query
from server.users import NOBODY, Found, Users

NAME = "steering.v1.RecommendService"


class RecommendService(RecommendServiceServicer):
    """Answers with the engine that ``current`` gives; a call takes it once and keeps it to its end (law 9).

    Args:
        current: the snapshot being served.
        calls: who is told about every call.
        share_sample: part of the steered calls whose baseline is computed for the metrics, asked for or not.
        users: looks users up elsewhere than in the bundle, before the engine is asked; None: the bundle's own.
    """

    def __init__(
        self, current: Callable[[], Engine], calls: Calls, share_sample: float, users: Users | None = None
    ) -> None:
        self._current = current
        self._calls = calls
        self._share_sample = share_sample
        self._users = users

    @unary("Recommend", admitted=True)
    async def Recommend(self, request: pb.RecommendRequest, request_id: str) -> pb.RecommendResponse:
        """One user's top k, steered."""
        engine = self._current()
        users = await self._looked_up(engine, request)
        await self._calls.admission.turn()
        in_time()
        return self._answer(engine, request, request_id, users)

    @unary("RecommendBatch", admitted=True)
    async def RecommendBatch(self, request: pb.RecommendBatchRequest, request_id: str) -> pb.RecommendBatchResponse:
        """Many users' lists from one snapshot; between two of them other calls get their turn."""
        engine = self._current()
        most = engine.limits.max_batch
        if not 1 <= len(request.requests) <= most:
            raise InvalidRequest("requests", field="requests", found=len(request.requests), expected=f"1 to {most}")
        users = await self._looked_up(engine, *request.requests)
        response = pb.RecommendBatchResponse(request_id=request_id)
        for place, single in enumerate(request.requests):
            result = response.results.add()
            await self._calls.admission.turn(patient=place > 0)
            in_time()
            try:
                own = request_id_of(single) or f"{request_id}-{place}"
                result.response.CopyFrom(self._answer(engine, single, own, users))
            except DeadlinePassed:  # of the whole batch
                raise
            except SteeringError as error:
                result.error.CopyFrom(batch_error(error))
        return response

    async def _looked_up(self, engine: Engine, *requests: pb.RecommendRequest) -> Found:
        if self._users is None:
            return NOBODY
        return await self._users.look_up((request.user_id for request in requests), engine)

    def _answer(
        self, engine: Engine, request: pb.RecommendRequest, request_id: str, users: Found
    ) -> pb.RecommendResponse:
        started = time.perf_counter()
        query = users.given(to_query(request))
        decoded = time.perf_counter()
        decisions = self._calls.decisions
        logged = decisions is not None and decisions.wanted()
        answer = engine.recommend(self._sampled(query, engine, surely=logged), until=UNTIL.get())
        answered = time.perf_counter()
        response = to_response(answer, query, engine.catalogue, request_id)
        answer.timings["decode"] = decoded - started
        encoded = time.perf_counter()
        answer.timings["encode"] = encoded - answered
        if self._calls.traces is not None:
            self._calls.traces.answered(answer, query.k, started, encoded)
        self._calls.observer.answered(answer)
        if answer.incoming is not None and self._calls.drift is not None:
            self._calls.drift.offer(engine.catalogue.bundle, answer.incoming)
        if decisions is not None and logged:
            decisions.record(query, answer, request_id)
        return response

    def _sampled(self, query: Query, engine: Engine, *, surely: bool = False) -> Query:
        """The query, with the baseline where this call is in the sample and something could steer it."""
        if query.baseline or not (query.rules or engine.policies is not None):
            return query
        if surely or self._share_sample >= 1 or random.random() < self._share_sample:
            return replace(query, baseline=True)
        return query
