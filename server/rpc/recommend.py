"""steering.v1.RecommendService.

The search runs on the event loop: with one FAISS thread it is the fastest arrangement measured, 4,000 to 100,000 items
(docs/decisions/006), and a call never waits for a thread. Calls whose turn comes together are answered together
(server.rpc.turn).
"""

from __future__ import annotations

from collections.abc import Callable

from protos.steering.v1 import recommend_pb2 as pb
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceServicer
from server.errors import DeadlinePassed, InvalidRequest, SteeringError
from server.rpc.calls import UNTIL, Calls, in_time, request_id_of, unary
from server.rpc.errors import batch_error
from server.rpc.turn import Call, Turn
from server.steer import Engine
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
        self._turn = Turn(calls, share_sample)
        self._users = users

    @unary("Recommend", admitted=True)
    async def Recommend(self, request: pb.RecommendRequest, request_id: str) -> pb.RecommendResponse:
        """One user's top k, steered."""
        engine = self._current()
        users = await self._looked_up(engine, request)
        call = Call(engine, request, request_id, users, UNTIL.get())
        together = await self._calls.admission.turn(call)
        if not call.is_over:  # else the first of them has answered all
            self._turn.answer([one for one in together if isinstance(one, Call)])
        return self._answered(call)

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
            calls = [
                Call(engine, single, f"{request_id}-{place}", users, UNTIL.get())
                for place, single in enumerate(requests, done)
            ]
            for call in calls:
                try:
                    call.request_id = request_id_of(call.request) or call.request_id
                except SteeringError as error:
                    call.error = error
            self._turn.answer(calls)
            in_time()
            for call in calls:
                self._add(response, call)
            done += len(calls)
        return response

    def _add(self, response: pb.RecommendBatchResponse, call: Call) -> None:
        result = response.results.add()
        try:
            result.response.CopyFrom(self._answered(call))
        except DeadlinePassed:  # of the whole batch
            raise
        except SteeringError as error:
            result.error.CopyFrom(batch_error(error))

    def _answered(self, call: Call) -> pb.RecommendResponse:
        """The call's response; its spans are made where it is the current call."""
        response = call.result()
        if self._calls.traces is not None:
            self._calls.traces.answered(call.answer, call.query.k, call.marks)
        return response

    async def _looked_up(self, engine: Engine, *requests: pb.RecommendRequest) -> Found:
        if self._users is None:
            return NOBODY
        return await self._users.look_up((request.user_id for request in requests), engine)
