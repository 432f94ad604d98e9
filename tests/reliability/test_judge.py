"""The judge of hostile requests must see what is wrong, or its silence means nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.reliability.hostile import RECOMMEND, hostile
from benchmarks.reliability.judge import Truth, wrong, wrong_batch
from benchmarks.reliability.mutate import damaged
from protos.steering.v1 import recommend_pb2 as pb
from protos.steering.v1 import rules_pb2
from tests.world import make_world, write_world


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return Truth.of(write_world(make_world(), tmp_path_factory.mktemp("judge") / "bundle").path)


def answer_of(ids: list[str], scores: list[float] | None = None) -> pb.RecommendResponse:
    given = scores or [float(len(ids) - place) for place in range(len(ids))]
    items = [pb.ScoredItem(item_id=one, score=score) for one, score in zip(ids, given, strict=True)]
    return pb.RecommendResponse(items=items)


def test_a_right_answer_passes(truth: Truth) -> None:
    ids = list(truth.world.items[:3])
    assert wrong(truth, pb.RecommendRequest(k=3), answer_of(ids)) == ""
    short = answer_of(ids)
    short.shortfall.eligible = 3
    assert wrong(truth, pb.RecommendRequest(k=5), short) == ""


def test_wrong_answers_are_seen(truth: Truth) -> None:
    first, second, third = truth.world.items[:3]
    concept = truth.world.concepts[0]
    member = min(truth.members[concept])
    forbidden = rules_pb2.Rule(action=rules_pb2.ACTION_FILTER, concept=concept)
    named = rules_pb2.Rule(action=rules_pb2.ACTION_FILTER, items=[first])
    weighted = rules_pb2.Rule(action=rules_pb2.ACTION_FILTER, concepts={concept: 0.5})
    cases: list[tuple[pb.RecommendRequest, pb.RecommendResponse, str]] = [
        (pb.RecommendRequest(k=2), answer_of([first, second, third]), "3 items"),
        (pb.RecommendRequest(k=2), answer_of([first, first]), "1 different"),
        (pb.RecommendRequest(k=2), answer_of([first]), "without a word"),
        (pb.RecommendRequest(k=1), answer_of(["nobody"]), "does not have"),
        (pb.RecommendRequest(k=1, exclude_item_ids=[first]), answer_of([first]), "excluded"),
        (pb.RecommendRequest(k=2), answer_of([first, second], [1.0, 2.0]), "out of order"),
        (pb.RecommendRequest(k=1), answer_of([first], [float("nan")]), "no number"),
        (pb.RecommendRequest(k=1, rules=[forbidden]), answer_of([member]), concept),
        (pb.RecommendRequest(k=1, rules=[named]), answer_of([first]), "an item that a filter names"),
        (pb.RecommendRequest(k=1, rules=[weighted]), answer_of([member]), concept),
    ]
    for request, answer, said in cases:
        assert said in wrong(truth, request, answer)


def test_a_batch_with_an_empty_result_is_wrong() -> None:
    assert wrong_batch(pb.RecommendBatchResponse(results=[pb.BatchResult()]))
    unclear = pb.BatchResult(error=pb.BatchError(code=13, message="internal"))
    assert "without a clear refusal" in wrong_batch(pb.RecommendBatchResponse(results=[unclear]))
    assert wrong_batch(pb.RecommendBatchResponse(results=[pb.BatchResult(response=answer_of([]))])) == ""


@pytest.mark.parametrize("draw", [lambda rng: damaged(b"0123456789" * 9, rng, [b"other"])])
def test_damage_is_repeatable(draw: Callable[[random.Random], bytes]) -> None:
    one, other = random.Random(5), random.Random(5)
    first = [draw(one) for _ in range(200)]
    assert first == [draw(other) for _ in range(200)]
    assert sum(data == b"0123456789" * 9 for data in first) < 40


def test_hostile_requests_are_of_every_kind(truth: Truth, tmp_path: Path) -> None:
    rng = random.Random(0)
    sent = [hostile(truth.world, rng) for _ in range(2_000)]
    assert len({one.method for one in sent}) > 4
    requests = [one.request for one in sent if one.request is not None]
    assert len(requests) > 800
    assert any(request.HasField("history") for request in requests)
    assert {rule.action for request in requests for rule in request.rules} >= {-1, 0, 1, 2, 3, 4}
    unreadable = 0
    for one in sent:
        if one.method == RECOMMEND and one.request is None:
            try:
                pb.RecommendRequest.FromString(one.data)
            except Exception:  # protobuf's own class differs between its implementations
                unreadable += 1
    assert unreadable > 50
