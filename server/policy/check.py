"""What a valid policy may still get wrong: names that a bundle does not offer, attributes that look misspelt."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from bundle import LATENT_FAMILY
from server.policy.conditions import KNOWN_ATTRIBUTES
from server.policy.policies import PolicySet
from server.policy.words import nearest
from server.subject import Subject

SUGGESTIONS = 3


@dataclass(frozen=True, slots=True)
class PolicyWarning:
    """A policy that is valid and probably does not do what its author means. ``subject``: the concept or attribute.

    ``policy`` is empty where a custom concept is meant.
    """

    file: str
    line: int
    policy: str
    subject: str
    what: str
    nearest: tuple[str, ...] = ()

    def __str__(self) -> str:
        """``file:line: policy NAME: what. Did you mean A, B?``"""
        ask = f" Did you mean {' or '.join(repr(name) for name in self.nearest)}?" if self.nearest else ""
        head = f"policy {self.policy}: " if self.policy else ""
        return f"{self.file}:{self.line}: {head}{self.what}.{ask}"


def check_concepts(
    policies: PolicySet, offered: Collection[str], items: Collection[str] | None = None
) -> list[PolicyWarning]:
    """Rules and custom concepts that name what a bundle has not, with the nearest names.

    A latent that is offered is warned about as well: its number means something else after the next training.

    Args:
        policies: with their own concepts, which count as offered.
        offered: concept ids and ``latent:N`` of the bundle.
        items: its item ids; None: items are not looked at.
    """
    known = {*offered, *(concept.id for concept in policies.concepts)}
    names = [name for name in known if not name.startswith(f"{LATENT_FAMILY}:")]
    warnings: list[PolicyWarning] = []
    for policy in policies.policies:
        for rule, line in zip(policy.rules, policy.rule_lines, strict=True):
            effect = f"so the {rule.action} {'cannot be held' if rule.action == 'filter' else 'does nothing'}"
            wanted = (rule.concept,) if rule.subject is None else rule.subject.concepts
            for concept, what, near in _wrong_names(wanted, known, names, effect):
                warnings.append(PolicyWarning(policy.file, line, policy.name, concept, what, near))
            for item, what in _lost_items(rule.subject, items, effect):
                warnings.append(PolicyWarning(policy.file, line, policy.name, item, what))
    for custom in policies.concepts:
        effect = "so rules on it do nothing"
        for concept, what, near in _wrong_names(custom.subject.concepts, frozenset(offered), names, effect):
            warnings.append(PolicyWarning(custom.file, custom.line, "", concept, f"{custom.id}: {what}", near))
        for item, what in _lost_items(custom.subject, items, effect):
            warnings.append(PolicyWarning(custom.file, custom.line, "", item, f"{custom.id}: {what}"))
    return warnings


def _wrong_names(
    concepts: Iterable[str], known: Collection[str], names: list[str], effect: str
) -> Iterable[tuple[str, str, tuple[str, ...]]]:
    for concept in concepts:
        latent = concept.startswith(f"{LATENT_FAMILY}:")
        if concept not in known:
            near = () if latent else nearest(concept.lower(), names, limit=SUGGESTIONS)
            yield concept, f"the bundle does not offer {concept!r}, {effect}", near
        elif latent:
            yield concept, f"{concept!r} means something else after the next training; name a concept", ()


def _lost_items(subject: Subject | None, items: Collection[str] | None, effect: str) -> Iterable[tuple[str, str]]:
    """Items that the bundle does not have: told once, with how many they are."""
    if subject is None or items is None or not subject.item_ids:
        return
    lost = [item for item in subject.item_ids if item not in items]
    if len(lost) == len(subject.item_ids):
        yield lost[0], f"none of its items is in the bundle ({lost[0]!r} for one), {effect}"
    elif lost:
        yield lost[0], f"{len(lost)} of its {len(subject.item_ids)} items are not in the bundle, {lost[0]!r} for one"


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
