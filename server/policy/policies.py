"""Policies as a request sees them: plain frozen data, compiled once, with neither YAML nor pydantic behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from server.types import Rule

NO_FOLDER = "none"


@dataclass(frozen=True, slots=True)
class Policy:
    """One compiled policy. ``when``: (attribute, values) pairs that must all hold; ``rule_lines``: a line per rule."""

    name: str
    owner: str
    description: str
    enabled: bool
    shadow: bool
    priority: int
    when: tuple[tuple[str, frozenset[str]], ...]
    rules: tuple[Rule, ...]
    file: str
    line: int
    rule_lines: tuple[int, ...]

    def matches(self, attributes: Mapping[str, str]) -> bool:
        """Whether every condition holds for these request attributes; no condition: always."""
        return all(attributes.get(name) in values for name, values in self.when)


_Index = dict[str, dict[str, tuple[int, ...]]]


@dataclass(frozen=True)
class PolicySet:
    """All policies of one folder at one moment.

    ``revision``: first 12 hex digits of the sha256 over file names and contents, "none" without a folder. A request
    takes one set and keeps it to its end (law 9).
    """

    policies: tuple[Policy, ...] = ()
    revision: str = NO_FOLDER
    loaded_from: str | None = None
    _always: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _by_value: _Index = field(init=False, repr=False, compare=False)

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

    def matching(self, attributes: Mapping[str, str]) -> tuple[Rule, ...]:
        """Rules of the enabled policies whose ``when`` holds, enforced and shadow, in file order.

        A request that lacks an attribute matches no policy that asks for it. Values compare exactly.
        """
        places = list(self._always)
        for name, value in attributes.items():
            under = self._by_value.get(name)
            if under is not None:
                places += under.get(value, ())
        if not places:
            return ()
        places.sort()
        chosen = (self.policies[place] for place in places)
        return tuple(rule for policy in chosen if policy.matches(attributes) for rule in policy.rules)
