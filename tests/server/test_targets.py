"""Share targets: met by the smallest dose wherever they can be met, several at once, else what was possible."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import bits
from server.errors import InvalidRequest
from server.policy import resolve
from server.steer import Engine
from server.types import Action, Answer, Channel, Query, Rule, Status
from tests.server.worlds import engine

KINDS = ["dot", "cosine", "network"]
CONCEPTS = ["genre:horror", "genre:comedy", "genre:western", "latent:3"]
asked_for = given(
    user=st.integers(0, 11),
    concept=st.sampled_from(CONCEPTS),
    k=st.integers(1, 30),
    part=st.sampled_from([0, 0.1, 0.3, 0.5, 1]),
)


def users(core: Engine) -> list[str]:
    return list(core.catalogue.bundle.contents.user_ids or ())


def counted(core: Engine, answer: Answer, concept: str) -> int:
    return int(bits.has_each(core.catalogue.find(concept).members(), answer.ranking.items).sum())


def members(core: Engine, concept: str) -> int:
    return bits.count(core.catalogue.find(concept).members(), len(core.catalogue.item_ids))


def quota(core: Engine, user: str, concept: str, k: int, wanted: int) -> set[int]:
    """The quota re-rank: the best members fill their places, the best others the rest."""
    order = core.recommend(Query(k=len(core.catalogue.item_ids), user_id=user)).ranking.items
    inside = bits.has_each(core.catalogue.find(concept).members(), order)
    return {*order[inside][:wanted].tolist(), *order[~inside][: k - wanted].tolist()}


@pytest.mark.parametrize("kind", KINDS)
@asked_for
def test_a_minimum_is_met_as_the_quota_re_rank_meets_it(
    kind: str, user: int, concept: str, k: int, part: float
) -> None:
    core = engine(kind)
    rule = Rule(Action.PROMOTE, concept, 1.0, share=part)
    answer = core.recommend(Query(k=k, user_id=users(core)[user], rules=(rule,), explain=True))
    wanted = math.ceil(part * k - 1e-9)
    assert counted(core, answer, concept) >= min(wanted, members(core, concept))
    effect = answer.effects[0]
    assert effect.considered.status is Status.APPLIED
    assert bool(effect.note) == (members(core, concept) < wanted)
    plain = core.recommend(Query(k=k, user_id=users(core)[user]))
    assert (effect.dose == 0) == (counted(core, plain, concept) >= wanted)
    if effect.dose > 0 and not effect.note:
        assert set(answer.ranking.items.tolist()) == quota(core, users(core)[user], concept, k, wanted)
    # Law 7 holds for solved doses as for any other.
    for score, why in zip(answer.ranking.scores, answer.explanations, strict=True):
        assert why.base_score + sum(c.value for c in why.contributions) == pytest.approx(score, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@asked_for
def test_a_maximum_is_met_as_the_quota_re_rank_meets_it(
    kind: str, user: int, concept: str, k: int, part: float
) -> None:
    core = engine(kind)
    rule = Rule(Action.DEMOTE, concept, 1.0, share=part)
    answer = core.recommend(Query(k=k, user_id=users(core)[user], rules=(rule,)))
    wanted = math.floor(part * k + 1e-9)
    assert len(core.catalogue.item_ids) - members(core, concept) >= k
    assert counted(core, answer, concept) <= wanted
    assert not answer.effects[0].note
    if answer.effects[0].dose < 0:
        assert set(answer.ranking.items.tolist()) == quota(core, users(core)[user], concept, k, wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_several_at_once(kind: str) -> None:
    core = engine(kind)
    rules = (
        Rule(Action.PROMOTE, "genre:horror", 1.0, share=0.3),
        Rule(Action.PROMOTE, "genre:western", 1.0, share=0.2),
        Rule(Action.DEMOTE, "genre:comedy", 1.0, share=0.1),
    )
    for user in users(core):
        answer = core.recommend(Query(k=10, user_id=user, rules=rules))
        assert [effect.note for effect in answer.effects] == ["", "", ""]
        assert counted(core, answer, "genre:horror") >= 3
        assert counted(core, answer, "genre:western") >= 2
        assert counted(core, answer, "genre:comedy") <= 1


def test_beside_rules_with_a_strength_and_filters() -> None:
    core = engine("dot")
    rules = (
        Rule(Action.FILTER, "genre:comedy"),
        Rule(Action.DEMOTE, "genre:horror", 0.6),
        Rule(Action.PROMOTE, "genre:western", 1.0, share=0.4),
    )
    for user in users(core):
        answer = core.recommend(Query(k=10, user_id=user, rules=rules))
        assert counted(core, answer, "genre:western") >= 4
        assert counted(core, answer, "genre:comedy") == 0


def test_what_cannot_be_met_is_answered_with_what_was_possible() -> None:
    core = engine("dot")
    there = members(core, "genre:western")
    answer = core.recommend(
        Query(k=there + 20, user_id=users(core)[0], rules=(Rule(Action.PROMOTE, "genre:western", 1.0, share=1.0),))
    )
    assert counted(core, answer, "genre:western") == there
    assert answer.effects[0].note == (
        f"genre:western: {there} of {there + 20} is what was possible, at least {there + 20} of {there + 20} was asked "
        f"for; {there} are eligible"
    )


def test_two_that_contradict_each_other_say_so() -> None:
    core = engine("dot")
    there = [core.catalogue.find(name).members() for name in ("genre:horror", "genre:western")]
    k = bits.count(there[0] & there[1], len(core.catalogue.item_ids)) + 5
    rules = (
        Rule(Action.PROMOTE, "genre:horror", 1.0, share=1.0),
        Rule(Action.PROMOTE, "genre:western", 1.0, share=1.0),
    )
    answer = core.recommend(Query(k=k, user_id=users(core)[0], rules=rules))
    assert len(answer.ranking.items) == k
    assert any("is what was possible" in effect.note for effect in answer.effects)


def test_a_share_outranks_any_strength_on_its_concept_and_the_tighter_one_wins() -> None:
    core = engine("dot")
    policy = Rule(Action.PROMOTE, "genre:horror", 1.0, source="policy:a")
    loose = Rule(Action.PROMOTE, "genre:horror", 1.0, source="policy:b", share=0.1)
    tight = Rule(Action.PROMOTE, "genre:horror", 1.0, source="policy:c", share=0.2)
    plan = resolve((policy, loose, tight), core.catalogue.offers)
    assert plan.applied == (tight,)
    low = Rule(Action.DEMOTE, "genre:horror", 1.0, source="policy:b", share=0.1)
    high = Rule(Action.DEMOTE, "genre:horror", 1.0, source="policy:c", share=0.2)
    assert resolve((low, high), core.catalogue.offers).applied == (low,)


OUTSIDE = ", expected a part of the list, 0 to 1."
QUERY = (
    "rules[0].channel: found query, expected item with a share. A share of one list is met on the item channel, where "
    "what a dose does is known exactly."
)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Rule(Action.PROMOTE, "genre:horror", 1.0, share=1.2), f"rules[0].share: found 1.2{OUTSIDE}"),
        (Rule(Action.PROMOTE, "genre:horror", 1.0, share=math.nan), f"rules[0].share: found nan{OUTSIDE}"),
        (Rule(Action.DEMOTE, "genre:horror", 1.0, Channel.QUERY, share=0.2), QUERY),
    ],
)
def test_what_cannot_be_meant_is_refused(rule: Rule, said: str) -> None:
    core = engine("dot")
    with pytest.raises(InvalidRequest) as refused:
        core.recommend(Query(k=5, user_id=users(core)[0], rules=(rule,)))
    assert str(refused.value) == said
