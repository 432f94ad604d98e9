"""The calls of one turn: each gets its own answer, snapshot, deadline and failure."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from typing import Any

import pytest

from protos.steering.v1 import recommend_pb2 as pb
from protos.steering.v1 import rules_pb2
from server.errors import DeadlinePassed, InvalidRequest, UnknownUser
from server.logs import make_logger
from server.rpc.calls import Calls
from server.rpc.turn import Call, Turn
from server.settings import Limits
from server.telemetry import Telemetry
from server.types import Answer
from tests.server.worlds import engine

HORROR = rules_pb2.Rule(action=rules_pb2.ACTION_DEMOTE, concept="genre:horror")


class Counting(Telemetry):
    """Remembers what was answered, and fails at the lists of a given length."""

    def __init__(self, failing: int = 0) -> None:
        super().__init__()
        self.told: list[Answer] = []
        self._failing = failing

    def answered(self, answer: Answer) -> None:
        if len(answer.ranking.items) == self._failing:
            raise RuntimeError("counting failed")
        self.told.append(answer)


def turn(observer: Telemetry, share_sample: float = 0.0) -> Turn:
    return Turn(Calls(observer, make_logger(io.StringIO(), "info")), share_sample)


def call(user: str = "u1", *, kind: str = "dot", until: float = float("inf"), **request: Any) -> Call:
    return Call(engine(kind), pb.RecommendRequest(**{"user_id": user, "k": 5, **request}), f"of {user}", until=until)


def test_each_call_has_its_own_answer_or_failure() -> None:
    observer = Counting()
    good = [call("u1"), call("u2", rules=[HORROR]), call("u3", k=7, explain=True)]
    late, unknown, unreadable = call("u4", until=time.perf_counter() - 1), call("nobody"), call("u5", order=77)
    turn(observer).answer([good[0], late, unknown, good[1], unreadable, good[2]])
    for place, one in enumerate(good):
        alone = call(f"u{place + 1}")
        alone.request, alone.request_id = one.request, one.request_id
        turn(Counting()).answer([alone])
        assert one.result().SerializeToString(deterministic=True) == alone.result().SerializeToString(
            deterministic=True
        )
        assert one.is_over
        assert one.marks[0][0] == "decode"
        assert all(began <= ended for _, began, ended in one.marks)
    for failed, kind in ((late, DeadlinePassed), (unknown, UnknownUser), (unreadable, InvalidRequest)):
        assert failed.is_over
        with pytest.raises(kind):
            failed.result()
    assert [len(answer.ranking.items) for answer in observer.told] == [5, 5, 7]


def test_a_swap_between_two_calls_of_a_turn() -> None:
    """Each is answered by the snapshot that it took (law 9)."""
    before, after = call("u1"), call("u1")
    after.engine = replace(after.engine, limits=Limits(max_k=3))
    turn(Counting()).answer([before, call("u2", kind="bias"), after])
    assert len(before.result().items) == 5
    with pytest.raises(InvalidRequest, match="1 to 3"):
        after.result()


def test_who_cannot_be_counted_fails_alone() -> None:
    first, broken, last = call("u1"), call("u2", k=6), call("u3")
    turn(Counting(failing=6)).answer([first, broken, last])
    assert len(first.result().items) == len(last.result().items) == 5
    with pytest.raises(RuntimeError, match="counting failed"):
        broken.result()


@pytest.mark.parametrize("share_sample", [0.0, 1.0])
def test_sampled_calls_have_a_baseline_that_only_the_metrics_see(share_sample: float) -> None:
    observer = Counting()
    steered, plain = call("u1", rules=[HORROR]), call("u2")
    turn(observer, share_sample).answer([steered, plain])
    assert [answer.baseline is not None for answer in observer.told] == [share_sample == 1.0, False]
    assert not steered.result().baseline
    assert not steered.result().HasField("overlap")
