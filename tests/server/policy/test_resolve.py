"""The conflict rule by hand, and as laws."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from server.policy import resolve
from server.types import Action, Channel, Considered, Membership, Plan, Rule, Status

FILTER, DEMOTE, PROMOTE = Action.FILTER, Action.DEMOTE, Action.PROMOTE
HORROR, COMEDY = "genre:horror", "genre:comedy"


def soft(action: Action, strength: float, *, by: str = "request", priority: int = 0, concept: str = HORROR) -> Rule:
    return Rule(action, concept, strength, source=by, priority=priority)


def barrier(by: str = "request", membership: Membership = Membership.DEFAULT, concept: str = HORROR) -> Rule:
    return Rule(FILTER, concept, 1.0, membership=membership, source=by)


def everything(rule: Rule) -> bool:
    return True


def statuses(*rules: Rule) -> dict[Rule, tuple[Status, str]]:
    return {entry.rule: (entry.status, entry.note) for entry in resolve(rules, everything).considered}


def test_no_rule_gives_the_empty_plan() -> None:
    assert resolve([], everything) == Plan()


def test_a_filter_beats_soft_rules_on_its_concept_whatever_their_priority() -> None:
    low = barrier("policy:safety")
    high = soft(PROMOTE, 1.0, by="policy:campaign", priority=1000)
    other = soft(PROMOTE, 0.2, concept=COMEDY)
    note = "the filter of policy:safety leaves nothing of genre:horror"
    assert statuses(high, other, low) == {
        low: (Status.APPLIED, ""),
        other: (Status.APPLIED, ""),
        high: (Status.OVERRIDDEN, note),
    }


def test_filters_of_one_concept_all_stay_so_that_their_union_is_left_out() -> None:
    label, readout = barrier("policy:a", Membership.LABEL), barrier("policy:b", Membership.READOUT)
    again = barrier("policy:c", Membership.LABEL)
    comedy = barrier("request", concept=COMEDY)
    assert resolve([readout, comedy, again, label], everything).applied == (comedy, label, readout, again)


def test_higher_priority_wins_on_a_concept_also_across_actions() -> None:
    mine, policy = soft(PROMOTE, 1.0), soft(DEMOTE, 0.1, by="policy:taste", priority=5)
    assert statuses(mine, policy) == {
        policy: (Status.APPLIED, ""),
        mine: (Status.OVERRIDDEN, "policy:taste has priority 5, this rule 0"),
    }


def test_the_strongest_demote_and_the_strongest_promote_add_up() -> None:
    weak, strong = soft(DEMOTE, 0.3, by="policy:a"), soft(DEMOTE, 0.6, by="policy:b")
    promote = soft(PROMOTE, 0.1)
    assert statuses(weak, strong, promote) == {
        strong: (Status.APPLIED, ""),
        promote: (Status.APPLIED, ""),
        weak: (Status.OVERRIDDEN, "the stronger demote of policy:b takes its place"),
    }


def test_the_strongest_wins_whatever_its_channel() -> None:
    item = soft(PROMOTE, 0.4, by="policy:item")
    query = replace(soft(PROMOTE, 0.5, by="policy:query"), channel=Channel.QUERY)
    assert resolve([item, query], everything).applied == (query,)


def test_of_two_equally_strong_the_item_channel_stays_then_the_first_source() -> None:
    query = replace(soft(PROMOTE, 0.5, by="policy:a"), channel=Channel.QUERY)
    item, later = soft(PROMOTE, 0.5, by="policy:b"), soft(PROMOTE, 0.5, by="policy:c")
    note = "the equally strong promote of policy:b takes its place"
    assert statuses(later, query, item) == {
        item: (Status.APPLIED, ""),
        query: (Status.OVERRIDDEN, note),
        later: (Status.OVERRIDDEN, note),
    }


def test_strength_zero_is_off_and_overrides_nothing() -> None:
    off = soft(DEMOTE, 0.0, priority=10)
    on = soft(DEMOTE, 0.2, by="policy:a")
    assert statuses(off, on) == {on: (Status.APPLIED, ""), off: (Status.OFF, "strength 0 is exactly off")}


def test_a_shadow_rule_changes_nothing_and_is_told_what_would_become_of_it() -> None:
    shadow_filter = replace(barrier("policy:trial", concept=COMEDY), shadow=True)
    shadow_high = replace(soft(DEMOTE, 0.1, by="policy:trial", priority=9), shadow=True)
    shadow_low = replace(soft(PROMOTE, 1.0, by="policy:other", priority=-1), shadow=True)
    comedy, horror = soft(PROMOTE, 0.2, concept=COMEDY), soft(PROMOTE, 0.3)
    assert statuses(shadow_filter, shadow_high, shadow_low, comedy, horror) == {
        comedy: (Status.APPLIED, ""),
        horror: (Status.APPLIED, ""),
        shadow_filter: (Status.SHADOW, "would apply"),
        shadow_high: (Status.SHADOW, "would apply"),
        shadow_low: (Status.SHADOW, "would be overridden: request has priority 0, this rule -1"),
    }


def test_an_unknown_concept_says_what_that_means() -> None:
    rules = [barrier("policy:a"), soft(DEMOTE, 0.5, by="policy:b"), replace(barrier("policy:c"), shadow=True)]
    plan = resolve([*rules, soft(PROMOTE, 0.5, concept=COMEDY)], lambda rule: rule.concept == COMEDY)
    lacks = "this bundle does not offer genre:horror: "
    assert {entry.rule.source: (entry.status, entry.note) for entry in plan.considered} == {
        "request": (Status.APPLIED, ""),
        "policy:a": (Status.UNKNOWN_CONCEPT, f"{lacks}the filter cannot be held, such items may be returned"),
        "policy:b": (Status.UNKNOWN_CONCEPT, f"{lacks}the rule does nothing"),
        "policy:c": (Status.UNKNOWN_CONCEPT, f"{lacks}would do nothing"),
    }


def test_the_order_of_the_plan() -> None:
    b, a = soft(PROMOTE, 0.2, concept="genre:b"), soft(PROMOTE, 0.9, concept="genre:a", priority=-1)
    off, demote = soft(DEMOTE, 0.0), soft(DEMOTE, 0.1, concept="genre:z")
    filtered, lost = barrier(concept="genre:y"), soft(DEMOTE, 0.1, concept="genre:y")
    plan = resolve([off, lost, b, a, demote, filtered], everything)
    assert [entry.rule for entry in plan.considered] == [filtered, demote, b, a, off, lost]
    assert plan.applied == (filtered, demote, b, a)


CONCEPTS = [HORROR, COMEDY, "latent:3", "genre:unknown"]
RULES = st.builds(
    lambda action, concept, strength, channel, membership, source, priority, shadow: Rule(
        action, concept, 1.0 if action is FILTER else strength, channel, membership, source, priority, shadow
    ),
    st.sampled_from(Action),
    st.sampled_from(CONCEPTS),
    st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    st.sampled_from(Channel),
    st.sampled_from(Membership),
    st.sampled_from(["request", "policy:a", "policy:b"]),
    st.sampled_from([-5, 0, 5]),
    st.booleans(),
)
MANY = st.lists(RULES, max_size=12)


def known(rule: Rule) -> bool:
    return rule.concept != "genre:unknown"


@given(st.permutations(range(12)), MANY)
def test_law_8_order_and_repetition_change_nothing(places: list[int], rules: list[Rule]) -> None:
    shuffled = [rules[place] for place in places if place < len(rules)]
    plan = resolve(rules, known)
    assert resolve(shuffled, known) == plan
    assert resolve(rules + shuffled, known) == plan


@given(MANY)
def test_every_different_rule_is_accounted_for_once(rules: list[Rule]) -> None:
    considered = [entry.rule for entry in resolve(rules, known).considered]
    assert len(considered) == len(set(rules))
    assert set(considered) == set(rules)


@given(MANY)
def test_what_was_applied_is_stable(rules: list[Rule]) -> None:
    applied = resolve(rules, known).applied
    assert resolve(applied, known) == Plan(tuple(Considered(rule, Status.APPLIED) for rule in applied))


@given(MANY, RULES)
def test_a_filter_always_applies_and_leaves_no_soft_rule_on_its_concept(rules: list[Rule], rule: Rule) -> None:
    wanted = replace(rule, action=FILTER, strength=1.0, concept=HORROR, shadow=False)
    applied = resolve([*rules, wanted], known).applied
    assert wanted in applied
    assert all(entry.action is FILTER for entry in applied if entry.concept == HORROR)


@given(MANY)
def test_shadow_rules_are_inert(rules: list[Rule]) -> None:
    plan, without = resolve(rules, known), resolve([rule for rule in rules if not rule.shadow], known)
    assert tuple(entry for entry in plan.considered if not entry.rule.shadow) == without.considered
    assert not any(rule.shadow for rule in plan.applied)


@given(MANY)
def test_the_survivors_are_those_of_the_published_rule(rules: list[Rule]) -> None:
    """An oracle that follows the sentences of docs/policies.md one by one, over all rules for each concept."""
    live = [rule for rule in set(rules) if not rule.shadow and known(rule)]
    expected = {rule for rule in live if rule.action is FILTER}
    for concept in CONCEPTS:
        if any(rule.concept == concept for rule in expected):
            continue
        ours = [r for r in live if r.concept == concept and r.action is not FILTER and r.strength > 0]
        top = [rule for rule in ours if rule.priority == max(r.priority for r in ours)]
        for action in (DEMOTE, PROMOTE):
            same = [rule for rule in top if rule.action is action]
            strongest = [rule for rule in same if rule.strength == max(r.strength for r in same)]
            items = [rule for rule in strongest if rule.channel is Channel.ITEM] or strongest
            if items:
                expected.add(min(items, key=lambda rule: (rule.source, rule.membership)))
    assert set(resolve(rules, known).applied) == expected


@given(MANY, st.integers(6, 9))
def test_a_rule_of_the_highest_priority_is_never_overridden_by_a_soft_rule(rules: list[Rule], priority: int) -> None:
    mine = Rule(DEMOTE, "genre:drama", 0.1, source="policy:z", priority=priority)
    on_drama = [replace(rule, concept="genre:drama") for rule in rules if rule.action is not FILTER]
    applied = resolve([*on_drama, mine], known).applied
    assert applied == (mine,)
