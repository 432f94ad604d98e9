"""Steered lists at any dose of a range, exactly, from the few items that can be in them.

A soft rule adds ``dose x unit_u x column_v`` to the score of item v for user u, so every steered score is a line in the
dose, and on an interval it lies between its values at the ends. The k-th largest of the lower ends bounds the k-th
best score everywhere in the interval from below; an item whose upper end is under that bound is in no list. What is
left is tens of items per user, not the catalogue. Legend: U users, N items, P items left, K list length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.evaluate.panel import BoolArray, FloatArray, IntArray
from offline.recommenders.ranking import top_items

CHUNK_SCORES = 4_000_000


@dataclass(frozen=True)
class Window:
    """``items`` [U, P] in ascending order (-1: filled up), their base ``scores`` (-inf where filled) and ``step`` [U, P].

    ``step`` is what a dose of 1 adds.
    """

    items: IntArray
    scores: FloatArray
    step: FloatArray
    k: int

    @classmethod
    def between(
        cls, scores: FloatArray, column: FloatArray, unit: FloatArray, k: int, low: float, high: float
    ) -> Window:
        """The items of ``scores`` [U, N] that can be among the k best at any dose from ``low`` to ``high``.

        ``column`` [N] times ``unit`` [U] is what a dose of 1 adds; negative for a demotion.
        """
        rows: list[IntArray] = []
        places: list[IntArray] = []
        users, items = scores.shape
        chunk = max(1, CHUNK_SCORES // items)
        for start in range(0, users, chunk):
            part = scores[start : start + chunk]
            step = unit[start : start + chunk, None] * column
            ends = part + np.float32(low) * step, part + np.float32(high) * step
            at = max(0, items - k)
            bound = np.partition(np.minimum(*ends), at, axis=1)[:, at, None]
            # Rounding differs between the ends and the doses inside; an item too many costs nothing.
            slack = 1e-5 * np.where(np.isfinite(bound), np.abs(bound) + 1, 0)
            row, place = np.nonzero((np.maximum(*ends) >= bound - slack) & np.isfinite(part))
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

    def lists(self, dose: float) -> IntArray:
        """Every user's k best items at a dose within the interval, best first, [U, K]; -1: none left."""
        best = top_items(self.scores + np.float32(dose) * self.step, self.k)
        return np.take_along_axis(self.items, best, 1)


def share_of(lists: IntArray, members: BoolArray) -> float:
    """Mean share of ``members`` [N] in the lists [U, K]; a list that is short counts what it has."""
    shown = lists >= 0
    inside = members[np.maximum(lists, 0)] & shown
    return float((inside.sum(1) / np.maximum(shown.sum(1), 1)).mean())
