"""The metrics: what they count, and that docs/monitoring.md lists each of them, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest

from bundle import Bundle
from protos.steering.v1.recommend_pb2 import RecommendRequest, RecommendResponse
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub
from protos.steering.v1.rules_pb2 import Rule
from server.policy import load_policies
from server.telemetry import STAGES, Telemetry
from server.types import Action, Answer, Considered, Effect, Ranking, Status
from server.types import Rule as CoreRule
from tests.docs_reader import ROOT
from tests.live import Live, live, read_metrics
from tests.world import make_world, write_world

ROW = re.compile(r"^\| `(tiller_\w+)` \| (\w+) \| (.*?) \|", re.MULTILINE)

POLICIES = """
policies:
  - {name: kids, owner: safety, when: {surface: kids}, rules: [{action: filter, concept: "genre:horror"}]}
  - {name: trial, owner: shop, mode: shadow, rules: [{action: promote, concept: "genre:western"}]}
  - {name: off, owner: shop, enabled: false, rules: [{action: promote, concept: "genre:western"}]}
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_world(make_world(), tmp_path_factory.mktemp("metrics") / "planted")


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "all.yaml").write_text(POLICIES)
    return folder


def _ask(server: Live, **request: object) -> RecommendResponse:
    with grpc.insecure_channel(server.addresses.grpc) as channel:
        return RecommendServiceStub(channel).Recommend(
            RecommendRequest(**{"user_id": "u3", "k": 10, **request}), timeout=30
        )


def _used(bundle: Bundle) -> Telemetry:
    """Telemetry that has counted something of everything, so that every label is there."""
    telemetry = Telemetry()
    telemetry.serving(bundle.manifest, load_policies(None))
    telemetry.started("Recommend")
    telemetry.finished("Recommend", "OK", 0.001)
    telemetry.shed("in_flight")
    telemetry.drift.trained_on({"error": {"0.5": 0.1}})
    rule = CoreRule(Action.DEMOTE, "genre:horror", source="policy:kids")
    effect = Effect(Considered(rule, Status.APPLIED), share_before=0.5, share_after=0.1)
    telemetry.answered(answered(effect, eligible=0))
    return telemetry


def answered(*effects: Effect, **more: Any) -> Answer:
    nothing = np.zeros(0, np.int64)
    return Answer(Ranking(nothing, nothing.astype(np.float32)), effects, "b", "r", {"search": 0.001}, **more)


def read(telemetry: Telemetry) -> dict[str, float]:
    return read_metrics(generate_latest(telemetry.registry).decode())


def test_the_documentation_has_every_metric_with_its_type_and_labels_and_no_other(bundle: Bundle) -> None:
    documented = {
        name: (kind, set(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in ROW.findall((ROOT / "docs" / "monitoring.md").read_text())
    }
    exported = {}
    for family in _used(bundle).registry.collect():
        if family.name.startswith("process_"):
            continue
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        exported[name] = (family.type, labels)
    assert documented == exported


def test_the_other_metrics_are_those_of_the_process(bundle: Bundle) -> None:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    known = {family.name for family in registry.collect()}
    assert {f.name for f in _used(bundle).registry.collect() if not f.name.startswith("tiller_")} == known


def test_every_metric_has_help_text(bundle: Bundle) -> None:
    assert [family.name for family in _used(bundle).registry.collect() if len(family.documentation) < 10] == []


def test_calls_are_counted_by_method_and_code_and_timed(bundle: Bundle) -> None:
    with live(bundle.path) as server:
        for _ in range(2):
            _ask(server, explain=True)
        _ask(server)
        with pytest.raises(grpc.RpcError):
            _ask(server, k=0)
        metrics = server.metrics()
    assert metrics['tiller_requests_total{code="OK",method="Recommend"}'] == 3
    assert metrics['tiller_requests_total{code="INVALID_ARGUMENT",method="Recommend"}'] == 1
    assert metrics['tiller_request_seconds_count{method="Recommend"}'] == 4
    assert metrics["tiller_in_flight"] == 0
    stages = ("decode", "user", "plan", "mask", "search", "edit", "explain", "encode")
    assert stages == STAGES
    counts = {stage: metrics[f'tiller_stage_seconds_count{{stage="{stage}"}}'] for stage in stages}
    assert counts == dict.fromkeys(stages, 3) | {"edit": 2}  # nothing steers the plain call
    inside = sum(metrics[f'tiller_stage_seconds_sum{{stage="{stage}"}}'] for stage in stages)
    assert 0 < inside <= metrics['tiller_request_seconds_sum{method="Recommend"}']


def test_shares_before_and_after_are_those_of_the_answer(bundle: Bundle) -> None:
    rules = [
        Rule(action="ACTION_FILTER", concept="genre:comedy"),
        Rule(action="ACTION_PROMOTE", concept="genre:western", strength=0.8),
        Rule(action="ACTION_DEMOTE", concept="latent:9"),
        Rule(action="ACTION_DEMOTE", concept="latent:12"),
        Rule(action="ACTION_DEMOTE", concept="genre:horror", strength=0),
    ]
    users = ("u1", "u2", "u3")
    with live(bundle.path) as server:
        shown = [_ask(server, user_id=user, rules=rules, include_baseline=True) for user in users]
        quiet = [_ask(server, user_id=user, rules=rules) for user in users]  # the same, with the baseline unseen
        metrics = server.metrics()
    assert [list(one.items) for one in quiet] == [list(one.items) for one in shown]
    shares: dict[tuple[str, str], list[float]] = {}
    for answer in shown:
        for outcome in answer.rules:
            concept = outcome.rule.concept
            key = "latent" if concept.startswith("latent:") else concept
            shares.setdefault((key, "before"), []).append(outcome.share_before)
            shares.setdefault((key, "after"), []).append(outcome.share_after)
    for concept, action, rules_of_it in (
        ("genre:comedy", "filter", 1), ("genre:western", "promote", 1), ("latent", "demote", 2)
    ):  # fmt: skip
        for when in ("before", "after"):
            labels = f'{{action="{action}",concept="{concept}",when="{when}"}}'
            assert metrics[f"tiller_concept_share_count{labels}"] == 2 * len(users) * rules_of_it
            assert metrics[f"tiller_concept_share_sum{labels}"] == pytest.approx(2 * sum(shares[concept, when]))
    assert metrics['tiller_concept_share_sum{action="filter",concept="genre:comedy",when="after"}'] == 0
    assert not [name for name in metrics if "genre:horror" in name or "latent:" in name]
    assert metrics['tiller_rules_total{action="demote",source_kind="request",status="off"}'] == 6
    assert metrics['tiller_rules_total{action="demote",source_kind="request",status="applied"}'] == 12


def test_without_a_sample_only_baselines_that_were_asked_for_count(bundle: Bundle) -> None:
    rules = [Rule(action="ACTION_DEMOTE", concept="genre:comedy")]
    labels = '{action="demote",concept="genre:comedy",when="after"}'
    with live(bundle.path, share_sample=0.0) as server:
        for _ in range(5):
            _ask(server, rules=rules)
        assert f"tiller_concept_share_count{labels}" not in server.metrics()
        _ask(server, rules=rules, include_baseline=True)
        assert server.metrics()[f"tiller_concept_share_count{labels}"] == 1


def test_a_part_of_the_calls_is_sampled(bundle: Bundle) -> None:
    rules = [Rule(action="ACTION_DEMOTE", concept="genre:comedy")]
    with live(bundle.path, share_sample=0.5) as server:
        for _ in range(200):
            _ask(server, rules=rules)
        count = server.metrics()['tiller_concept_share_count{action="demote",concept="genre:comedy",when="after"}']
    assert 50 < count < 150  # 200 fair coins: 7 standard deviations either way


def test_policies_are_told_apart_from_requests(bundle: Bundle, policies: Path) -> None:
    with live(bundle.path, policies=policies) as server:
        _ask(server, attributes={"surface": "kids"})
        _ask(server)
        metrics = server.metrics()
    assert metrics['tiller_rules_total{action="filter",source_kind="policy",status="applied"}'] == 1
    assert metrics['tiller_rules_total{action="promote",source_kind="policy",status="shadow"}'] == 2
    assert metrics['tiller_concept_share_count{action="filter",concept="genre:horror",when="after"}'] == 1
    assert metrics['tiller_concept_share_sum{action="filter",concept="genre:horror",when="after"}'] == 0
    assert not [name for name in metrics if name.startswith("tiller_concept_share") and "western" in name]
    assert metrics['tiller_policies{mode="enforce"}'] == 1
    assert metrics['tiller_policies{mode="shadow"}'] == 1
    assert metrics['tiller_policies{mode="disabled"}'] == 1
    assert metrics[f'tiller_policy_info{{revision="{server.addresses.policy_revision}"}}'] == 1


def test_short_lists_and_what_is_served(bundle: Bundle) -> None:
    with live(bundle.path) as server:
        _ask(server)
        _ask(server, k=300)
        metrics = server.metrics()
    assert metrics["tiller_short_lists_total"] == 1
    manifest = bundle.manifest
    assert metrics["tiller_bundle_items"] == 240
    assert metrics["tiller_bundle_concepts"] == 6
    info = f'{{bundle_id="{manifest.bundle_id}",name="planted",tiller_version="{manifest.tiller_version}"}}'
    assert metrics[f"tiller_bundle_info{info}"] == 1
    assert metrics['tiller_policy_info{revision="none"}'] == 1
    loaded = metrics["tiller_bundle_loaded_timestamp_seconds"]
    assert metrics["process_start_time_seconds"] < loaded == metrics["tiller_policies_loaded_timestamp_seconds"]


def test_a_concept_that_two_rules_steer_the_same_way_counts_once() -> None:
    telemetry = Telemetry()
    twice = [CoreRule(Action.FILTER, "genre:horror", source=source) for source in ("request", "policy:kids")]
    effects = tuple(Effect(Considered(r, Status.APPLIED), share_before=0.5, share_after=0.0) for r in twice)
    telemetry.answered(answered(*effects))
    metrics = read(telemetry)
    assert metrics['tiller_concept_share_count{action="filter",concept="genre:horror",when="before"}'] == 1
    assert metrics['tiller_concept_share_sum{action="filter",concept="genre:horror",when="before"}'] == 0.5


def test_another_bundle_takes_the_place_of_the_first(bundle: Bundle) -> None:
    telemetry = Telemetry()
    telemetry.serving(bundle.manifest.model_copy(update={"bundle_id": "old"}), load_policies(None))
    telemetry.serving(bundle.manifest, load_policies(None))
    metrics = read(telemetry)
    assert [name for name in metrics if name.startswith("tiller_bundle_info")] == [
        f'tiller_bundle_info{{bundle_id="{bundle.manifest.bundle_id}",name="planted",'
        f'tiller_version="{bundle.manifest.tiller_version}"}}'
    ]


def test_policies_are_counted_where_they_act_and_where_they_would(bundle: Bundle, policies: Path) -> None:
    with live(bundle.path, policies=policies) as server:
        for _ in range(3):
            _ask(server, attributes={"surface": "kids"})
        _ask(server)
        metrics = server.metrics()
    assert metrics["tiller_policy_evaluations_total"] == 4
    assert metrics['tiller_policy_fired_total{mode="enforce",policy="kids"}'] == 3
    assert metrics['tiller_policy_fired_total{mode="shadow",policy="trial"}'] == 4
    assert not [name for name in metrics if 'policy="off"' in name]
    labels = '{action="filter",policy="kids",when="%s"}'
    assert metrics["tiller_policy_share_count" + labels % "before"] == 3
    assert metrics["tiller_policy_share_sum" + labels % "after"] == 0
    assert not [name for name in metrics if name.startswith("tiller_policy_share") and "trial" in name]


def test_without_policies_none_is_evaluated(bundle: Bundle) -> None:
    with live(bundle.path) as server:
        _ask(server)
        assert server.metrics()["tiller_policy_evaluations_total"] == 0


def test_overlap_is_that_of_the_steered_answers(bundle: Bundle) -> None:
    with live(bundle.path) as server:
        for user in ("u1", "u2"):
            _ask(server, user_id=user, include_baseline=True)  # not steered: it is its own baseline
        rules = [Rule(action="ACTION_PROMOTE", concept="genre:western", strength=1)]
        seen = [_ask(server, user_id=user, rules=rules, include_baseline=True).overlap for user in ("u1", "u2", "u3")]
        metrics = server.metrics()
    assert metrics["tiller_overlap_count"] == 3
    assert metrics["tiller_overlap_sum"] == pytest.approx(sum(seen))
    assert 0 < sum(seen) < 3


def test_one_policy_with_two_rules_fires_once() -> None:
    telemetry = Telemetry()
    rules = [CoreRule(Action.FILTER, f"genre:{name}", source="policy:kids") for name in ("horror", "comedy")]
    telemetry.answered(answered(*(Effect(Considered(rule, Status.APPLIED)) for rule in rules)))
    assert read(telemetry)['tiller_policy_fired_total{mode="enforce",policy="kids"}'] == 1


def test_labels_stay_bounded() -> None:
    """A thousand policies and concepts make as many series as the bounds allow, and nothing is lost."""
    telemetry = Telemetry()
    for number in range(1000):
        rule = CoreRule(Action.DEMOTE, f"genre:{number}", source=f"policy:{number}")
        effect = Effect(Considered(rule, Status.APPLIED), share_before=0.5, share_after=0.25)
        telemetry.answered(answered(effect))
        telemetry.shed(f"reason {number}")
    metrics = read(telemetry)
    for name, other, most in (
        ("tiller_policy_fired_total", '{mode="enforce",policy="other"}', 100),
        ("tiller_concept_share_count", '{action="demote",concept="other",when="after"}', 200),
        ("tiller_policy_share_count", '{action="demote",policy="other",when="after"}', 100),
        ("tiller_shed_total", '{reason="other"}', 16),
    ):
        found = {key: value for key, value in metrics.items() if key.startswith(name) and "before" not in key}
        assert len(found) == most + 1
        assert found[name + other] == 1000 - most
        assert sum(found.values()) == 1000


def test_every_gauge_says_how_it_adds_up_over_processes() -> None:
    modes = {
        name: collector._multiprocess_mode
        for name, collector in Telemetry().registry._names_to_collectors.items()
        if isinstance(collector, Gauge)
    }
    assert {modes.pop("tiller_in_flight"), modes.pop("tiller_workers", "livesum")} == {"livesum"}
    assert set(modes.values()) == {"livemax", "livemin"}  # facts: of a process that is gone nothing is left


def test_what_a_caller_writes_is_never_a_label(bundle: Bundle) -> None:
    written = {
        "like": Rule(action="ACTION_PROMOTE", like=["i1", "i2"]),
        "set": Rule(action="ACTION_DEMOTE", concepts={"genre:horror": 1, "genre:comedy": 0.5}),
        "items": Rule(action="ACTION_PROMOTE", items=["i9"]),
        "toward": Rule(action="ACTION_PROMOTE", items=["i7"], toward="genre:western"),
    }
    with live(bundle.path) as server:
        for rule in written.values():
            _ask(server, rules=[rule], include_baseline=True)
        metrics = server.metrics()
    seen = [re.search(r'concept="([^"]*)"', name) for name in metrics if name.startswith("tiller_concept_share_count")]
    assert {found[1] for found in seen if found} == set(written)
    assert not [name for name in metrics if "i1" in name or "genre:" in name]
