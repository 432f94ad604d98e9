"""Which concepts the rules of a policy folder name, and what an alignment makes of each rule."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bundle import LATENT_FAMILY

if TYPE_CHECKING:
    from offline.align.report import AlignReport
    from server.policy import PolicySet
    from server.types import Rule

Verdict = Literal["holds", "lost", "latent", "unknown"]
"""``latent``: it names a latent whose number means another in the new bundle; ``unknown``: neither bundle offers it."""


LEAST_LIKE = 0.5
"""Held-out correlation from which on another latent is worth proposing in a rule; chance gives none (decision 012)."""


@dataclass(frozen=True)
class Use:
    """One rule: where it stands (``rule`` counts from 0), what it names, and what becomes of it.

    ``rewrite``: what it has to name instead, for a latent that has a match; ``match``: their held-out correlation.
    """

    file: str
    line: int
    policy: str
    rule: int
    action: str
    concept: str
    verdict: Verdict
    rewrite: str | None = None
    match: float | None = None

    def __str__(self) -> str:
        """``kids.yaml:12: policy kids-no-horror, rules[0]: filter genre:horror``."""
        return f"{self.file}:{self.line}: policy {self.policy}, rules[{self.rule}]: {self.action} {self.concept}"


def judge(policies: PolicySet, report: AlignReport, offered: Collection[str]) -> list[Use]:
    """Every rule of every policy, disabled ones too: one word turns them on. ``offered``: the aligned bundle's."""
    lost = {fate.id for fate in report.lost}
    found = []
    for policy in policies.policies:
        for number, (rule, line) in enumerate(zip(policy.rules, policy.rule_lines, strict=True)):
            for concept in _named(rule, policies):
                verdict: Verdict = "holds"
                rewrite, match = None, None
                family, _, value = concept.partition(":")
                if family == LATENT_FAMILY:
                    verdict, fate = "lost", report.latent(int(value))
                    if fate is not None and fate.to is not None and fate.held_out >= LEAST_LIKE:
                        verdict, match = "holds" if fate.to == fate.latent else "latent", fate.held_out
                        rewrite = f"{LATENT_FAMILY}:{fate.to}"
                elif concept in lost:
                    verdict = "lost"
                elif concept not in offered:
                    verdict = "unknown"
                found.append(
                    Use(policy.file, line, policy.name, number, str(rule.action), concept, verdict, rewrite, match)
                )
    return found


def _named(rule: Rule, policies: PolicySet) -> Iterable[str]:
    """Concepts of the bundle that a rule depends on, through a concept of the folder too; items are in any bundle."""
    if rule.subject is not None:
        return rule.subject.concepts
    own = next((custom for custom in policies.concepts if custom.id == rule.concept), None)
    return (rule.concept,) if own is None else own.subject.concepts
