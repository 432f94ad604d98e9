"""What a rule can name besides one concept: what it does, worked out by hand, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from server.errors import InvalidRequest, UnknownConcept
from server.policy import compile_files
from server.subject import Examples, Given, Items, Mixture, Subject, Toward
from server.types import Action, Channel, Membership, Query, Rule, Status
from tests.server.worlds import engine, opened

HORROR, COMEDY, WESTERN = "genre:horror", "genre:comedy", "genre:western"


def rule(action: Action, subject: Subject, strength: float = 0.5, **more: object) -> Rule:
    return Rule(action, str(subject), strength, subject=subject, **more)  # type: ignore[arg-type]


def members(core: object, one: Rule) -> np.ndarray:  # type: ignore[type-arg]
    catalogue = core.catalogue  # type: ignore[attr-defined]
    packed = catalogue.of(one).members(one.membership)
    return np.unpackbits(packed, count=len(catalogue.item_ids), bitorder="little").astype(bool)


def test_a_weighted_set_is_the_weighted_sum_of_its_read_outs_and_the_union_of_their_members() -> None:
    core = engine("dot")
    horror, comedy = (core.catalogue.find(name) for name in (HORROR, COMEDY))
    subject = Given(concepts={HORROR: 4, COMEDY: 1}).named()[1]
    assert subject == Mixture(((HORROR, 1.0), (COMEDY, 0.25)))
    made = core.catalogue.of(rule(Action.PROMOTE, subject))
    np.testing.assert_allclose(made.gain, np.minimum(horror.gain + 0.25 * comedy.gain, 1))
    assert (made.members() == (horror.members() | comedy.members())).all()
    assert (made.members(Membership.READOUT) == (horror.readouts | comedy.readouts)).all()


def test_a_filter_on_a_set_returns_no_member_of_any() -> None:
    core = engine("dot")
    subject = Mixture(((HORROR, 1.0), (COMEDY, 0.01), ("latent:9", 0.01)))
    one = rule(Action.FILTER, subject, 1.0)
    shown = core.recommend(Query(k=400, user_id="u1", rules=(one,))).ranking.items
    out = [Rule(Action.FILTER, concept, 1.0) for concept in subject.concepts]
    assert not np.logical_or.reduce([members(core, other) for other in out])[shown].any()
    assert len(shown) == int((~members(core, one)).sum())


def test_examples_find_the_others_of_their_kind() -> None:
    """Items of one planted concept, and no label is looked at."""
    core = engine("dot")
    inside = members(core, Rule(Action.FILTER, WESTERN, 1.0))
    alone = inside & ~np.logical_or.reduce([members(core, Rule(Action.FILTER, c, 1.0)) for c in (HORROR, COMEDY)])
    ids = tuple(core.catalogue.item_ids[row] for row in np.flatnonzero(alone)[:4])
    made = core.catalogue.of(rule(Action.PROMOTE, Examples(ids)))
    others = alone.copy()
    others[[core.catalogue.item_rows[item] for item in ids]] = False
    assert made.gain[[core.catalogue.item_rows[item] for item in ids]].tolist() == [1.0] * 4
    assert made.gain[others].mean() > 0.4
    assert made.gain[~inside].mean() < 0.1
    assert made.labels is None


def test_unlike_takes_away_what_it_is_like() -> None:
    core = engine("dot")
    both = members(core, Rule(Action.FILTER, WESTERN, 1.0)) & members(core, Rule(Action.FILTER, HORROR, 1.0))
    like = tuple(core.catalogue.item_ids[row] for row in np.flatnonzero(both)[:3])
    only = members(core, Rule(Action.FILTER, HORROR, 1.0)) & ~both
    unlike = tuple(core.catalogue.item_ids[row] for row in np.flatnonzero(only)[:3])
    plain, less = (core.catalogue.of(rule(Action.PROMOTE, Examples(like, away))) for away in ((), unlike))
    assert less.gain[only].mean() < plain.gain[only].mean()
    assert less.gain[[core.catalogue.item_rows[item] for item in unlike]].tolist() == [0.0] * 3


def test_unlike_alone_is_answered_as_the_other_action() -> None:
    core = engine("dot")
    one = Rule.about(Given(unlike=("i3",)), Action.PROMOTE, strength=0.7)
    same = rule(Action.DEMOTE, Examples(("i3",)), 0.7)
    assert one == same
    lists = [core.recommend(Query(k=10, user_id="u2", rules=(it,))).ranking for it in (one, same)]
    assert lists[0].scores.tobytes() == lists[1].scores.tobytes()


def test_unknown_ids_are_skipped_as_long_as_one_is_known() -> None:
    core = engine("dot")
    some, known = (rule(Action.FILTER, Items(ids), 1.0) for ids in (("gone", "i3"), ("i3",)))
    assert (members(core, some) == members(core, known)).all()
    none = rule(Action.PROMOTE, Examples(("gone", "lost")))
    with pytest.raises(UnknownConcept) as refused:
        core.recommend(Query(k=5, user_id="u1", rules=(none,)))
    assert refused.value.field == "rules[0].like"
    assert str(refused.value).startswith("none of the items is in the catalogue: found 'gone', 'lost', expected ids")


def test_examples_that_cancel_out_are_refused_and_a_policy_with_them_does_nothing() -> None:
    core = engine("dot")
    codes = core.catalogue.bundle.contents.item_codes
    twin = next(
        (a, b)
        for a in range(len(codes))
        for b in range(a)
        if np.array_equal(codes.row(a)[0], codes.row(b)[0]) and np.allclose(codes.row(a)[1], codes.row(b)[1], atol=0.2)
    )
    like, unlike = ((core.catalogue.item_ids[row],) for row in twin)
    mean = np.asarray(core.catalogue.subjects.mean)
    assert mean.shape == (24,)
    made = core.catalogue.of(rule(Action.PROMOTE, Examples(like, unlike)))
    assert made.gain[core.catalogue.item_rows[unlike[0]]] == 0


@pytest.mark.parametrize(
    "kind", ["dot", "bias", "cosine", "network", "dot/hnsw-raw", "cosine/ivf-raw", "network/proxy"]
)
def test_items_toward_an_audience_reach_its_mean_user_s_ten_best_at_strength_one(kind: str) -> None:
    core = engine(kind)
    assert core.pusher is not None
    concept = core.catalogue.find(WESTERN)
    audience = core.pusher._audience(concept)
    worst = audience.asked.search(len(core.retriever), None).items[-40:].tolist()
    subject = Toward(tuple(sorted(core.catalogue.item_ids[row] for row in worst[:3])), WESTERN)
    push = core.pusher.push(subject, concept)
    plain = audience.asked.scores(push.rows)
    half, full = (audience.asked.elsewhere(push.rows, push.times(part).deltas) for part in (0.5, 1.0))
    reached = full >= audience.goal - 1e-4
    assert (full > plain).all()
    assert (half > plain).all()
    assert (half <= full + 1e-6).all()
    if kind.partition("/")[0] in {"dot", "bias"}:
        assert reached.all()
        np.testing.assert_allclose(half, (plain + full) / 2, atol=1e-5)


def test_who_shares_no_taste_with_the_audience_keeps_his_list() -> None:
    core = engine("dot")
    concept = core.catalogue.find(WESTERN)
    assert core.pusher is not None
    audience = core.pusher._audience(concept)
    subject = Toward(
        tuple(core.catalogue.item_ids[row] for row in audience.asked.search(240, None).items[-5:-4]), WESTERN
    )
    moved = rule(Action.PROMOTE, subject, 1.0)
    rises = [core.recommend(Query(k=10, user_id=f"u{u}", rules=(moved,))).effects[0].dose for u in range(12)]
    contents = core.catalogue.bundle.contents
    taste = contents.user_vectors @ audience.toward  # type: ignore[operator]
    assert np.corrcoef(rises, taste)[0, 1] > 0.999
    assert min(rises) < 0 < max(rises)


def test_an_item_that_moves_competes_beside_other_rules_and_filters_hold() -> None:
    core = engine("dot")
    subject = Toward(("i7",), WESTERN)
    moved = rule(Action.PROMOTE, subject, 1.0)
    gone = rule(Action.FILTER, Items(("i7",)), 1.0)
    answer = core.recommend(Query(k=240, user_id="u1", rules=(moved, gone), explain=True))
    assert core.catalogue.item_rows["i7"] not in answer.ranking.items
    kept = core.recommend(Query(k=240, user_id="u1", rules=(moved, Rule(Action.DEMOTE, WESTERN, 0.5)), explain=True))
    place = kept.ranking.items.tolist().index(core.catalogue.item_rows["i7"])
    parts = {part.rule.concept: part.value for part in kept.explanations[place].contributions}
    assert parts[str(subject)] == pytest.approx(kept.effects[1].dose, abs=1e-6)


@pytest.mark.parametrize(
    ("one", "field", "sentence"),
    [
        (rule(Action.DEMOTE, Toward(("i1",), WESTERN)), "rules[0].toward", "not taken by a demote"),
        (rule(Action.FILTER, Toward(("i1",), WESTERN), 1.0), "rules[0].toward", "not taken by a filter"),
        (rule(Action.PROMOTE, Toward(("i1",), WESTERN), 1.0, share=0.2), "rules[0].toward", "not taken by a share"),
        (rule(Action.PROMOTE, Items(("i1",)), channel=Channel.QUERY), "rules[0].channel", "not taken with items"),
        (rule(Action.FILTER, Examples(("i1",)), 1.0, membership=Membership.LABEL), "rules[0].membership", "readout"),
    ],
)
def test_what_cannot_be_meant_is_refused(one: Rule, field: str, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        engine("dot").recommend(Query(k=5, user_id="u1", rules=(one,)))
    assert refused.value.field == field
    assert sentence in str(refused.value)


def test_a_request_has_a_few_such_rules_and_no_more() -> None:
    rules = tuple(rule(Action.DEMOTE, Items((f"i{number}",)), 0.1) for number in range(9))
    assert len(engine("dot").recommend(Query(k=5, user_id="u1", rules=rules[:8])).ranking.items) == 5
    with pytest.raises(InvalidRequest, match="too many rules on sets, examples and items: found 9, expected at most 8"):
        engine("dot").recommend(Query(k=5, user_id="u1", rules=rules))


def test_a_share_of_a_set_and_of_examples_is_met() -> None:
    core = engine("dot")
    subject: Subject
    for subject in (Mixture(((WESTERN, 1.0), (HORROR, 0.5))), Examples(("i3", "i4"))):
        one = rule(Action.PROMOTE, subject, 1.0, share=0.6)
        shown = core.recommend(Query(k=10, user_id="u3", rules=(one,))).ranking.items
        assert members(core, one)[shown].sum() >= 6


def test_a_bundle_without_users_has_no_audience() -> None:
    with opened() as core:
        contents = replace(core.catalogue.bundle.contents, user_ids=None, user_vectors=None)
        core.catalogue.subjects._contents = contents
        one = rule(Action.PROMOTE, Toward(("i1",), WESTERN))
        assert not core.catalogue.offers(one)
        vector = np.asarray(contents.item_vectors[0])
        with pytest.raises(UnknownConcept, match="this bundle stores no users"):
            core.recommend(Query(k=5, embedding=vector, rules=(one,)))


def test_a_concept_without_an_item_has_no_audience() -> None:
    core = engine("dot")
    codes = core.catalogue.bundle.contents.item_codes
    dead = [latent for latent in range(24) if not len(codes.posting(latent)[0])]
    nobody = Items(("gone",))
    assert not core.catalogue.offers(rule(Action.PROMOTE, nobody))
    for latent in dead:
        one = rule(Action.PROMOTE, Toward(("i1",), f"latent:{latent}"))
        assert not core.catalogue.offers(one)
    with opened(items=40, seed=7, latents=40) as other:
        counts = [len(other.catalogue.bundle.contents.item_codes.posting(latent)[0]) for latent in range(40)]
        silent = rule(Action.PROMOTE, Toward(("i1",), f"latent:{counts.index(0)}"))
        with pytest.raises(UnknownConcept, match=r"has no item in this bundle, and so no audience"):
            other.recommend(Query(k=5, user_id="u1", rules=(silent,)))


def test_concepts_of_the_folder_come_into_force_with_its_policies_and_leave_with_them() -> None:
    core = engine("dot")
    text = b"""concepts:
  custom:cosy: {concepts: {genre:western: 1, genre:horror: 0.5}}
  custom:lost: {items: [gone]}
policies:
  - {name: mine, owner: me, rules: [{action: promote, concept: custom:cosy}, {action: filter, concept: custom:lost}]}
"""
    policies = compile_files({"mine.yaml": text}, "policies")
    under = replace(core, policies=policies)
    answer = under.recommend(Query(k=10, user_id="u1", explain=True))
    spelt = rule(Action.PROMOTE, Mixture(((WESTERN, 1.0), (HORROR, 0.5))))
    plain = core.recommend(Query(k=10, user_id="u1", rules=(spelt,)))
    assert answer.ranking.scores.tobytes() == plain.ranking.scores.tobytes()
    assert [(effect.considered.rule.concept, effect.considered.status) for effect in answer.effects] == [
        ("custom:cosy", Status.APPLIED), ("custom:lost", Status.UNKNOWN_CONCEPT),
    ]  # fmt: skip
    assert any(name == "custom:cosy" for why in answer.explanations for name, _, _ in why.concepts)
    assert under.catalogue.search(family="custom") == ["custom:cosy"]
    assert under.catalogue.search(family="custom", include_not_offered=True) == ["custom:cosy", "custom:lost"]
    with pytest.raises(UnknownConcept, match="not offered by this bundle: none of the items is in the catalogue"):
        under.catalogue.find("custom:lost")
    assert replace(under, policies=None).catalogue is core.catalogue
    assert replace(core, policies=policies).catalogue is under.catalogue
    assert not core.catalogue.is_offered("custom:cosy")
