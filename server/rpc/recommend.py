"""steering.v1.RecommendService.

The search runs on the event loop: with one FAISS thread it is the fastest arrangement measured, 4,000 to 100,000 items
(docs/decisions/006), and a call never waits for a thread. Calls whose turn comes together are answered one right after
the other, and where the vectors are many they are read once for all of them (docs/decisions/027).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from protos.steering.v1 import recommend_pb2 as pb
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceServicer
from server.errors import DeadlinePassed, InvalidRequest, SteeringError
from server.question import Question
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
        call = self._call(engine, request, request_id, users)
        _ask_together(await self._calls.admission.turn(call))
        in_time()
        return self._answer(call)

    @unary("RecommendBatch", admitted=True)
    async def RecommendBatch(self, request: pb.RecommendBatchRequest, request_id: str) -> pb.RecommendBatchResponse:
        """Many users' lists from one snapshot; between some of them other calls get their turn."""
        engine = self._current()
        most = engine.limits.max_batch
        if not 1 <= len(request.requests) <= most:
            raise InvalidRequest("requests", field="requests", found=len(request.requests), expected=f"1 to {most}")
        users = await self._looked_up(engine, *request.requests)
        response = pb.RecommendBatchResponse(request_id=request_id)
        done = 0
        while done < len(request.requests):
            requests = request.requests[done : done + self._calls.admission.room()]
            await self._calls.admission.turn(size=len(requests), patient=done > 0)
            calls: list[_Call | SteeringError] = []
            for place, single in enumerate(requests, done):
                try:
                    own = request_id_of(single) or f"{request_id}-{place}"
                    calls.append(self._call(engine, single, own, users))
                except SteeringError as error:
                    calls.append(error)
            _ask_together(calls)
            for call in calls:
                in_time()
                self._add(response, call)
            done += len(calls)
        return response

    def _add(self, response: pb.RecommendBatchResponse, call: _Call | SteeringError) -> None:
        result = response.results.add()
        try:
            if isinstance(call, SteeringError):
                raise call
            result.response.CopyFrom(self._answer(call))
        except DeadlinePassed:  # of the whole batch
            raise
        except SteeringError as error:
            result.error.CopyFrom(batch_error(error))

    async def _looked_up(self, engine: Engine, *requests: pb.RecommendRequest) -> Found:
        if self._users is None:
            return NOBODY
        return await self._users.look_up((request.user_id for request in requests), engine)

    def _call(self, engine: Engine, request: pb.RecommendRequest, request_id: str, users: Found) -> _Call:
        began = time.perf_counter()
        query = users.given(to_query(request))
        decisions = self._calls.decisions
        logged = decisions is not None and decisions.wanted()
        asked = self._sampled(query, engine, surely=logged)
        return _Call(engine, query, asked, request_id, logged, time.perf_counter() - began)

    def _answer(self, call: _Call) -> pb.RecommendResponse:
        started = time.perf_counter()
        engine, query = call.engine, call.query
        answer = engine.recommend(call.asked, until=UNTIL.get(), question=call.question)
        answered = time.perf_counter()
        response = to_response(answer, query, engine.catalogue, call.request_id)
        answer.timings["decode"] = call.decoding
        encoded = time.perf_counter()
        answer.timings["encode"] = encoded - answered
        if self._calls.traces is not None:
            # Reading came before the wait for the turn; its span has its length, and stands beside the others.
            self._calls.traces.answered(answer, query.k, started - call.decoding, encoded)
        self._calls.observer.answered(answer)
        if answer.incoming is not None and self._calls.drift is not None:
            self._calls.drift.offer(engine.catalogue.bundle, answer.incoming)
        if call.logged and self._calls.decisions is not None:
            self._calls.decisions.record(query, answer, call.request_id)
        return response

    def _sampled(self, query: Query, engine: Engine, *, surely: bool = False) -> Query:
        """The query, with the baseline where this call is in the sample and something could steer it."""
        if query.baseline or not (query.rules or engine.policies is not None):
            return query
        if surely or self._share_sample >= 1 or random.random() < self._share_sample:
            return replace(query, baseline=True)
        return query


@dataclass(slots=True)
class _Call:
    """A request that waits for its turn.

    ``asked``: the query, with the baseline where the call is in the sample. ``decoding``: seconds that reading took.
    """

    engine: Engine
    query: Query
    asked: Query
    request_id: str
    logged: bool
    decoding: float
    question: Question | None = None
    put: bool = False


def _ask_together(calls: Sequence[object]) -> None:
    """Have what the calls of one turn ask scored in one go; the first of them does it for all."""
    waiting = [call for call in calls if isinstance(call, _Call) and not call.put]
    for engine in {id(call.engine): call.engine for call in waiting}.values():  # a swap may have come between them
        of_it = [call for call in waiting if call.engine is engine]
        if len(of_it) == 1 or engine.most_together == 1:
            continue
        for call, question in zip(of_it, engine.questions([call.query for call in of_it]), strict=True):
            call.question, call.put = question, True
