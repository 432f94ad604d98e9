"""The conflict rule: many rules in any order -> one Plan.

    1. strength 0 is exactly off
    2. a filter beats everything: soft rules on its concept are overridden, whatever their priority; filters never
       override each other (two memberships of one concept: their union is left out)
    3. among the soft rules on one concept only those of the highest priority stay
    4. of these the strongest demote and the strongest promote stay, and add up; whatever their channel. Of two equally
       strong ones the item channel stays, then the source that sorts first
    5. shadow rules influence nothing; each is told what would become of it beside the enforced rules

A function of the *set* of rules (law 8): order and repetition change nothing, and resolving what was applied gives it
again. Cost: one sort and three dictionary look-ups per rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from server.types import Action, Considered, Plan, Rule, Status

_NOTHING = Plan()
_ACTIONS = {Action.FILTER: 0, Action.DEMOTE: 1, Action.PROMOTE: 2}
_STATUSES = {status: place for place, status in enumerate(Status)}
_K = TypeVar("_K")
_Key = tuple[int, float, str, str, str, bool]


def resolve(rules: Iterable[Rule], offers: Callable[[Rule], bool]) -> Plan:
    """Decide what becomes of every rule.

    Args:
        rules: the request's and the matching policies'.
        offers: whether the bundle can steer what a rule names. A policy may name what it cannot.

    Returns:
        Every different rule once: applied ones first (filters, demotes, promotes; in each higher priority first, then
        by concept), then those that are off, overridden, shadow and unknown, each with one sentence why.
    """
    given = set(rules)
    if not given:
        return _NOTHING
    standing = _Standing()
    considered: list[Considered] = []
    waiting: list[Rule] = []
    for rule in given:
        if rule.action is not Action.FILTER and rule.force <= 0:
            considered.append(Considered(rule, Status.OFF, "strength 0 is exactly off"))
        elif not offers(rule):
            considered.append(Considered(rule, Status.UNKNOWN_CONCEPT, _unknown(rule)))
        else:
            waiting.append(rule)
            if not rule.shadow:
                standing.add(rule)
    for rule in waiting:
        why = standing.overrides(rule)
        if rule.shadow:
            considered.append(Considered(rule, Status.SHADOW, f"would be overridden: {why}" if why else "would apply"))
        else:
            considered.append(Considered(rule, Status.OVERRIDDEN if why else Status.APPLIED, why))
    considered.sort(key=_order)
    return Plan(tuple(considered))


@dataclass(slots=True)
class _Standing:
    """The enforced rules so far: per concept the filter to name and the leading soft rule, per action the strongest."""

    filters: dict[str, Rule] = field(default_factory=dict)
    leads: dict[str, Rule] = field(default_factory=dict)
    strongest: dict[tuple[str, Action], Rule] = field(default_factory=dict)

    def add(self, rule: Rule) -> None:
        if rule.action is Action.FILTER:
            _keep(self.filters, rule.concept, rule)
        else:
            _keep(self.leads, rule.concept, rule)
            _keep(self.strongest, (rule.concept, rule.action), rule)

    def overrides(self, rule: Rule) -> str:
        """Why the rule does not act; empty where it does."""
        if rule.action is Action.FILTER:
            return ""
        if (barrier := self.filters.get(rule.concept)) is not None:
            return f"the filter of {barrier.source} leaves nothing of {rule.concept}"
        lead = self.leads.get(rule.concept)
        if lead is not None and lead.priority > rule.priority:
            return f"{lead.source} has priority {lead.priority}, this rule {rule.priority}"
        best = self.strongest.get((rule.concept, rule.action))
        if best is None or _rank(best) >= _rank(rule):
            return ""
        stronger = "stronger" if best.force > rule.force else "equally strong"
        return f"the {stronger} {rule.action} of {best.source} takes its place"


def _keep(best: dict[_K, Rule], key: _K, rule: Rule) -> None:
    known = best.get(key)
    if known is None or _rank(rule) < _rank(known):
        best[key] = rule


def _rank(rule: Rule) -> _Key:
    """Smaller wins: higher priority, stronger, item channel ("item" < "query"), then source and membership."""
    return (-rule.priority, -rule.force, rule.channel, rule.source, rule.membership, rule.fills)


def _order(entry: Considered) -> tuple[int, int, int, str, _Key, bool]:
    rule = entry.rule
    return (_STATUSES[entry.status], _ACTIONS[rule.action], -rule.priority, rule.concept, _rank(rule), rule.shadow)


def _unknown(rule: Rule) -> str:
    if rule.shadow:
        return f"this bundle does not offer {rule.concept}: would do nothing"
    if rule.action is Action.FILTER:
        return f"this bundle does not offer {rule.concept}: the filter cannot be held, such items may be returned"
    return f"this bundle does not offer {rule.concept}: the rule does nothing"
