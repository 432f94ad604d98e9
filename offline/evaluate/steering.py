"""What steering a concept costs at the dose that meets a target: share of the list, NDCG kept, overlap with the oracle.

Suppression leaves ``suppress_left`` of the concept's base share; promotion brings it to ``promote_share`` of the list.
The dose is a factor on every user's unit, the same for all users, found by bisection on the panel's mean share; a
target beyond ``largest_dose`` is not reached, and the row then holds the share at that dose and no cost. Shares are
counted by the label, whatever read-out steers. Legend: U users, N items, K list length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bundle import Concept
from offline.evaluate.collateral import Collateral
from offline.evaluate.config import EvaluateConfig
from offline.evaluate.doses import Base
from offline.evaluate.fidelity import ratio
from offline.evaluate.lists import overlap
from offline.evaluate.methods import DIRECTIONS, FIXED, SERVED, Direction, Line, Methods
from offline.evaluate.oracle import hard_filter, quota
from offline.evaluate.panel import BoolArray, IntArray, Panel, best_lists
from offline.evaluate.window import Window, share_of

CLOSE = 0.005
"""Bisection ends when the dose is known to this part of itself."""

CLOSE_MOVED = 0.05
"""The same where a network scores every item again at every dose."""


@dataclass(frozen=True)
class Found:
    """A dose (None: not reached) and the lists at it, or at the largest dose tried."""

    dose: float | None
    lists: IntArray


class Lists:
    """Lists of a line at any dose; the windows 0 to 1, 1 to 4, 4 to 16, ... are made when first needed.

    Where the scores are not linear in the dose, all items are ranked at every dose.
    """

    def __init__(self, line: Line, base: Base) -> None:
        self._line, self._base = line, base
        self._windows: dict[float, Window] = {}

    def at(self, amount: float) -> IntArray:
        """The lists at a dose, [U, K]."""
        if self._line.moved is not None:
            scores = self._line.moved(amount) if amount else self._line.scores
            return best_lists(scores, self._base.k)
        return self._window(amount).lists(amount)

    def _window(self, amount: float) -> Window:
        high = 1.0
        while high < amount:
            high *= 4
        if high not in self._windows:
            low = 0.0 if high == 1 else high / 4
            line, below = self._line, self._windows.get(low)
            likely = self._base.items if below is None else below.best(low, len(self._base.items[0]))
            self._windows[high] = Window.between(
                line.scores, line.column, line.unit, likely, k=self._base.k, low=low, high=high
            )
        return self._windows[high]

    def reach(self, target: float, members: BoolArray, direction: Direction, largest: float) -> Found:
        """The smallest dose that brings the mean share to ``target``, by bisection within a window."""

        def there(lists: IntArray) -> bool:
            share = share_of(lists, members)
            return share <= target if direction == "suppress" else share >= target

        lists = self.at(0)
        if there(lists):
            return Found(0.0, lists)
        low, high = 0.0, 1.0
        lists = self.at(high)
        while not there(lists):
            if high >= largest:
                return Found(None, lists)
            low, high = high, min(4 * high, largest)
            lists = self.at(high)
        window = None if self._line.moved else self._window(high)
        while high - low > (CLOSE if window else CLOSE_MOVED) * high:
            window = window and window.narrowed(low, high)
            middle = (low + high) / 2
            tried = window.lists(middle) if window else self.at(middle)
            if there(tried):
                high, lists = middle, tried
            else:
                low = middle
        return Found(high, lists)


def steer_concept(  # noqa: PLR0915 - one turn over the methods; what it measures is one table
    concept: Concept, methods: Methods, config: EvaluateConfig, collateral: Collateral | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the steering table, and the dose-response of the served channels, for one concept.

    A row: ``concept``, ``family``, ``method``, ``direction``, ``base_share``, ``target``, ``reached``, ``dose``,
    ``share``, ``ndcg_kept`` (NDCG over the unsteered one), ``overlap`` with the oracle's list, ``ndcg_kept_base_order``
    (the same items in the order of their base scores), ``curve`` (share, NDCG kept and overlap at
    ``config.curve_points`` of the dose) and, with a ``collateral``, what it measures. A response: ``concept``,
    ``family``, ``channel``, ``direction`` and one value per strength: ``share``, ``ndcg_kept``.
    """
    panel, base = methods.panel, methods.base
    members = methods.subject.labels(concept)
    before = share_of(base.lists, members)
    whole = mean_ndcg(panel, base.lists)
    makers = methods.of(concept, config.methods)
    dial = methods.subject.calibration.dial

    def units(channel: str, direction: Direction, strength: float) -> float:
        """Dose of a rule of that strength, in the user's units, as the server takes it (bundle.calibration)."""
        action: Literal["demote", "promote"] = "demote" if direction == "suppress" else "promote"
        side: Literal["item", "query"] = "query" if channel == "query" else "item"
        return dial.units(concept.id, side, action, k=base.k, strength=strength)

    rows: list[dict[str, Any]] = []
    responses: list[dict[str, Any]] = []
    for direction in DIRECTIONS:
        target = before * config.suppress_left if direction == "suppress" else config.promote_share
        ideal = hard_filter(base, members) if direction == "suppress" else quota(base, members, target)
        open_target = before > 0 if direction == "suppress" else before < target
        head = {"concept": concept.id, "family": concept.family, "direction": direction, "base_share": before}

        def row(method: str, found: Found, reached: bool, lists: Lists | None = None) -> dict[str, Any]:
            at = found.lists

            def cost(shown: IntArray) -> dict[str, float | None]:
                return costs_of(shown, panel, members, ideal, whole)  # noqa: B023 - called within the same turn

            costs = cost(at)
            if not reached:
                costs |= {"ndcg_kept": None, "overlap": None}
            own = head | {"method": method, "target": target, "reached": reached, "dose": found.dose} | costs  # noqa: B023
            ordered = ratio(mean_ndcg(panel, in_base_order(base, at)), whole) if reached else None
            own["ndcg_kept_base_order"] = ordered
            if lists is not None and config.curve_points:
                end = config.largest_dose if found.dose is None else found.dose
                own["curve"] = [{"dose": end * part, **cost(lists.at(end * part))} for part in config.curve_points]
            if collateral is not None and reached:
                own |= collateral.measure(base.lists, at, concept)
            return own

        if open_target:
            rows.append(row("oracle", Found(None, ideal), reached=True))
        for method, make in makers.items():
            line = make(direction)
            if line is None:
                if open_target and method not in FIXED:
                    rows.append(row(method, Found(None, base.lists), reached=False))
                continue
            lists = Lists(line, base)
            if open_target and method in FIXED:
                edited = Found(1.0, lists.at(1))
                rows.append(row(method, edited, reached=share_of(edited.lists, members) <= target))
            elif open_target:
                found = lists.reach(target, members, direction, config.largest_dose)
                rows.append(row(method, found, found.dose is not None, lists))
                if method == "papers" and direction == "suppress" and "papers_zero" in config.methods:
                    zero = Found(0.0, lists.at(0))
                    rows.append(row("papers_zero", zero, reached=share_of(zero.lists, members) <= target))
            if method in SERVED:
                shown = [lists.at(units(method, direction, strength)) for strength in config.strengths]
                responses.append(
                    head
                    | {
                        "channel": method,
                        "share": [share_of(part, members) for part in shown],
                        "ndcg_kept": [ratio(mean_ndcg(panel, part), whole) for part in shown],
                    }
                )
    return rows, responses


def costs_of(
    lists: IntArray, panel: Panel, members: BoolArray, ideal: IntArray, whole: float | None
) -> dict[str, float | None]:
    """Share, NDCG over the unsteered one and overlap with the oracle's lists, of ``lists`` [U, K]."""
    return {
        "share": share_of(lists, members),
        "ndcg_kept": ratio(mean_ndcg(panel, lists), whole),
        "overlap": float(overlap(ideal, lists).mean()),
    }


def in_base_order(base: Base, lists: IntArray) -> IntArray:
    """The same items in the order of their base scores, [U, K]: choose by steered score, order by the base's."""
    scores = np.where(lists >= 0, np.take_along_axis(base.scores, np.maximum(lists, 0), 1), np.float32(-np.inf))
    return np.take_along_axis(lists, np.lexsort((lists, -scores), axis=1), 1)


def mean_ndcg(panel: Panel, lists: IntArray) -> float | None:
    """Mean NDCG over the panel; None without interactions."""
    ndcg = panel.ndcg(lists)
    return None if ndcg is None else float(np.mean(ndcg))
