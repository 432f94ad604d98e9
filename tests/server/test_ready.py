"""What is kept of a set of rules: the same bits as made anew, for one catalogue only, and no refusal forgotten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protos.steering.v1 import recommend_pb2 as pb
from protos.steering.v1 import rules_pb2
from server.errors import InvalidRequest, UnknownConcept
from server.kept import Kept
from server.policy import load_policies
from server.rpc.convert import LONGEST_KEPT, to_query, to_response
from server.rpc.outcomes import add_outcomes
from server.steer import PLANS, Engine
from server.subject import Items
from server.types import Action, Answer, Channel, Query, Rule, Standing
from tests.server.worlds import engine

HORROR, COMEDY, CHILDREN = "genre:horror", "genre:comedy", "genre:children's"
MIXES = [
    (Rule(Action.FILTER, HORROR, 1.0),),
    (Rule(Action.DEMOTE, COMEDY, 0.7), Rule(Action.PROMOTE, CHILDREN, 0.4), Rule(Action.PROMOTE, HORROR, 1.0)),
    (Rule(Action.PROMOTE, CHILDREN, share=0.5), Rule(Action.DEMOTE, COMEDY, 0.3, Channel.QUERY)),
    (Rule(Action.PROMOTE, "latent:3", 0.5), Rule(Action.DEMOTE, COMEDY, 0.0)),
    (Rule(Action.PROMOTE, "item", 0.5, subject=Items(("i1", "i2"))), Rule(Action.DEMOTE, COMEDY, 0.5)),
]


def fresh(core: Engine) -> Engine:
    """The same snapshot, with nothing kept."""
    return replace(core)


def same(one: Answer, other: Answer) -> bool:
    """Everything but times and the plan's identity, bit for bit."""
    return (
        one.ranking.items.tobytes() == other.ranking.items.tobytes()
        and one.ranking.scores.tobytes() == other.ranking.scores.tobytes()
        and one.effects == other.effects
        and one.explanations == other.explanations
        and one.overlap == other.overlap
    )


@pytest.mark.parametrize("rules", MIXES)
@pytest.mark.parametrize("kind", ["dot", "cosine"])
def test_a_kept_plan_gives_the_same_bits(kind: str, rules: tuple[Rule, ...]) -> None:
    core, standing = fresh(engine(kind)), Standing(rules)
    for user in ("u1", "u2", "u1"):
        for k in (10, 3):
            asked = Query(k=k, user_id=user, rules=standing, explain=True, baseline=True, exclude=("i3",))
            assert same(core.recommend(asked), fresh(core).recommend(replace(asked, rules=(*rules,))))


def test_the_same_rules_are_planned_once_and_forgotten_rules_once_more() -> None:
    core = fresh(engine("dot"))
    rules = Standing(MIXES[1])
    first, again = (core.recommend(Query(k=5, user_id=user, rules=rules)).plan for user in ("u1", "u2"))
    assert first is again is not None
    for _ in range(PLANS):
        core.recommend(Query(k=5, user_id="u1", rules=Standing(rules)))
    assert len(core._kept) == PLANS
    assert core.recommend(Query(k=5, user_id="u1", rules=rules)).plan is not first
    assert core.recommend(Query(k=5, user_id="u1", rules=MIXES[1])).plan is None  # nobody says that they come again


@pytest.mark.parametrize("rules", MIXES[3:])
def test_what_the_catalogue_forgets_is_not_kept(rules: tuple[Rule, ...]) -> None:
    core = fresh(engine("dot"))
    assert core.recommend(Query(k=5, user_id="u1", rules=Standing(rules))).plan is None
    assert len(core._kept) == 0


def test_a_refusal_is_a_refusal_every_time() -> None:
    core = fresh(engine("dot"))
    twice = Standing((Rule(Action.DEMOTE, COMEDY, 0.5), Rule(Action.PROMOTE, COMEDY, 0.5)))
    unknown = Standing((Rule(Action.DEMOTE, "genre:vaudeville", 0.5),))
    for _ in range(3):
        with pytest.raises(InvalidRequest, match="contradictory rules"):
            core.recommend(Query(k=5, user_id="u1", rules=twice))
        with pytest.raises(UnknownConcept, match="vaudeville"):
            core.recommend(Query(k=5, user_id="u1", rules=unknown))
    assert len(core._kept) == 0


def test_another_revision_or_catalogue_plans_anew(tmp_path: Path) -> None:
    """The same rules object, kept by one snapshot, means what the next one says."""
    custom = "concepts:\n  custom:mine: {{concepts: {{{0}: 1.0}}}}\npolicies: []\n"
    rules = Standing((Rule(Action.FILTER, "custom:mine", 1.0, source="request"),))
    core, shown = engine("dot"), {}
    for concept in (HORROR, COMEDY):
        (tmp_path / "all.yaml").write_text(custom.format(f'"{concept}"'))
        core = replace(core, policies=load_policies(tmp_path))
        for _ in range(2):
            shown[concept] = core.recommend(Query(k=50, user_id="u1", rules=rules)).ranking.items
        members = np.unpackbits(core.catalogue.find(concept).members(), bitorder="little")
        assert not members[shown[concept]].any()
    assert shown[HORROR].tolist() != shown[COMEDY].tolist()


def test_policies_that_match_are_part_of_what_is_kept(tmp_path: Path) -> None:
    (tmp_path / "kids.yaml").write_text(
        "policies:\n  - {name: kids, owner: trust, when: {surface: kids}, "
        "rules: [{action: filter, concept: 'genre:horror'}]}\n"
    )
    core = replace(engine("dot"), policies=load_policies(tmp_path))
    rules = Standing((Rule(Action.PROMOTE, HORROR, 1.0),))
    for _ in range(2):
        for surface, acts in (("kids", False), ("home", True)):
            answer = core.recommend(Query(k=20, user_id="u1", rules=rules, attributes={"surface": surface}))
            assert [effect.dose > 0 for effect in answer.effects if effect.considered.rule in rules] == [acts]


def request(*rules: rules_pb2.Rule, **more: object) -> pb.RecommendRequest:
    return pb.RecommendRequest(k=10, user_id="u1", rules=rules, **more)  # type: ignore[arg-type]


def message(concept: str, action: rules_pb2.Action, **more: object) -> rules_pb2.Rule:
    return rules_pb2.Rule(concept=concept, action=action, **more)  # type: ignore[arg-type]


def test_the_same_message_is_read_twice_and_a_refused_one_every_time() -> None:
    asked = request(message(HORROR, rules_pb2.ACTION_DEMOTE, strength=0.25))
    again = pb.RecommendRequest.FromString(asked.SerializeToString())
    first = to_query(asked).rules
    assert not isinstance(first, Standing)
    standing = to_query(again).rules
    assert isinstance(standing, Standing)
    assert tuple(standing) == first
    assert to_query(asked).rules is to_query(again).rules is standing
    other = request(message(HORROR, rules_pb2.ACTION_DEMOTE, strength=0.5))
    assert to_query(other).rules[0].strength == 0.5
    bad = message(HORROR, rules_pb2.ACTION_FILTER, strength=0.5)
    for before in range(3):
        with pytest.raises(InvalidRequest) as refusal:
            to_query(request(*[message(COMEDY, rules_pb2.ACTION_FILTER)] * before, bad))
        assert refusal.value.field == f"rules[{before}].strength"
    long = request(
        rules_pb2.Rule(action=rules_pb2.ACTION_PROMOTE, items=[f"{n:0100}" for n in range(LONGEST_KEPT // 100)])
    )
    assert to_query(long).rules == to_query(long).rules
    assert not isinstance(to_query(long).rules, Standing)


@pytest.mark.parametrize("baseline", [False, True])
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_every_answer_of_a_plan_is_the_same_message(baseline: bool, strength: float) -> None:
    core = fresh(engine("dot"))
    asked = request(
        message(HORROR, rules_pb2.ACTION_FILTER),
        message(COMEDY, rules_pb2.ACTION_DEMOTE, strength=strength),
        message(CHILDREN, rules_pb2.ACTION_PROMOTE, strength=1.0),
        include_baseline=baseline,
    )
    to_query(asked)
    query = to_query(asked)
    answers = [to_response(core.recommend(query), query, core.catalogue, "r") for _ in range(4)]
    assert all(answer == answers[0] for answer in answers)
    assert len({answer.SerializeToString() for answer in answers}) == 1
    in_order = [HORROR, COMEDY, CHILDREN] if strength else [HORROR, CHILDREN, COMEDY]
    assert [outcome.rule.concept for outcome in answers[0].rules] == in_order
    assert all(outcome.HasField("share_before") is baseline for outcome in answers[3].rules)
    notes = [effect.note or effect.considered.note for effect in core.recommend(query).effects]
    assert [bool(outcome.note) for outcome in answers[3].rules] == [bool(note) for note in notes]


def test_an_answer_without_a_plan_tells_its_effects() -> None:
    core = fresh(engine("dot"))
    query = replace(to_query(request(message(COMEDY, rules_pb2.ACTION_DEMOTE))), rules=Standing(MIXES[1]))
    answer = core.recommend(query)
    assert answer.plan is not None
    bare, whole = pb.RecommendResponse(), pb.RecommendResponse()
    told = lambda considered: pb.RuleOutcome(source=considered.rule.source)  # noqa: E731
    for _ in range(3):
        bare.Clear()
        add_outcomes(bare, replace(answer, plan=None), told, shares=False)
        add_outcomes(whole, answer, told, shares=False)
    assert list(whole.rules) == list(bare.rules) * 3
    assert bare.rules[0].dose == answer.effects[0].dose < 0


def test_kept_holds_what_was_asked_for_last() -> None:
    kept: Kept[str, int] = Kept(2)
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert [kept.get(key) for key in "abc"] == [1, None, 3]
    assert len(kept) == 2
