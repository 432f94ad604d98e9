"""RecommendService over the wire: the real server, a raw stub, every sentence."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest

from bundle import Bundle, load_bundle
from protos.steering.v1 import recommend_pb2 as pb
from protos.steering.v1 import rules_pb2
from protos.steering.v1.recommend_pb2 import Embedding, RecommendRequest
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub
from protos.steering.v1.rules_pb2 import Rule
from server.policy import load_policies
from server.steer import Engine
from server.types import Action, Query
from server.types import Rule as CoreRule
from tests.live import Live, Refusal, live, refusal_of
from tests.world import make_world, write_world

POLICIES = """
policies:
  - name: kids
    owner: safety
    when: {surface: kids}
    rules:
      - {action: filter, concept: "genre:horror"}
      - {action: promote, concept: "genre:children's", strength: 0.4}
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_world(make_world(), tmp_path_factory.mktemp("rpc") / "planted")


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policies")
    (folder / "kids.yaml").write_text(POLICIES)
    return folder


@pytest.fixture(scope="module")
def server(bundle: Bundle, policies: Path) -> Iterator[Live]:
    with live(bundle.path, policies=policies, max_k=100, max_rules=3, max_exclude=5) as running:
        yield running


@pytest.fixture(scope="module")
def stub(server: Live) -> Iterator[RecommendServiceStub]:
    with grpc.insecure_channel(server.addresses.grpc) as channel:
        yield RecommendServiceStub(channel)


def _refused(stub: RecommendServiceStub, request: RecommendRequest) -> Refusal:
    with pytest.raises(grpc.RpcError) as caught:
        stub.Recommend(request, timeout=30)
    return refusal_of(caught.value)


def test_the_answer_is_the_engines(stub: RecommendServiceStub, bundle: Bundle, policies: Path) -> None:
    request = RecommendRequest(
        user_id="u3", k=7, rules=[Rule(action="ACTION_DEMOTE", concept="genre:comedy", strength=0.7)],
        exclude_item_ids=["i1", "never"], attributes={"surface": "kids"}, explain=True, include_baseline=True,
        request_id="mine",
    )  # fmt: skip
    response = stub.Recommend(request, timeout=30)
    engine = Engine.open(load_bundle(bundle.path), load_policies(policies))
    answer = engine.recommend(
        Query(k=7, user_id="u3", rules=(CoreRule(Action.DEMOTE, "genre:comedy", 0.7),), exclude=("i1", "never"),
              attributes={"surface": "kids"}, explain=True, baseline=True)
    )  # fmt: skip
    catalogue = engine.catalogue
    assert response.request_id == "mine"
    assert (response.bundle_id, response.policy_revision) == (answer.bundle_id, answer.policy_revision)
    assert response.unknown_excluded == 1
    assert [item.item_id for item in response.items] == [catalogue.item_ids[row] for row in answer.ranking.items]
    assert [item.title for item in response.items] == [catalogue.titles[row] for row in answer.ranking.items]
    assert [item.score for item in response.items] == [float(score) for score in answer.ranking.scores]
    assert answer.baseline is not None
    assert [item.item_id for item in response.baseline] == [catalogue.item_ids[row] for row in answer.baseline.items]
    assert response.overlap == answer.overlap
    for item, why in zip(response.items, answer.explanations, strict=True):
        assert (item.explanation.base_score, item.explanation.base_rank) == (why.base_score, why.base_rank)
        assert [part.value for part in item.explanation.contributions] == [part.value for part in why.contributions]
        assert [(c.concept, c.value, c.labelled) for c in item.explanation.concepts] == list(why.concepts)
    outcomes = [(one.rule.concept, one.source, one.dose, one.share_before, one.share_after) for one in response.rules]
    assert outcomes == [
        (e.considered.rule.concept, e.considered.rule.source, e.dose, e.share_before, e.share_after)
        for e in answer.effects
    ]
    assert [(one.rule.action, one.source, one.status) for one in response.rules] == [
        (rules_pb2.ACTION_FILTER, "policy:kids", pb.RULE_STATUS_APPLIED),
        (rules_pb2.ACTION_DEMOTE, "request", pb.RULE_STATUS_APPLIED),
        (rules_pb2.ACTION_PROMOTE, "policy:kids", pb.RULE_STATUS_APPLIED),
    ]


def test_an_embedding_answers_as_its_user_does(stub: RecommendServiceStub, bundle: Bundle) -> None:
    vectors = bundle.contents.user_vectors
    assert vectors is not None
    by_id = stub.Recommend(RecommendRequest(user_id="u4", k=5), timeout=30)
    by_vector = stub.Recommend(RecommendRequest(embedding=Embedding(values=vectors[4].tolist()), k=5), timeout=30)
    assert list(by_vector.items) == list(by_id.items)


def test_the_baseline_stays_inside_unless_asked_for(stub: RecommendServiceStub) -> None:
    # share_sample is 1: the server computes a baseline for its metrics, and must not show it.
    request = RecommendRequest(user_id="u3", k=7, rules=[Rule(action="ACTION_FILTER", concept="genre:horror")])
    response = stub.Recommend(request, timeout=30)
    assert not response.baseline
    assert not response.HasField("overlap")
    assert not response.rules[0].HasField("share_before")
    assert not response.rules[0].HasField("share_after")
    assert not response.items[0].HasField("explanation")


def test_a_short_list_says_why(stub: RecommendServiceStub) -> None:
    # 240 items, k at most 100: filters on three of six concepts that overlap leave few.
    rules = [Rule(action="ACTION_FILTER", concept=f"genre:{name}") for name in ("horror", "comedy", "documentary")]
    response = stub.Recommend(RecommendRequest(user_id="u0", k=100, rules=rules), timeout=30)
    assert len(response.items) == response.shortfall.eligible < 100
    assert response.shortfall.reason == (
        f"{response.shortfall.eligible} of 240 items are eligible, 100 were asked for: filter genre:comedy (request) "
        "and filter genre:documentary (request) and filter genre:horror (request)"
    )
    full = stub.Recommend(RecommendRequest(user_id="u0", k=10), timeout=30)
    assert not full.HasField("shortfall")


def test_policies_are_left_out_where_a_request_says_so(stub: RecommendServiceStub) -> None:
    kids = RecommendRequest(user_id="u3", k=5, attributes={"surface": "kids"})
    assert [one.source for one in stub.Recommend(kids, timeout=30).rules] == ["policy:kids", "policy:kids"]
    kids.ignore_policies = True
    assert not stub.Recommend(kids, timeout=30).rules


ZERO_TO_ONE = "expected 0 (off) to 1 (full). The action says the direction: use DEMOTE or PROMOTE, not a sign."
WHO = {"user_id": "u1", "k": 5}
SENTENCES: dict[str, tuple[RecommendRequest, str, str, str, str]] = {
    "nobody": (
        RecommendRequest(k=5),
        "INVALID_ARGUMENT", "INVALID_REQUEST", "user",
        "who is asking: found nobody, expected one of user_id, embedding, history.",
    ),
    "empty user": (
        RecommendRequest(user_id="", k=5),
        "INVALID_ARGUMENT", "INVALID_REQUEST", "user_id",
        "user_id is empty. Name a user, or send an embedding.",
    ),
    "unknown user": (
        RecommendRequest(user_id="u111", k=5),
        "NOT_FOUND", "UNKNOWN_USER", "user_id",
        "unknown user: found 'u111', expected one of 12 users. Nearest: u11. Or send the embedding.",
    ),
    "NaN": (
        RecommendRequest(embedding=Embedding(values=[1.0] * 3 + [math.nan] + [1.0] * 12), k=5),
        "INVALID_ARGUMENT", "INVALID_REQUEST", "embedding.values[3]",
        "embedding.values[3]: found nan, expected a finite number.",
    ),
    "infinity": (
        RecommendRequest(embedding=Embedding(values=[-math.inf] + [1.0] * 15), k=5),
        "INVALID_ARGUMENT", "INVALID_REQUEST", "embedding.values[0]",
        "embedding.values[0]: found -inf, expected a finite number.",
    ),
    "wrong length": (
        RecommendRequest(embedding=Embedding(values=[1.0] * 17), k=5),
        "INVALID_ARGUMENT", "INVALID_REQUEST", "embedding.values",
        "embedding has the wrong length: found 17 numbers, expected 16. "
        "Is it from the recommender that this bundle was made for?",
    ),
    "empty embedding": (
        RecommendRequest(embedding=Embedding(), k=5),
        "INVALID_ARGUMENT", "INVALID_REQUEST", "embedding.values",
        "embedding has the wrong length: found 0 numbers, expected 16. "
        "Is it from the recommender that this bundle was made for?",
    ),
    "zeros": (
        RecommendRequest(embedding=Embedding(values=[0.0] * 16), k=5),
        "INVALID_ARGUMENT", "INVALID_REQUEST", "embedding.values",
        "embedding cannot be ranked by: found zeros only, expected a vector.",
    ),
    "k = 0": (
        RecommendRequest(user_id="u1"),
        "INVALID_ARGUMENT", "INVALID_REQUEST", "k",
        "k: found 0, expected 1 to 100.",
    ),
    "k too large": (
        RecommendRequest(user_id="u1", k=101),
        "INVALID_ARGUMENT", "INVALID_REQUEST", "k",
        "k: found 101, expected 1 to 100.",
    ),
    "too many rules": (
        RecommendRequest(**WHO, rules=[Rule(action="ACTION_FILTER", concept=f"latent:{n}") for n in range(4)]),
        "INVALID_ARGUMENT", "INVALID_REQUEST", "rules",
        "too many rules: found 4, expected at most 3.",
    ),
    "too many to exclude": (
        RecommendRequest(**WHO, exclude_item_ids=list("abcdef")),
        "INVALID_ARGUMENT", "INVALID_REQUEST", "exclude_item_ids",
        "too many ids to exclude: found 6, expected at most 5.",
    ),
    "unknown concept": (
        RecommendRequest(**WHO, rules=[Rule(action="ACTION_FILTER", concept="genre:horor")]),
        "NOT_FOUND", "UNKNOWN_CONCEPT", "rules[0].concept",
        "unknown concept: found 'genre:horor'. Nearest: genre:horror.",
    ),
    "a concept that is not offered": (
        RecommendRequest(**WHO, rules=[Rule(action="ACTION_DEMOTE", concept="genre:musical")]),
        "NOT_FOUND", "UNKNOWN_CONCEPT", "rules[0].concept",
        "concept 'genre:musical' is not offered by this bundle: 3 items carry it; at least 10 are needed to fit and "
        "score a read-out. Nearest: genre:film-noir, genre:comedy, genre:children's.",
    ),
    "unknown latent": (
        RecommendRequest(**WHO, rules=[Rule(action="ACTION_DEMOTE", concept="latent:24")]),
        "NOT_FOUND", "UNKNOWN_CONCEPT", "rules[0].concept",
        "unknown latent: found 'latent:24', expected latent:0 to latent:23.",
    ),
    "strength above one": (
        RecommendRequest(**WHO, rules=[Rule(action="ACTION_DEMOTE", concept="genre:horror", strength=1.5)]),
        "INVALID_ARGUMENT", "INVALID_REQUEST", "rules[0].strength",
        f"rules[0].strength: found 1.5, {ZERO_TO_ONE}",
    ),
    "negative strength": (
        RecommendRequest(**WHO, rules=[Rule(action="ACTION_PROMOTE", concept="genre:horror", strength=-0.5)]),
        "INVALID_ARGUMENT", "INVALID_REQUEST", "rules[0].strength",
        f"rules[0].strength: found -0.5, {ZERO_TO_ONE}",
    ),
    "NaN strength": (
        RecommendRequest(**WHO, rules=[Rule(action="ACTION_PROMOTE", concept="genre:horror", strength=math.nan)]),
        "INVALID_ARGUMENT", "INVALID_REQUEST", "rules[0].strength",
        f"rules[0].strength: found nan, {ZERO_TO_ONE}",
    ),
    "label of a latent": (
        RecommendRequest(
            **WHO, rules=[Rule(action="ACTION_FILTER", concept="latent:9", membership="MEMBERSHIP_LABEL")]
        ),
        "INVALID_ARGUMENT", "INVALID_REQUEST", "rules[0].membership",
        "rules[0].membership: found label, expected readout. latent:9 is a latent: nothing labels its items.",
    ),
    "strength on a filter": (
        RecommendRequest(**WHO, rules=[Rule(action="ACTION_FILTER", concept="genre:horror", strength=1)]),
        "INVALID_ARGUMENT", "INVALID_REQUEST", "rules[0].strength",
        "rules[0].strength: found 1.0, expected unset. "
        "A filter lets no member through, so it takes neither strength nor channel. Leave it out, or DEMOTE.",
    ),
    "contradictory": (
        RecommendRequest(**WHO, rules=[
            Rule(action="ACTION_PROMOTE", concept="genre:horror"), Rule(action="ACTION_DEMOTE", concept="genre:horror"),
        ]),
        "INVALID_ARGUMENT", "INVALID_REQUEST", "rules[1]",
        "contradictory rules: rules[0] says promote genre:horror, rules[1] says demote. "
        "Say one thing about a concept in one request.",
    ),
    "duplicate": (
        RecommendRequest(**WHO, rules=[
            Rule(action="ACTION_DEMOTE", concept="genre:horror"),
            Rule(action="ACTION_FILTER", concept="genre:comedy"),
            Rule(action="ACTION_DEMOTE", concept="genre:horror", strength=0.9),
        ]),
        "INVALID_ARGUMENT", "INVALID_REQUEST", "rules[2]",
        "duplicate rules: rules[0] says demote genre:horror, rules[2] says demote. "
        "Say one thing about a concept in one request.",
    ),
    "a request id of a megabyte": (
        RecommendRequest(**WHO, request_id="r" * 1_000_000),
        "INVALID_ARGUMENT", "INVALID_REQUEST", "request_id",
        "request_id: found 1000000 characters, expected at most 128 printable ASCII characters.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SENTENCES)
def test_refusals_have_code_reason_field_and_sentence(stub: RecommendServiceStub, case: str) -> None:
    request, code, reason, field, sentence = SENTENCES[case]
    if not request.request_id:
        request.request_id = f"refused-{case}"
    refusal = _refused(stub, request)
    assert refusal.message == sentence
    assert refusal.violations == {field: sentence}
    assert (refusal.code.name, refusal.reason, refusal.domain) == (code, reason, "tiller")
    if len(request.request_id) <= 128:
        assert refusal.request_id == request.request_id


def test_of_two_users_in_one_message_the_wire_keeps_the_last() -> None:
    # A oneof holds one value: "both" cannot reach the server, whatever a client writes.
    both = RecommendRequest(user_id="u1").SerializeToString()
    both += RecommendRequest(embedding=Embedding(values=[1.0])).SerializeToString()
    assert RecommendRequest.FromString(both) == RecommendRequest(embedding=Embedding(values=[1.0]))


def test_a_concept_in_another_script_is_answered_in_it(stub: RecommendServiceStub) -> None:
    name = "genre:" + "怖" * 494
    refusal = _refused(stub, RecommendRequest(**WHO, rules=[Rule(action="ACTION_DEMOTE", concept=name)]))
    assert refusal.code is grpc.StatusCode.NOT_FOUND
    assert refusal.message.startswith("unknown concept: found 'genre:怖怖")
    assert refusal.message.endswith("怖...")


def test_policies_cannot_be_switched_off_where_the_server_says_so(bundle: Bundle, policies: Path) -> None:
    with (
        live(bundle.path, policies=policies, allow_ignore_policies=False) as server,
        grpc.insecure_channel(server.addresses.grpc) as channel,
    ):
        refusal = _refused(RecommendServiceStub(channel), RecommendRequest(**WHO, ignore_policies=True))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_ALLOWED")
    assert refusal.violations == {"ignore_policies": "this server does not let requests switch the policies off."}


def test_a_message_above_the_bound_is_refused_and_the_server_goes_on(bundle: Bundle) -> None:
    with (
        live(bundle.path, max_message_bytes=4096) as server,
        grpc.insecure_channel(server.addresses.grpc) as channel,
    ):
        stub = RecommendServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Recommend(RecommendRequest(user_id="u" * 5000, k=5), timeout=30)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(stub.Recommend(RecommendRequest(user_id="u1", k=5), timeout=30).items) == 5


def test_the_request_id_is_the_requests_else_the_proxys_else_made(stub: RecommendServiceStub) -> None:
    own = RecommendRequest(**WHO, request_id="own")
    header = (("x-request-id", "from-proxy"),)
    assert stub.Recommend(own, metadata=header, timeout=30).request_id == "own"
    bare = RecommendRequest(**WHO)
    assert stub.Recommend(bare, metadata=header, timeout=30).request_id == "from-proxy"
    made = {stub.Recommend(bare, timeout=30).request_id for _ in range(20)}
    assert len(made) == 20
    assert all(len(one) == 16 for one in made)


def _mixed() -> list[RecommendRequest]:
    rng = np.random.default_rng(0)
    concepts = ["genre:horror", "genre:comedy", "genre:western", "latent:9", "latent:20"]
    requests = []
    for n in range(50):
        chosen = rng.choice(len(concepts), size=rng.integers(0, 4), replace=False)
        rules = [
            Rule(action="ACTION_FILTER", concept=concepts[c])
            if rng.random() < 0.3
            else Rule(action="ACTION_DEMOTE" if rng.random() < 0.5 else "ACTION_PROMOTE", concept=concepts[c],
                      strength=rng.random(), channel="CHANNEL_QUERY" if rng.random() < 0.3 else "CHANNEL_ITEM")
            for c in chosen
        ]  # fmt: skip
        who = {"user_id": f"u{n % 12}"} if n % 2 else {"embedding": Embedding(values=rng.normal(size=16))}
        requests.append(
            RecommendRequest(**who, k=int(rng.integers(1, 100)), rules=rules, explain=bool(n % 3 == 0),
                             include_baseline=bool(n % 4 == 0), request_id=f"mixed-{n}",
                             attributes={"surface": "kids"} if n % 5 == 0 else {})
        )  # fmt: skip
    return requests


def test_an_answer_does_not_depend_on_its_neighbours(stub: RecommendServiceStub) -> None:
    """Law 2: fifty different calls at once answer bit for bit as they do one by one."""
    requests = _mixed()
    alone = [stub.Recommend(request, timeout=60).SerializeToString(deterministic=True) for request in requests]
    assert len(set(alone)) == 50
    with ThreadPoolExecutor(50) as pool:
        for _ in range(3):
            at_once = pool.map(lambda request: stub.Recommend(request, timeout=60), requests)
            assert [response.SerializeToString(deterministic=True) for response in at_once] == alone


def test_refusals_are_logged_with_their_request_id_and_answers_are_not(bundle: Bundle) -> None:
    with live(bundle.path) as server, grpc.insecure_channel(server.addresses.grpc) as channel:
        stub = RecommendServiceStub(channel)
        stub.Recommend(RecommendRequest(user_id="u1", k=5, request_id="fine"), timeout=30)
        _refused(stub, RecommendRequest(user_id="u1", request_id="bad"))
    assert [line["event"] for line in server.lines()] == ["serving", "refused", "draining", "stopped"]
    refused = server.lines()[1]
    assert refused.pop("time").endswith("Z")
    assert refused == {
        "event": "refused", "level": "info", "method": "Recommend", "code": "INVALID_ARGUMENT", "request_id": "bad",
        "field": "k", "message": "k: found 0, expected 1 to 500.",
    }  # fmt: skip


def test_at_debug_every_call_has_its_line(bundle: Bundle) -> None:
    with live(bundle.path, log_level="debug") as server, grpc.insecure_channel(server.addresses.grpc) as channel:
        RecommendServiceStub(channel).Recommend(RecommendRequest(user_id="u1", k=5, request_id="fine"), timeout=30)
    call = server.lines()[1]
    assert call.pop("seconds") > 0
    assert call.pop("time").endswith("Z")
    assert call == {
        "event": "call", "level": "debug", "method": "Recommend", "code": "OK", "request_id": "fine"
    }  # fmt: skip
