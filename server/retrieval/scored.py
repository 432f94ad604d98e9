"""Exact top k, steered or not, read off the scores of the whole catalogue.

Scoring every item is most of an exact search, so a request with rules scores once and reads everything else off: the
unsteered list, the concepts' best members, the steered list. Rules are added up for few items only, and the others are
left out by bounds that hold for every mix of rules (docs/decisions/020):

    1. The *head*, the best thousand or so by base score, is added up. Its k-th steered score ``L`` is a bound from
       below.
    2. A read-out is at most 1, so no item rises by more than the sum ``T`` of the positive doses. Everything outside
       the head scores less than the head's last item ``t``: with ``L >= t + T`` the answer is in the head. Demotions
       alone (T = 0) nearly always end here.
    3. Else every item with a base score of at least ``L - T`` is added up, where these are few; where they are many, a
       pass over the catalogue adds each promotion to all, and what then reaches ``L`` is added up.

Legend: N items, R rows looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from bundle import dose
from server import bits
from server.bits import BitArray
from server.columns import Columns, Look
from server.retrieval.gains import Gain, best_of, total_gain
from server.types import FloatArray, IntArray, Ranking

HEAD, LEAST = 1024, 256
"""Items of the head, at least: a sixteenth of the catalogue between these; and of its beginning."""

START = 256
"""Of the head's items so many are added up first, to find a bound."""

FEW = 1 / 32
"""Part of the catalogue up to which adding rules to scattered items is cheaper than to all of them."""

SLICE = 32_768
"""Items that a pass treats at once, so that they stay in the nearest cache: a fifth faster than all at once."""

BLOCK = 32
GROWTH = 8

ROUNDING = 2.0**-21
"""Part of the numbers in a sum that single precision may lose per term, amply."""

_NONE = Ranking(np.empty(0, np.int64), np.empty(0, np.float32))


class Scored:
    """The scores of every item for one query, ``values`` [N]; they stay as they are.

    ``columns``: of the catalogue, where it has them.
    """

    def __init__(self, values: FloatArray, columns: Columns | None = None) -> None:
        self.values = values
        self._columns = columns
        self._within: dict[bool, tuple[BitArray, Ranking]] = {}

    @cached_property
    def _top(self) -> Ranking:
        """The best items, about LEAST of them, best first; every other item scores less than each of these."""
        return self._ordered(self._reaching(LEAST))

    @cached_property
    def head(self) -> Ranking:
        """The same, about HEAD of them."""
        most = min(HEAD, len(self.values) // 16)
        return self._top if most <= LEAST else self._ordered(self._reaching(most))

    def within(self, allowed: BitArray | None, *, deep: bool = True) -> Ranking:
        """What of the head is allowed, or, not ``deep``, of its beginning; the last answer is kept."""
        head = self.head if deep else self._top
        if allowed is None:
            return head
        known = self._within.get(deep)
        if known is None or known[0] is not allowed:
            inside = bits.has_each(allowed, head.items)
            known = self._within[deep] = allowed, Ranking(head.items[inside], head.scores[inside])
        return known[1]

    def search(self, n: int, allowed: BitArray | None) -> Ranking:
        """The best ``n`` of the allowed items, best first, ties to the lower row."""
        found = self._leading(n, allowed)
        return Ranking(found.items[:n], found.scores[:n])

    def best_of_each(self, readouts: Sequence[FloatArray], n: int, allowed: BitArray | None) -> list[FloatArray | None]:
        """Per column the scores of the best ``n`` allowed items with a read-out of a member; None: look at them all."""
        found: list[FloatArray | None] = [None] * len(readouts)
        left = list(range(len(readouts)))
        for deep in (False, True):
            head = self.within(allowed, deep=deep)
            members = Look(head.items, self._columns).at([readouts[place] for place in left]) >= dose.MEMBER_READOUT
            size = len(head.items)
            hits = np.flatnonzero(members)
            bounds = np.searchsorted(hits, np.arange(len(left) + 1) * size).tolist()
            for row, place in enumerate(left):
                if bounds[row + 1] - bounds[row] >= n:
                    found[place] = head.scores[hits[bounds[row] : bounds[row] + n] - row * size]
            left = [place for place in left if found[place] is None]
            if not left:
                break
        return found

    def steered(self, k: int, gains: Sequence[Gain], allowed: BitArray | None) -> Ranking:
        """The best ``k`` of the allowed items by score plus what the rules add; the same form."""
        start = self.search(max(START, 4 * k), allowed)
        if not len(start.items):
            return _NONE
        best = best_of(start.items, start.scores + total_gain(gains, start.items, self._columns), k)
        if len(best.items) < k:  # it is all that is allowed
            return best
        promotions = [gain for gain in gains if gain.dose > 0]
        most = sum(gain.dose for gain in promotions)
        lowest = float(best.scores[-1])
        size = abs(lowest) + float(np.abs(start.scores[[0, -1]]).max())
        if _short_of(lowest, len(gains), size + most) >= float(start.scores[-1]) + most:
            return best
        rows = self._candidates(promotions, len(gains), lowest, size)
        if allowed is not None:
            rows = rows[bits.has_each(allowed, rows)]
        return best_of(rows, self.values[rows] + total_gain(gains, rows, self._columns), k)

    def _candidates(self, promotions: Sequence[Gain], rules: int, lowest: float, size: float) -> IntArray:
        """Every row that could reach ``lowest`` under the rules, and few others, ascending; ``size``: of the scores."""
        doses = [gain.dose for gain in promotions]
        together = self._together(promotions)
        if together is not None:  # the largest dose, for all of them: one pass in the place of one for each
            bound = _short_of(lowest, rules, size + max(doses) * len(doses))
            return np.flatnonzero(self._raised([(max(doses), together)]) >= _below(bound))
        bound = _short_of(lowest, rules, size + sum(doses))
        near = self.values >= _below(bound - sum(doses))
        if promotions and np.count_nonzero(near) > FEW * len(near):
            near = self._raised([(gain.dose, gain.readout) for gain in promotions]) >= _below(bound)
        return np.flatnonzero(near)

    def _together(self, promotions: Sequence[Gain]) -> FloatArray | None:
        """What several promotions add to every item at a dose of 1 each, [N], where that is at hand."""
        if len(promotions) <= 1 or self._columns is None:
            return None
        floor, shield = promotions[0].floor, promotions[0].shield
        if any(gain.floor != floor or gain.shield is not shield for gain in promotions):
            return None
        return self._columns.most(
            [gain.readout for gain in promotions], floor, () if shield is None else shield.demoted
        )

    def _raised(self, parts: Sequence[tuple[float, FloatArray]]) -> FloatArray:
        """Scores plus doses times columns [N], [N]: of promotions, floors and shields only take away from it."""
        bound, step = self.values.copy(), np.empty(min(SLICE, len(self.values)), np.float32)
        for first in range(0, len(bound), SLICE):
            part = bound[first : first + SLICE]
            for amount, column in parts:
                np.multiply(column[first : first + SLICE], np.float32(amount), out=step[: len(part)])
                part += step[: len(part)]
        return bound

    def _leading(self, n: int, allowed: BitArray | None) -> Ranking:
        """``n`` of the allowed items or more (all where there are fewer), and every allowed one that scores as much."""
        found = self.within(allowed, deep=False)
        if len(found.items) < n:
            found = self.within(allowed)
        size, depth = len(self.values), len(self.head.items) if len(found.items) < n else 0
        while len(found.items) < n and depth < size:
            depth = min(size, max(GROWTH * depth, 2 * n))
            rows = self._reaching(depth)
            depth = len(rows)
            if allowed is not None:
                rows = rows[bits.has_each(allowed, rows)]
            if len(rows) >= n or depth == size:
                found = self._ordered(rows)
        return found

    def _reaching(self, n: int) -> IntArray:
        """Rows of the best ``n`` and perhaps of more, all that reach some score, ascending; at most all there are."""
        values = self.values
        size = len(values)
        if n >= size:
            return np.arange(size)
        blocks = size // BLOCK
        if blocks >= 2 * n:
            # As many blocks as items are wanted hold an item that reaches the n-th best maximum of a block.
            lowest = np.partition(self._maxima, blocks - n)[blocks - n]
        else:
            lowest = np.partition(values, size - n)[size - n]
        return np.flatnonzero(values >= lowest)

    @cached_property
    def _maxima(self) -> FloatArray:
        """The best score of each block of items, every block BLOCK items that lie far apart."""
        blocks = len(self.values) // BLOCK
        maxima: FloatArray = self.values[: blocks * BLOCK].reshape(BLOCK, blocks).max(0)
        return maxima

    def _ordered(self, rows: IntArray) -> Ranking:
        """Rows given in ascending order, best first."""
        scores = self.values[rows]
        order = np.argsort(-scores)
        ordered = scores[order]
        if (ordered[1:] == ordered[:-1]).any():  # the lower row first; a stable sort takes three times as long
            order = np.argsort(-scores, kind="stable")
        return Ranking(rows[order], ordered)


def _short_of(lowest: float, rules: int, size: float) -> float:
    """A bound less what single precision may lose in sums of a score and what so many rules add, of that size."""
    return lowest - ROUNDING * (rules + 1) * size


def _below(bound: float) -> np.float32:
    """The next single-precision number under a bound, so that a comparison leaves nothing out that reaches it."""
    return np.float32(np.nextafter(np.float32(bound), np.float32(-np.inf)))
