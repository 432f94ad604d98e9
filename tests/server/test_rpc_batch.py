"""RecommendBatch over the wire: the same answers as single calls, refusals in their places, one snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import grpc
import pytest

from client import TillerClient, TillerRpcError, demote, filter_out, promote
from protos.steering.v1 import recommend_pb2 as pb
from protos.steering.v1 import rules_pb2
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub
from server.steer import Engine
from server.types import Answer, Query
from tests.live import Live, live, refusal_of
from tests.world import make_world, write_world


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    bundle = write_world(make_world(), tmp_path_factory.mktemp("batch") / "planted")
    with live(bundle.path, max_batch=40) as running:
        yield running


@pytest.fixture
def stub(server: Live) -> Iterator[RecommendServiceStub]:
    with grpc.insecure_channel(server.addresses.grpc) as channel:
        yield RecommendServiceStub(channel)


def requests() -> list[pb.RecommendRequest]:
    """Every kind of rule, with and without explanation and baseline."""
    rules = [
        [],
        [rules_pb2.Rule(action="ACTION_FILTER", concept="genre:horror")],
        [rules_pb2.Rule(action="ACTION_PROMOTE", concept="genre:western", strength=0.7)],
        [rules_pb2.Rule(action="ACTION_DEMOTE", concept="genre:comedy", channel="CHANNEL_QUERY")],
        [rules_pb2.Rule(action="ACTION_PROMOTE", concept="genre:horror", share=rules_pb2.ShareTarget(min=0.3))],
    ]
    return [
        pb.RecommendRequest(
            user_id=f"u{place % 12}", k=3 + place, rules=rules[place % 5], explain=place % 2 == 0,
            include_baseline=place % 3 == 0, request_id=f"r{place}",
        )
        for place in range(15)
    ]  # fmt: skip


def test_the_same_answers_as_single_calls_bit_for_bit(stub: RecommendServiceStub) -> None:
    asked = requests()
    batch = stub.RecommendBatch(pb.RecommendBatchRequest(requests=asked, request_id="b"), timeout=10)
    assert batch.request_id == "b"
    singles = [stub.Recommend(request, timeout=10) for request in asked]
    assert [result.WhichOneof("result") for result in batch.results] == ["response"] * len(asked)
    for result, single in zip(batch.results, singles, strict=True):
        assert result.response.SerializeToString(deterministic=True) == single.SerializeToString(deterministic=True)


@pytest.mark.parametrize("read_once", [0, 2**40])
def test_calls_that_are_answered_together_get_what_each_gets_alone(
    server: Live, monkeypatch: pytest.MonkeyPatch, read_once: int
) -> None:
    asked = [request for request in requests() for _ in range(8)]
    with grpc.insecure_channel(server.addresses.grpc) as channel:
        stub = RecommendServiceStub(channel)
        alone = [stub.Recommend(request, timeout=10) for request in asked[::8]]
    groups: list[int] = []
    recommend_each = Engine.recommend_each

    def counted(engine: Engine, queries: Sequence[Query], until: Sequence[float]) -> list[Answer | Exception]:
        groups.append(len(queries))
        return recommend_each(engine, queries, until)

    monkeypatch.setattr("server.retrieval.flat.TOGETHER_BYTES", read_once)
    monkeypatch.setattr(Engine, "recommend_each", counted)
    with live(server.settings.bundle) as running, grpc.insecure_channel(running.addresses.grpc) as channel:
        stub = RecommendServiceStub(channel)
        waiting = [stub.Recommend.future(request, timeout=30) for request in asked]
        for place, call in enumerate(waiting):
            assert call.result().SerializeToString(deterministic=True) == alone[place // 8].SerializeToString(
                deterministic=True
            )
        batch = stub.RecommendBatch(pb.RecommendBatchRequest(requests=asked[::8]), timeout=10)
        assert [result.response for result in batch.results] == alone
    assert max(groups) > 1


def test_ids_of_those_that_have_none(stub: RecommendServiceStub) -> None:
    asked = [pb.RecommendRequest(user_id="u1", k=2), pb.RecommendRequest(user_id="u2", k=2, request_id="own")]
    batch = stub.RecommendBatch(pb.RecommendBatchRequest(requests=asked, request_id="night"), timeout=10)
    assert [result.response.request_id for result in batch.results] == ["night-0", "own"]


def test_a_refused_one_does_not_refuse_the_others(stub: RecommendServiceStub) -> None:
    asked = [
        pb.RecommendRequest(user_id="u1", k=2),
        pb.RecommendRequest(user_id="u1", k=0),
        pb.RecommendRequest(user_id="u1", k=2, rules=[rules_pb2.Rule(action="ACTION_DEMOTE", concept="genre:horor")]),
        pb.RecommendRequest(user_id="u1", k=2, request_id="x" * 200),
        pb.RecommendRequest(user_id="u2", k=2),
    ]
    batch = stub.RecommendBatch(pb.RecommendBatchRequest(requests=asked), timeout=10)
    kinds = [result.WhichOneof("result") for result in batch.results]
    assert kinds == ["response", "error", "error", "error", "response"]
    for place in (1, 2, 3):
        with pytest.raises(grpc.RpcError) as caught:
            stub.Recommend(asked[place], timeout=10)
        alone = refusal_of(caught.value)
        error = batch.results[place].error
        assert (error.code, error.reason, error.message) == (alone.code.value[0], alone.reason, alone.message)
        assert [error.field] == list(alone.violations)


@pytest.mark.parametrize("count", [0, 41])
def test_how_many_is_bounded(stub: RecommendServiceStub, count: int) -> None:
    asked = pb.RecommendBatchRequest(requests=[pb.RecommendRequest(user_id="u1", k=1)] * count)
    with pytest.raises(grpc.RpcError) as caught:
        stub.RecommendBatch(asked, timeout=10)
    refused = refusal_of(caught.value)
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert list(refused.violations) == ["requests"]
    assert refused.message == f"requests: found {count}, expected 1 to 40."


def test_by_the_client(server: Live) -> None:
    asked = [
        {"user_id": "u1", "k": 4, "rules": [promote("genre:western", at_least=0.5), filter_out("genre:horror")]},
        {"user_id": "nobody", "k": 4},
        {"user_id": "u2", "k": 4, "rules": [demote("genre:comedy", at_most=0.25)], "baseline": True, "order": "base"},
    ]
    with TillerClient(server.addresses.grpc) as client:
        first, second, third = client.recommend_batch(asked)
        alone = client.recommend(**asked[0])  # type: ignore[arg-type]
    assert not isinstance(first, TillerRpcError)
    assert first.items == alone.items
    assert isinstance(second, TillerRpcError)
    assert second.code is grpc.StatusCode.NOT_FOUND
    assert second.reason == "UNKNOWN_USER"
    assert not isinstance(third, TillerRpcError)
    assert third.baseline is not None


def test_a_batch_is_counted_once_and_each_rule_in_it(server: Live, stub: RecommendServiceStub) -> None:
    call, fired = (
        'tiller_requests_total{code="OK",method="RecommendBatch"}',
        'tiller_rules_total{action="filter",source_kind="request",status="applied"}',
    )
    before = server.metrics()
    stub.RecommendBatch(pb.RecommendBatchRequest(requests=requests()), timeout=10)
    after = server.metrics()
    assert after[call] == before.get(call, 0) + 1
    assert after[fired] == before.get(fired, 0) + 3
