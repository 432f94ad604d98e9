"""What a valid policy may still get wrong: names that a bundle does not offer, attributes that look misspelt."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from bundle import LATENT_FAMILY
from server.policy.conditions import KNOWN_ATTRIBUTES
from server.policy.policies import PolicySet
from server.policy.words import nearest

SUGGESTIONS = 3


@dataclass(frozen=True, slots=True)
class PolicyWarning:
    """A policy that is valid and probably does not do what its author means. ``subject``: the concept or attribute."""

    file: str
    line: int
    policy: str
    subject: str
    what: str
    nearest: tuple[str, ...] = ()

    def __str__(self) -> str:
        """``file:line: policy NAME: what. Did you mean A, B?``"""
        ask = f" Did you mean {' or '.join(repr(name) for name in self.nearest)}?" if self.nearest else ""
        return f"{self.file}:{self.line}: policy {self.policy}: {self.what}.{ask}"


def check_concepts(policies: PolicySet, offered: Collection[str]) -> list[PolicyWarning]:
    """Rules whose concept is not among ``offered`` (concept ids and ``latent:N`` of a bundle), with the nearest names.

    A latent that is offered is warned about as well: its number means something else after the next training.
    """
    known = offered if isinstance(offered, set | frozenset) else frozenset(offered)
    names = [name for name in known if not name.startswith(f"{LATENT_FAMILY}:")]
    warnings: list[PolicyWarning] = []
    for policy in policies.policies:
        for rule, line in zip(policy.rules, policy.rule_lines, strict=True):
            concept = rule.concept
            near: tuple[str, ...] = ()
            latent = concept.startswith(f"{LATENT_FAMILY}:")
            if concept not in known:
                effect = "cannot be held" if rule.action == "filter" else "does nothing"
                what = f"the bundle does not offer {concept!r}, so the {rule.action} {effect}"
                near = () if latent else nearest(concept.lower(), names, limit=SUGGESTIONS)
            elif latent:
                what = f"{concept!r} means something else after the next training; name a concept"
            else:
                continue
            warnings.append(PolicyWarning(policy.file, line, policy.name, concept, what, near))
    return warnings


def check_reach(policies: PolicySet, at: float) -> list[PolicyWarning]:
    """What is worth knowing about a policy that is as meant: it is over, or its promise is to some users only."""
    notes: list[PolicyWarning] = []
    for policy in policies.policies:
        if not policy.enabled:
            continue
        if policy.windows and all(window.end is not None and window.end <= at for window in policy.windows):
            what = "its time is over, it reaches nobody any more; remove it, or set enabled: false"
            notes.append(PolicyWarning(policy.file, policy.line, policy.name, "time", what))
        rollout, filters = policy.rollout, [rule for rule in policy.rules if rule.action == "filter"]
        if rollout is not None and rollout.percent < 100 and filters and not policy.shadow:
            what = f"its filter holds for {rollout.percent:g} % alone; the others may see {filters[0].concept}"
            notes.append(PolicyWarning(policy.file, policy.line, policy.name, "rollout", what))
    return notes


def check_attributes(policies: PolicySet) -> list[PolicyWarning]:
    """``when`` keys that are nearly, and not quite, a usual attribute: such a policy would never match."""
    warnings: list[PolicyWarning] = []
    for policy in policies.policies:
        for name, _ in (*policy.when, *policy.unless):
            near = () if name in KNOWN_ATTRIBUTES else nearest(name.lower(), KNOWN_ATTRIBUTES)
            if near:
                what = f"requests usually do not carry the attribute {name!r}"
                warnings.append(PolicyWarning(policy.file, policy.line, policy.name, name, what, near))
    return warnings
