"""Policies as a request sees them: plain frozen data, compiled once, with neither YAML nor pydantic behind it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from server.policy.rollout import Rollout
from server.policy.windows import Window, any_open
from server.subject import Custom
from server.types import Rule

NO_FOLDER = "none"


_Conditions = tuple[tuple[str, frozenset[str]], ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """One compiled policy; all of its conditions must hold. ``rule_lines``: a line per rule.

    ``when``: (attribute, values), one of which the request must carry; ``unless``: (attribute, values), none of which
    it may carry; ``windows``: one must be open; ``rollout``: the user must be in it. ``mandatory``: holds also where a
    request switches the policies off.
    """

    name: str
    owner: str
    description: str
    enabled: bool
    shadow: bool
    priority: int
    when: _Conditions
    rules: tuple[Rule, ...]
    file: str
    line: int
    rule_lines: tuple[int, ...]
    unless: _Conditions = ()
    windows: tuple[Window, ...] = ()
    rollout: Rollout | None = None
    mandatory: bool = False

    def matches(self, attributes: Mapping[str, str], user: str | None, at: float) -> bool:
        """Whether every condition holds for these request attributes, this user id and this instant."""
        return (
            all(attributes.get(name) in values for name, values in self.when)
            and all(attributes.get(name) not in values for name, values in self.unless)
            and (not self.windows or any_open(self.windows, at))
            and (self.rollout is None or self.rollout.reaches(user, attributes))
        )


_Index = dict[str, dict[str, tuple[int, ...]]]


@dataclass(frozen=True)
class PolicySet:
    """All policies of one folder at one moment, and the folder's own ``concepts``, by id.

    ``revision``: first 12 hex digits of the sha256 over file names and contents, "none" without a folder. A request
    takes one set and keeps it to its end (law 9).
    """

    policies: tuple[Policy, ...] = ()
    revision: str = NO_FOLDER
    loaded_from: str | None = None
    concepts: tuple[Custom, ...] = ()
    _always: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _by_value: _Index = field(init=False, repr=False, compare=False)
    _timed: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index each enabled policy under its rarest condition, so that matching looks only at few candidates."""
        enabled = [policy for policy in self.policies if policy.enabled]
        common = Counter((name, value) for policy in enabled for name, values in policy.when for value in values)
        always: list[int] = []
        index: _Index = {}
        for place, policy in enumerate(self.policies):
            if not policy.enabled:
                continue
            if not policy.when:
                always.append(place)
                continue
            name, values = min(policy.when, key=lambda pair: max(common[pair[0], value] for value in pair[1]))
            for value in values:
                under = index.setdefault(name, {})
                under[value] = (*under.get(value, ()), place)
        object.__setattr__(self, "_always", tuple(always))
        object.__setattr__(self, "_by_value", index)
        object.__setattr__(self, "_timed", any(policy.windows for policy in enabled))

    def matching(
        self,
        attributes: Mapping[str, str],
        *,
        user: str | None = None,
        at: float | None = None,
        mandatory_only: bool = False,
    ) -> tuple[Rule, ...]:
        """Rules of the enabled policies whose conditions hold, enforced and shadow, in file order.

        A request that lacks an attribute matches no policy that asks for it, and every one that only excludes values.
        Values compare exactly.

        Args:
            attributes: the request's.
            user: the request's user id, for rollouts.
            at: Unix seconds, for time windows; None: now.
            mandatory_only: leave out what a request may switch off.
        """
        chosen = self.chosen(attributes, user=user, at=at, mandatory_only=mandatory_only)
        return tuple(rule for policy in chosen for rule in policy.rules)

    def chosen(
        self,
        attributes: Mapping[str, str],
        *,
        user: str | None = None,
        at: float | None = None,
        mandatory_only: bool = False,
    ) -> list[Policy]:
        """The policies whose rules ``matching`` gives."""
        places = list(self._always)
        for name, value in attributes.items():
            under = self._by_value.get(name)
            if under is not None:
                places += under.get(value, ())
        if not places:
            return []
        places.sort()
        if at is None:
            at = time.time() if self._timed else 0.0
        candidates = (self.policies[place] for place in places)
        return [
            policy
            for policy in candidates
            if (policy.mandatory or not mandatory_only) and policy.matches(attributes, user, at)
        ]
