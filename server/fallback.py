"""Places that a filter would leave empty, filled where its policy wants that: after everything that passes.

A filter is a promise, so only the owner of the rule can weaken it, in the policy file (``fallback: fill``), and every
answer that makes use of it says so. A request's own filters, excluded ids and filters without the key hold as ever.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from server import bits
from server.bits import BitArray
from server.catalogue import Catalogue
from server.types import Action, Effect, IntArray, Plan, Ranking, Rule

Search = Callable[[int, BitArray], Ranking]
"""``search(k, allowed)``: the best k of the allowed items, steered as the request is."""


def filled(
    ranking: Ranking, k: int, plan: Plan, *, excluded: BitArray | None, catalogue: Catalogue, search: Search
) -> Ranking:
    """The list with its empty places filled; the same object where nothing fills them.

    What passes keeps its places and its order; what fills comes after it, best first, whatever its scores.
    """
    missing = k - len(ranking.items)
    if missing <= 0 or not any(_fills(rule) for rule in plan.applied):
        return ranking
    taken = bits.of_rows(ranking.items, len(catalogue.item_ids))
    forbidden = taken if excluded is None else taken | excluded
    for rule in plan.applied:
        if rule.action is Action.FILTER and not rule.fills:
            forbidden = forbidden | catalogue.of(rule).members(rule.membership)
    more = search(missing, ~forbidden)
    if not len(more.items):
        return ranking
    return Ranking(np.concatenate([ranking.items, more.items]), np.concatenate([ranking.scores, more.scores]))


def told(effects: tuple[Effect, ...], fill: IntArray, catalogue: Catalogue) -> tuple[Effect, ...]:
    """The effects, with a note on every filter whose items fill a place; ``fill``: rows of these items."""
    return tuple(_told(effect, fill, catalogue) if _acts(effect) else effect for effect in effects)


def _told(effect: Effect, fill: IntArray, catalogue: Catalogue) -> Effect:
    rule = effect.considered.rule
    inside = int(bits.has_each(catalogue.of(rule).members(rule.membership), fill).sum())
    if not inside:
        return effect
    places = "1 place that would be empty holds an item" if inside == 1 else (
        f"{inside} places that would be empty hold items"
    )  # fmt: skip
    note = f"fallback fill: {places} of {rule.concept}, after everything that passes"
    return effect._replace(note="; ".join(part for part in (effect.note, note) if part))


def _acts(effect: Effect) -> bool:
    return _fills(effect.considered.rule) and effect.considered.status == "applied"


def _fills(rule: Rule) -> bool:
    return rule.action is Action.FILTER and rule.fills
