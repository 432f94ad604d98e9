"""What an answer says beside its list: policies, baselines, effects, short lists, and one snapshot throughout."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from server.asked import prepare
from server.policy import load_policies
from server.steer import Engine
from server.types import Action, Channel, Query, Rule, Status
from tests.server.worlds import engine, opened

POLICY = """
policies:
  - name: kids
    owner: trust
    when: {surface: kids}
    rules:
      - {action: filter, concept: "genre:horror"}
      - {action: promote, concept: "genre:children's", strength: 0.8}
  - name: old
    owner: trust
    rules:
      - {action: demote, concept: "genre:vaudeville", strength: 0.5}
"""


@pytest.fixture(scope="module")
def policed(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("policies")
    (folder / "kids.yaml").write_text(POLICY)
    core = engine("dot")
    return Engine(core.catalogue, core.encoder, core.retriever, load_policies(folder), core.limits)


def test_a_matching_policy_acts_and_is_named(policed: Engine) -> None:
    answer = policed.recommend(Query(k=10, user_id="u1", attributes={"surface": "kids"}, baseline=True))
    horror = policed.catalogue.find("genre:horror").members()
    assert not np.unpackbits(horror, bitorder="little")[answer.ranking.items].any()
    by_concept = {effect.considered.rule.concept: effect for effect in answer.effects}
    assert by_concept["genre:horror"].considered.rule.source == "policy:kids"
    assert by_concept["genre:horror"].share_after == 0.0
    assert by_concept["genre:children's"].considered.status is Status.APPLIED
    assert by_concept["genre:children's"].dose > 0
    assert by_concept["genre:vaudeville"].considered.status is Status.UNKNOWN_CONCEPT
    assert by_concept["genre:vaudeville"].share_before is None
    assert answer.policy_revision == policed.policies.revision  # type: ignore[union-attr]


def test_another_surface_and_an_opt_out_are_left_alone(policed: Engine) -> None:
    plain = engine("dot").recommend(Query(k=10, user_id="u1")).ranking
    search = policed.recommend(Query(k=10, user_id="u1", attributes={"surface": "search"})).ranking
    out = policed.recommend(Query(k=10, user_id="u1", attributes={"surface": "kids"}, use_policies=False)).ranking
    assert search.items.tolist() == out.items.tolist() == plain.items.tolist()


def test_a_policys_filter_beats_the_requests_promotion(policed: Engine) -> None:
    rules = (Rule(Action.PROMOTE, "genre:horror", 1.0),)
    answer = policed.recommend(Query(k=10, user_id="u1", rules=rules, attributes={"surface": "kids"}))
    status = {(e.considered.rule.action, e.considered.rule.concept): e.considered.status for e in answer.effects}
    assert status[Action.PROMOTE, "genre:horror"] is Status.OVERRIDDEN
    assert status[Action.FILTER, "genre:horror"] is Status.APPLIED


def test_the_baseline_is_the_unsteered_list_and_overlap_counts_it() -> None:
    core = engine("dot")
    rules = (Rule(Action.FILTER, "genre:comedy"),)
    answer = core.recommend(Query(k=10, user_id="u2", rules=rules, exclude=("i5",), baseline=True))
    plain = core.recommend(Query(k=10, user_id="u2", exclude=("i5",))).ranking
    assert answer.baseline is not None
    assert answer.baseline.items.tolist() == plain.items.tolist()
    kept = len(set(answer.ranking.items.tolist()) & set(plain.items.tolist()))
    assert answer.overlap == kept / 10


def test_unknown_excluded_ids_are_counted() -> None:
    core = engine("dot")
    assert core.recommend(Query(k=3, user_id="u0", exclude=("nope", "i1"))).unknown_excluded == 1
    assert core.recommend(Query(k=3, user_id="u0", exclude=("nope",))).unknown_excluded == 1


def test_a_short_list_says_so_and_why() -> None:
    with opened(items=30) as core:
        everything = tuple(Rule(Action.FILTER, c.id) for c in core.catalogue.concepts if c.offered and c.row != 5)
        answer = core.recommend(Query(k=10, user_id="u0", rules=everything, exclude=("i0", "i1")))
        assert answer.eligible == len(answer.ranking.items)
        assert answer.eligible is not None
        assert answer.eligible < 10
        filters = " and ".join(f"filter {e.considered.rule.concept} (request)" for e in answer.effects)
        assert answer.short_reason == (
            f"{answer.eligible} of 30 items are eligible, 10 were asked for: {filters} and 2 excluded ids"
        )


def test_a_filter_of_everything_is_answered_with_nothing() -> None:
    with opened(items=30) as core:
        ids = tuple(core.catalogue.item_ids)
        rules = (Rule(Action.PROMOTE, "genre:horror", 1.0), Rule(Action.DEMOTE, "genre:comedy", 1.0, Channel.QUERY))
        answer = core.recommend(Query(k=5, user_id="u0", rules=rules, exclude=ids, explain=True, baseline=True))
        assert answer.ranking.items.tolist() == []
        assert answer.eligible == 0
        assert answer.overlap == 1.0


def test_a_rules_dose_has_its_sign_and_size() -> None:
    """Units are worked by hand in test_dose; here: the answer reports the dose, and half the strength is a quarter."""
    core = engine("dot")
    doses = []
    for strength in (1.0, 0.5):
        rules = (Rule(Action.DEMOTE, "genre:comedy", strength),)
        doses.append(core.recommend(Query(k=10, user_id="u0", rules=rules)).effects[0].dose)
    assert doses[0] < 0
    assert doses[0] == pytest.approx(4 * doses[1])


def test_an_explanation_names_base_rank_and_concepts() -> None:
    core = engine("dot")
    plain = core.recommend(Query(k=10, user_id="u0")).ranking.items.tolist()
    answer = core.recommend(Query(k=10, user_id="u0", rules=(Rule(Action.DEMOTE, "genre:comedy", 0.7),), explain=True))
    for row, why in zip(answer.ranking.items.tolist(), answer.explanations, strict=True):
        if row in plain:
            assert why.base_rank == plain.index(row) + 1
        genres = set(core.catalogue.bundle.contents.items["genre"][row].as_py())
        labelled = {concept.split(":")[1] for concept, _, has_label in why.concepts if has_label}
        assert labelled == {genre.lower() for genre in genres}
        assert [value for _, value, _ in why.concepts] == sorted((v for _, v, _ in why.concepts), reverse=True)


def test_warm_fills_what_the_first_caller_would_pay_for() -> None:
    engine("cosine").warm()
    assert engine("cosine").catalogue.find("genre:horror").posting_vectors.flags.c_contiguous


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("dot", {"members_by_readout"}),
        ("network", {"members_by_readout"}),
        ("network/proxy", {"posting_gain", "posting"}),
        ("dot/hnsw-raw", {"posting_vectors", "posting"}),
    ],
)
def test_warming_makes_what_the_backend_reads_and_nothing_else(kind: str, made: set[str]) -> None:
    """Posting vectors of 32 concepts take more memory than the catalogue's own."""
    known = engine(kind)
    steerable = replace(known.catalogue.find("genre:horror"))  # nothing made yet
    prepare(known.retriever, steerable)
    assert {name for name in vars(steerable) if name not in {field.name for field in fields(steerable)}} == made
