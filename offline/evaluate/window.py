"""Steered lists at any dose of a range, exactly, from the few items that can be in them.

A soft rule adds ``dose x unit_u x column_v`` to the score of item v for user u, so every steered score is a line in the
dose, and on an interval it lies between its values at the ends. The k-th largest of the lower ends, over any items at
all, bounds the k-th best score everywhere in the interval from below; an item whose upper end is under that bound is in
no list. What is left is tens of items per user, not the catalogue. Legend: U users, N items, P items left, K list
length, H items that the bound is taken from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.evaluate.panel import BoolArray, FloatArray, IntArray
from offline.recommenders.ranking import top_items

CHUNK_SCORES = 4_000_000


@dataclass(frozen=True)
class Window:
    """``items`` [U, P] in ascending order (-1: filled up) with their base ``scores`` (-inf where filled).

    ``step`` [U, P] is what a dose of 1 adds.
    """

    items: IntArray
    scores: FloatArray
    step: FloatArray
    k: int

    @classmethod
    def between(
        cls,
        scores: FloatArray,
        column: FloatArray,
        unit: FloatArray,
        likely: IntArray,
        *,
        k: int,
        low: float,
        high: float,
    ) -> Window:
        """The items of ``scores`` [U, N] that can be among the k best at any dose from ``low`` to ``high``.

        ``column`` [N] times ``unit`` [U] is what a dose of 1 adds; negative for a demotion. ``likely`` [U, H] (-1:
        none) are items probably among the best: the better they are, the fewer items are left.
        """
        rows: list[IntArray] = []
        places: list[IntArray] = []
        users, items = scores.shape
        chunk = max(1, CHUNK_SCORES // items)
        for start in range(0, users, chunk):
            part = scores[start : start + chunk]
            step = unit[start : start + chunk, None] * column
            ends = part + np.float32(low) * step, part + np.float32(high) * step
            bound = _kth_lower_end(*ends, likely[start : start + chunk], k)
            row, place = np.nonzero((np.maximum(*ends) >= bound) & np.isfinite(part))
            rows.append(row + start)
            places.append(place)
        row, place = np.concatenate(rows), np.concatenate(places)
        count = np.bincount(row, minlength=users)
        width = max(k, int(count.max(initial=0)))
        kept = np.full((users, width), -1, np.intp)
        kept[row, np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)] = place
        there = np.maximum(kept, 0)
        return cls(
            kept,
            np.where(kept >= 0, np.take_along_axis(scores, there, 1), np.float32(-np.inf)),
            (unit[:, None] * column[there]).astype(np.float32),
            k,
        )

    def narrowed(self, low: float, high: float) -> Window:
        """The same for an interval within this one: fewer items are left."""
        ends = self.scores + np.float32(low) * self.step, self.scores + np.float32(high) * self.step
        here = np.broadcast_to(np.arange(self.items.shape[1]), self.items.shape)
        keep = (np.maximum(*ends) >= _kth_lower_end(*ends, here, self.k)) & (self.items >= 0)
        width = max(self.k, int(keep.sum(1).max(initial=0)))
        place = np.argsort(~keep, axis=1, kind="stable")[:, :width]
        kept = np.take_along_axis(keep, place, 1)
        return Window(
            np.where(kept, np.take_along_axis(self.items, place, 1), -1),
            np.where(kept, np.take_along_axis(self.scores, place, 1), np.float32(-np.inf)),
            np.take_along_axis(self.step, place, 1),
            self.k,
        )

    def lists(self, dose: float) -> IntArray:
        """Every user's k best items at a dose within the interval, best first, [U, K]; -1: none left."""
        return self.best(dose, self.k)

    def best(self, dose: float, count: int) -> IntArray:
        """As ``lists``, of another length; beyond K they are the best of the items that are left."""
        best = top_items(self.scores + np.float32(dose) * self.step, count)
        return np.take_along_axis(self.items, best, 1)


def _kth_lower_end(at_low: FloatArray, at_high: FloatArray, likely: IntArray, k: int) -> FloatArray:
    """The k-th largest lower end among the ``likely`` items, [B, 1]; -inf where there are fewer than k."""
    if likely.shape[1] < k:
        return np.full((len(likely), 1), -np.inf, np.float32)
    there = np.maximum(likely, 0)
    ends = np.minimum(np.take_along_axis(at_low, there, 1), np.take_along_axis(at_high, there, 1))
    at = likely.shape[1] - k
    bound = np.partition(np.where(likely >= 0, ends, np.float32(-np.inf)), at, axis=1)[:, at, None]
    # Rounding differs between the ends and the doses inside; an item too many costs nothing.
    return np.asarray(bound - 1e-5 * np.where(np.isfinite(bound), np.abs(bound) + 1, 0), np.float32)


def share_of(lists: IntArray, members: BoolArray) -> float:
    """Mean share of ``members`` [N] in the lists [U, K]; a list that is short counts what it has."""
    shown = lists >= 0
    inside = members[np.maximum(lists, 0)] & shown
    return float((inside.sum(1) / np.maximum(shown.sum(1), 1)).mean())
