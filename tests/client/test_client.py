"""The client against the real server; and what it does where the network is not kind, against a door that refuses."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from bundle import Bundle
from client import (
    FieldViolation,
    Recommendation,
    Rule,
    TillerClient,
    TillerRpcError,
    demote,
    filter_out,
    promote,
)
from client.client import ATTEMPTS
from protos.steering.v1.recommend_pb2 import RecommendRequest, RecommendResponse
from server.catalogue import Catalogue
from tests.live import Live, live
from tests.world import make_world, write_world


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_world(make_world(), tmp_path_factory.mktemp("client") / "planted")


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policies")
    (folder / "kids.yaml").write_text(
        "policies:\n  - {name: kids, owner: safety, priority: 3, when: {surface: kids},\n"
        '     rules: [{action: filter, concept: "genre:horror", membership: either}]}\n'
    )
    return folder


@pytest.fixture(scope="module")
def server(bundle: Bundle, policies: Path) -> Iterator[Live]:
    with live(bundle.path, policies=policies) as running:
        yield running


@pytest.fixture(scope="module")
def tiller(server: Live) -> Iterator[TillerClient]:
    with TillerClient(server.addresses.grpc, timeout=30) as client:
        client.wait_ready()
        yield client


def _titles(answer: Recommendation) -> list[str]:
    return [item.title for item in answer.items]


def test_the_least_one_can_ask(tiller: TillerClient, bundle: Bundle, server: Live) -> None:
    answer = tiller.recommend(user_id="u1")
    assert len(answer.items) == 10
    assert [item.score for item in answer.items] == sorted((item.score for item in answer.items), reverse=True)
    assert (answer.bundle_id, answer.policy_revision) == (
        bundle.manifest.bundle_id, server.addresses.policy_revision
    )  # fmt: skip
    assert (answer.rules, answer.baseline, answer.overlap, answer.shortfall) == ((), None, None, None)
    assert answer.items[0].explanation is None


def test_everything_one_can_ask(tiller: TillerClient, bundle: Bundle) -> None:
    catalogue = Catalogue(bundle)
    first = tiller.recommend(user_id="u1", k=20)
    answer = tiller.recommend(
        user_id="u1",
        k=20,
        rules=[promote("genre:western", 0.8), demote("genre:comedy"), filter_out("latent:9", membership="readout")],
        exclude=[first.items[0].item_id, "never"],
        attributes={"surface": "kids"},
        explain=True,
        baseline=True,
        request_id="mine",
    )
    assert answer.request_id == "mine"
    assert answer.unknown_excluded == 1
    assert first.items[0].item_id not in {item.item_id for item in answer.items}
    assert [(outcome.rule, outcome.source, outcome.priority, outcome.status) for outcome in answer.rules] == [
        (Rule("filter", "genre:horror", membership="either"), "policy:kids", 3, "applied"),
        (Rule("filter", "latent:9", membership="readout"), "request", 0, "applied"),
        (Rule("demote", "genre:comedy", 0.5, "item"), "request", 0, "applied"),
        (Rule("promote", "genre:western", 0.8, "item"), "request", 0, "applied"),
    ]
    western = answer.rules[-1]
    assert western.dose > 0
    assert western.share_before is not None
    assert western.share_after is not None
    assert western.share_before < western.share_after
    assert answer.baseline is not None
    assert len(answer.baseline) == 20
    shared = {item.item_id for item in answer.baseline} & {item.item_id for item in answer.items}
    assert answer.overlap == len(shared) / 20
    for item in answer.items:
        assert item.title == catalogue.titles[catalogue.item_rows[item.item_id]]
        why = item.explanation
        assert why is not None
        assert why.base_score + sum(part.value for part in why.contributions) == pytest.approx(item.score, abs=1e-4)
        assert {(part.action, part.channel, part.source) for part in why.contributions} == {
            ("demote", "item", "request"), ("promote", "item", "request")
        }  # fmt: skip
        assert all(0 <= entry.value <= 1 for entry in why.concepts)


def test_ignore_policies(tiller: TillerClient) -> None:
    kids = {"surface": "kids"}
    assert [one.source for one in tiller.recommend(user_id="u1", attributes=kids).rules] == ["policy:kids"]
    assert tiller.recommend(user_id="u1", attributes=kids, ignore_policies=True).rules == ()


def test_an_embedding_and_the_query_channel(tiller: TillerClient, bundle: Bundle) -> None:
    vectors = bundle.contents.user_vectors
    assert vectors is not None
    rule = promote("genre:western", 1, channel="query")
    by_vector = tiller.recommend(embedding=vectors[2], rules=[rule])
    assert _titles(by_vector) == _titles(tiller.recommend(user_id="u2", rules=[rule]))
    assert by_vector.rules[0].rule == Rule("promote", "genre:western", 1.0, "query")


def test_a_short_list(tiller: TillerClient) -> None:
    answer = tiller.recommend(user_id="u1", k=300)
    assert answer.shortfall is not None
    assert (len(answer.items), answer.shortfall.eligible) == (240, 240)
    assert answer.shortfall.reason == "240 of 240 items are eligible, 300 were asked for: the catalogue is that small"


def test_concepts(tiller: TillerClient) -> None:
    offered = tiller.concepts()
    assert [concept.id for concept in offered][:2] == ["genre:horror", "genre:comedy"]
    assert tiller.concepts(family="genre") == offered
    lost = tiller.concepts(include_not_offered=True)[-1]
    assert (lost.id, lost.offered, lost.quality) == ("genre:musical", False, None)
    western = tiller.concept("genre:western", top_items=3)
    assert western.quality is not None
    assert (western.quality.auc, western.quality.readout, western.quality.purity[0].k) == (0.95, "logistic", 10)
    assert (western.latents, len(western.top_items)) == (((3, 1.0),), 3)
    assert [concept.id for concept in tiller.concepts(family="latent")] == [f"latent:{n}" for n in range(24)]


def test_all_pages_are_fetched(bundle: Bundle, tmp_path: Path) -> None:
    wide = write_world(make_world(items=60, latents=1100), tmp_path / "wide")
    with live(wide.path) as server, TillerClient(server.addresses.grpc, timeout=60) as tiller:
        assert [concept.id for concept in tiller.concepts(family="latent")] == [f"latent:{n}" for n in range(1100)]
        assert server.metrics()['tiller_requests_total{code="OK",method="ListConcepts"}'] == 2


def test_a_refusal_has_code_field_sentence_reason_and_request_id(tiller: TillerClient) -> None:
    with pytest.raises(TillerRpcError) as caught:
        tiller.recommend(user_id="u1", rules=[demote("genre:western"), promote("genre:horor")], request_id="r-1")
    error = caught.value
    sentence = "unknown concept: found 'genre:horor'. Nearest: genre:horror."
    assert str(error) == f"NOT_FOUND: {sentence}"
    assert (error.code, error.message, error.reason) == (grpc.StatusCode.NOT_FOUND, sentence, "UNKNOWN_CONCEPT")
    assert error.violations == (FieldViolation("rules[1].concept", sentence),)
    assert error.request_id == "r-1"
    with pytest.raises(TillerRpcError) as caught:
        tiller.concept("genre:horor")
    assert caught.value.violations == (FieldViolation("concept", sentence),)


def test_what_cannot_be_sent_is_a_value_error(tiller: TillerClient) -> None:
    with pytest.raises(ValueError, match=r"^who is asking: found user_id and embedding, expected one of them$"):
        tiller.recommend(user_id="u1", embedding=[1.0])
    with pytest.raises(ValueError, match=r"^action: found 'boost', expected filter \| demote \| promote$"):
        tiller.recommend(user_id="u1", rules=[Rule("boost", "genre:horror")])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^membership: found 'both', expected label \| readout \| either$"):
        tiller.recommend(user_id="u1", rules=[filter_out("genre:horror", membership="both")])  # type: ignore[arg-type]


def test_threads_may_share_a_client(tiller: TillerClient) -> None:
    users = [f"u{n % 12}" for n in range(48)]
    alone = [_titles(tiller.recommend(user_id=user)) for user in users]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda user: _titles(tiller.recommend(user_id=user)), users)) == alone


def test_nobody_there() -> None:
    with TillerClient("127.0.0.1:1", timeout=5) as tiller:
        with pytest.raises(TillerRpcError) as caught:
            tiller.recommend(user_id="u1")
        assert caught.value.code is grpc.StatusCode.UNAVAILABLE
        assert str(caught.value).startswith("UNAVAILABLE: 127.0.0.1:1: ")
        assert (caught.value.violations, caught.value.reason) == ((), "")
        with pytest.raises(TillerRpcError) as caught:
            tiller.wait_ready(timeout=0.3)
        assert str(caught.value) == "DEADLINE_EXCEEDED: 127.0.0.1:1 did not serve within 0.3 s"


def test_wait_ready_waits_for_a_server_that_starts_later(bundle: Bundle) -> None:
    with live(bundle.path) as first:
        port = int(first.addresses.grpc.rpartition(":")[2])
    done = threading.Event()

    def wait() -> None:
        with TillerClient(f"127.0.0.1:{port}") as tiller:
            tiller.wait_ready(timeout=60)
            done.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.2)
    assert not done.is_set()
    with live(bundle.path, port=port):
        waiting.join(timeout=60)
    assert done.is_set()


@contextmanager
def _door(code: grpc.StatusCode, refusals: int) -> Iterator[tuple[str, list[float]]]:
    """A server that refuses the first calls with ``code``, as a proxy in trouble does; its address and calls."""
    calls: list[float] = []

    def recommend(request: RecommendRequest, context: grpc.ServicerContext) -> RecommendResponse:
        calls.append(context.time_remaining())
        if len(calls) <= refusals:
            context.abort(code, "not now")
        return RecommendResponse(request_id=request.request_id)

    handler = grpc.unary_unary_rpc_method_handler(
        recommend,
        request_deserializer=RecommendRequest.FromString,
        response_serializer=RecommendResponse.SerializeToString,
    )
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_registered_method_handlers("steering.v1.RecommendService", {"Recommend": handler})
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", calls
    finally:
        server.stop(None).wait()


def test_a_call_that_nobody_took_is_repeated_within_its_deadline() -> None:
    with _door(grpc.StatusCode.UNAVAILABLE, refusals=ATTEMPTS - 1) as (target, calls), TillerClient(target) as tiller:
        assert tiller.recommend(user_id="u1", request_id="again", timeout=20).request_id == "again"
    assert len(calls) == ATTEMPTS
    assert max(calls) < 21  # each attempt carries what is left of one deadline; the wire rounds it up a little


def test_repeating_ends() -> None:
    with _door(grpc.StatusCode.UNAVAILABLE, refusals=99) as (target, calls), TillerClient(target) as tiller:
        with pytest.raises(TillerRpcError) as caught:
            tiller.recommend(user_id="u1", timeout=20)
        assert str(caught.value) == f"UNAVAILABLE: {target}: not now"
    assert len(calls) == ATTEMPTS


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    ],
)
def test_nothing_else_is_repeated(code: grpc.StatusCode) -> None:
    with _door(code, refusals=1) as (target, calls), TillerClient(target) as tiller:
        with pytest.raises(TillerRpcError) as caught:
            tiller.recommend(user_id="u1", timeout=20)
        assert caught.value.code is code
        assert len(calls) == 1


def test_every_call_has_a_deadline() -> None:
    with _door(grpc.StatusCode.OK, refusals=0) as (target, calls), TillerClient(target, timeout=7) as tiller:
        tiller.recommend(user_id="u1")
        tiller.recommend(user_id="u1", timeout=3)
    first, second = calls
    assert 3.5 < first < 7.5  # the wire rounds a deadline up a little
    assert second < 3.5
