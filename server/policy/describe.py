"""A policy in words, and what is different between two sets of policies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Literal

from server.policy.policies import Policy, PolicySet
from server.policy.rollout import USER, Rollout
from server.policy.windows import DAY_MINUTES, DAYS, Window, any_open
from server.types import Action, Channel, Membership, Rule

_PLACE = frozenset({"file", "line", "rule_lines"})
"""Where a policy stands, not what it says."""


def conditions(policy: Policy) -> list[str]:
    """One phrase per condition: ``surface is kids``, ``country is not US or CA``, ``10 % of the users``."""
    said = [f"{name} is {_any(values)}" for name, values in policy.when]
    said += [f"{name} is not {_any(values)}" for name, values in policy.unless]
    if policy.windows:
        said.append(" or ".join(_window(window) for window in policy.windows))
    if policy.rollout is not None:
        said.append(_rollout(policy.rollout, policy.name))
    return said


def unmet(policy: Policy, attributes: Mapping[str, str], user: str | None, at: float) -> list[str]:
    """Why a policy does not reach a request: one phrase per condition that does not hold."""
    said = [] if policy.enabled else ["it is disabled"]
    for name, values in policy.when:
        if attributes.get(name) not in values:
            said.append(f"it wants {name} to be {_any(values)}, the request says {attributes.get(name, 'nothing')}")
    for name, values in policy.unless:
        if attributes.get(name) in values:
            said.append(f"it leaves out {name} {attributes[name]}")
    if policy.windows and not any_open(policy.windows, at):
        said.append(f"it is open {' or '.join(map(_window, policy.windows))}, and that is not now")
    if policy.rollout is not None and not policy.rollout.reaches(user, attributes):
        said.append(f"it reaches {_rollout(policy.rollout, policy.name)}, and this is not one of them")
    return said


def rule_in_words(rule: Rule) -> str:
    """``promote genre:comedy 0.4``, ``filter genre:horror (either, fills)``."""
    if rule.action is Action.FILTER:
        more = [] if rule.membership is Membership.DEFAULT else [_MEMBERSHIPS[rule.membership]]
        more += ["fills"] if rule.fills else []
        return f"filter {_named(rule)}" + (f" ({', '.join(more)})" if more else "")
    if rule.share is not None:
        bound = "at most" if rule.action is Action.DEMOTE else "at least"
        return f"{rule.action} {_named(rule)} to {bound} {100 * rule.share:g} %"
    return f"{rule.action} {_named(rule)} {rule.strength:g}" + (" (query)" if rule.channel is Channel.QUERY else "")


def _named(rule: Rule) -> str:
    return rule.concept if rule.subject is None else f"({rule.concept})"


@dataclass(frozen=True, slots=True)
class Change:
    """One policy, or custom concept, that two sets do not share. ``what``: in words, one phrase per difference."""

    name: str
    kind: Literal["added", "removed", "changed"]
    what: tuple[str, ...]


def changes(before: PolicySet, after: PolicySet) -> list[Change]:
    """What is different, by name; where a policy stands does not matter."""
    old = {policy.name: policy for policy in before.policies}
    new = {policy.name: policy for policy in after.policies}
    found: list[Change] = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            found.append(Change(name, "added", tuple(_whole(new[name]))))
        elif name not in new:
            found.append(Change(name, "removed", tuple(_whole(old[name]))))
        else:
            what = tuple(_differences(old[name], new[name]))
            if what:
                found.append(Change(name, "changed", what))
    return found + _concept_changes(before, after)


def _concept_changes(before: PolicySet, after: PolicySet) -> list[Change]:
    old, new = ({concept.id: str(concept.subject) for concept in side.concepts} for side in (before, after))
    found: list[Change] = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            found.append(Change(name, "added", (new[name],)))
        elif name not in new:
            found.append(Change(name, "removed", (old[name],)))
        elif old[name] != new[name]:
            found.append(Change(name, "changed", (f"{old[name]} -> {new[name]}",)))
    return found


_MEMBERSHIPS = {Membership.LABEL: "label", Membership.READOUT: "activation", Membership.EITHER: "either"}


def _whole(policy: Policy) -> list[str]:
    said = [rule_in_words(rule) for rule in policy.rules]
    said += [f"when {phrase}" for phrase in conditions(policy)]
    said += [word for word, on in (("mandatory", policy.mandatory), ("shadow", policy.shadow)) if on]
    said += [] if policy.enabled else ["disabled"]
    return said + ([f"priority {policy.priority}"] if policy.priority else [])


def _differences(old: Policy, new: Policy) -> list[str]:
    said: list[str] = []
    for field in fields(Policy):
        was, now = getattr(old, field.name), getattr(new, field.name)
        if field.name in _PLACE or field.name in _OWN_WORDS or was == now:
            continue
        said.append(f"{field.name}: {_value(was)} -> {_value(now)}")
    said += _lines(conditions(old), conditions(new), "when ")
    return said + _lines(map(rule_in_words, old.rules), map(rule_in_words, new.rules))


_OWN_WORDS = frozenset({"when", "unless", "windows", "rollout", "rules"})


def _lines(old: Iterable[str], new: Iterable[str], head: str = "") -> list[str]:
    was, now = list(old), list(new)
    gone = [f"without {head}{phrase}" for phrase in was if phrase not in now]
    return gone + [f"with {head}{phrase}" for phrase in now if phrase not in was]


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _any(values: frozenset[str]) -> str:
    return " or ".join(sorted(values))


def _window(window: Window) -> str:
    said = [f"on {', '.join(DAYS[day] for day in sorted(window.days))}"] if window.days else []
    said += [" and ".join(f"{_clock(start)}-{_clock(end)}" for start, end in window.hours)] if window.hours else []
    said += [f"from {_moment(window.start, window)}"] if window.start is not None else []
    said += [f"until {_moment(window.end, window)}"] if window.end is not None else []
    return f"{' '.join(said)} ({window.zone.key})"


def _clock(minute: int) -> str:
    return "24:00" if minute == DAY_MINUTES else f"{minute // 60:02}:{minute % 60:02}"


def _moment(at: float, window: Window) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone(window.zone).strftime("%Y-%m-%d %H:%M")


def _rollout(rollout: Rollout, policy: str) -> str:
    whose = "users" if rollout.by == USER else f"values of {rollout.by}"
    salt = "" if rollout.salt == policy else f", salt {rollout.salt}"
    return f"{rollout.percent:g} % of the {whose}{salt}"
