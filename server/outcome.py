"""What came of a request: what each rule did, what moved, and why a list is short."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from server import bits
from server.bits import BitArray
from server.catalogue import Catalogue
from server.edits import Edit
from server.types import Action, Effect, Plan, Ranking, Status


def effects(
    plan: Plan, made: Sequence[Edit], ranking: Ranking, baseline: Ranking | None, catalogue: Catalogue
) -> tuple[Effect, ...]:
    """One effect per considered rule; shares of its concept only where there is a baseline to compare with."""
    by_rule = {id(edit.rule): edit for edit in made}
    out = []
    for considered in plan.considered:
        edit = by_rule.get(id(considered.rule))
        before = after = None
        if baseline is not None and considered.status is not Status.UNKNOWN_CONCEPT:
            members = catalogue.of(considered.rule).members(considered.rule.membership)
            before, after = share(members, baseline), share(members, ranking)
        dose, note = (edit.dose, edit.note) if edit is not None else (0.0, "")
        out.append(Effect(considered, dose, note, before, after))
    return tuple(out)


def share(members: BitArray, ranking: Ranking) -> float:
    """Share of a list that belongs to a concept; 0 for an empty list."""
    return float(bits.has_each(members, ranking.items).mean()) if len(ranking.items) else 0.0


def overlap(ranking: Ranking, baseline: Ranking | None) -> float | None:
    """Share of the baseline that is still in the list; 1 when there is nothing to keep."""
    if baseline is None:
        return None
    if not len(baseline.items):
        return 1.0
    return len(np.intersect1d(ranking.items, baseline.items)) / len(baseline.items)


def why_short(plan: Plan, excluded: BitArray | None, eligible: int, items: int, k: int) -> str:
    """One sentence: what left fewer than ``k`` of the catalogue's ``items``."""
    causes = [f"filter {rule.concept} ({rule.source})" for rule in plan.applied if rule.action is Action.FILTER]
    if excluded is not None:
        causes.append(f"{bits.count(excluded, items)} excluded ids")
    cause = " and ".join(causes) or "the catalogue is that small"
    return f"{eligible} of {items} items are eligible, {k} were asked for: {cause}"
