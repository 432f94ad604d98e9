"""The calls of one turn, answered step by step: all are read, then all are searched for, all written, all counted.

A step that is done for several calls finds its code and data in the core's cache from the second on; between two calls
of gRPC it would find neither, and at 4,000 items that is half of a call's time (docs/decisions/027). What becomes of a
call depends on nobody else in its turn: it has its own snapshot, deadline and refusal, and its list has the same bits.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from protos.steering.v1 import recommend_pb2 as pb
from server.errors import DeadlinePassed
from server.rpc.calls import Calls
from server.rpc.convert import to_query, to_response
from server.steer import Engine
from server.types import Answer, Mark, Query
from server.users import NOBODY, Found


@dataclass(slots=True)
class Call:
    """A request that waits for its turn, and what came of it: ``response`` or ``error``.

    ``users``: those of the request that were looked up elsewhere than in the bundle. ``until``: when its caller stops
    waiting. ``query``: as it came; ``asked``: with the baseline where the call is in the sample. ``logged``: for the
    decision log. ``decoded``, ``written``: when it was, from and to. All times in seconds of time.perf_counter.
    """

    engine: Engine
    request: pb.RecommendRequest
    request_id: str
    users: Found = NOBODY
    until: float = math.inf
    query: Query = field(init=False)
    asked: Query = field(init=False)
    answer: Answer = field(init=False)
    logged: bool = False
    decoded: tuple[float, float] = (0.0, 0.0)
    written: tuple[float, float] = (0.0, 0.0)
    response: pb.RecommendResponse | None = None
    error: Exception | None = None

    @property
    def marks(self) -> Sequence[Mark]:
        """The stages of its answer, in time."""
        return ("decode", *self.decoded), *self.answer.marks, ("encode", *self.written)

    @property
    def is_over(self) -> bool:
        """Whether it had its turn."""
        return self.error is not None or self.response is not None

    def result(self) -> pb.RecommendResponse:
        """The answer.

        Raises:
            Exception: what it failed with, for its own caller.
        """
        if self.error is not None:
            raise self.error
        assert self.response is not None, "the call had no turn"
        return self.response


class Turn:
    """Answers calls.

    Args:
        told: who hears of every answer.
        share_sample: part of the steered calls whose baseline is computed for the metrics, asked for or not.
    """

    def __init__(self, told: Calls, share_sample: float) -> None:
        self._told = told
        self._share_sample = share_sample

    def answer(self, calls: Sequence[Call]) -> None:
        """Give every call its response or its error."""
        _each(self._read, calls)
        _recommend([call for call in calls if call.error is None])
        _each(_write, calls)
        _each(self._tell, calls)

    def _read(self, call: Call) -> None:
        began = time.perf_counter()
        if began >= call.until:  # nobody waits for what it would take
            raise DeadlinePassed
        call.query = query = call.users.given(to_query(call.request))
        decisions = self._told.decisions
        call.logged = decisions is not None and decisions.wanted()
        call.asked = replace(query, baseline=True) if self._in_sample(query, call) else query
        call.decoded = began, time.perf_counter()

    def _in_sample(self, query: Query, call: Call) -> bool:
        """Whether the baseline is wanted that nobody asked for: something may steer the call, and it is in a sample."""
        if query.baseline or not (query.rules or call.engine.policies is not None):
            return False
        return call.logged or self._share_sample >= 1 or random.random() < self._share_sample

    def _tell(self, call: Call) -> None:
        told, answer = self._told, call.answer
        told.observer.answered(answer)
        if answer.incoming is not None and told.drift is not None:
            told.drift.offer(call.engine.catalogue.bundle, answer.incoming)
        if call.logged and told.decisions is not None:
            told.decisions.record(call.query, answer, call.request_id)


def _each(step: Callable[[Call], None], calls: Sequence[Call]) -> None:
    for call in calls:
        if call.error is None:
            try:
                step(call)
            except Exception as error:  # its own caller hears of it, and the others are answered
                call.error = error


def _recommend(calls: Sequence[Call]) -> None:
    for engine in {id(call.engine): call.engine for call in calls}.values():  # a swap may have come between them
        of_it = [call for call in calls if call.engine is engine]
        answers = engine.recommend_each([call.asked for call in of_it], [call.until for call in of_it])
        for call, answer in zip(of_it, answers, strict=True):
            if isinstance(answer, Exception):
                call.error = answer
            else:
                call.answer = answer


def _write(call: Call) -> None:
    began = time.perf_counter()
    call.response = to_response(call.answer, call.query, call.engine.catalogue, call.request_id)
    call.written = began, time.perf_counter()
    call.answer.timings["decode"] = call.decoded[1] - call.decoded[0]
    call.answer.timings["encode"] = call.written[1] - began
