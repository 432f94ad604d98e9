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

from server import bits
from server.bits import BitArray
from server.retrieval.gains import Gain, best_of, total_gain
from server.types import FloatArray, IntArray, Ranking

HEAD, LEAST = 1024, 256
"""Items of the head, at least: a sixteenth of the catalogue between these."""

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
    """The scores of every item for one query, ``values`` [N]; they stay as they are."""

    def __init__(self, values: FloatArray) -> None:
        self.values = values
        self._within: tuple[BitArray, Ranking] | None = None

    @cached_property
    def head(self) -> Ranking:
        """The best items, about HEAD of them, best first; every other item scores less than each of these."""
        return self._ordered(_reaching(self.values, max(LEAST, min(HEAD, len(self.values) // 16))))

    def within(self, allowed: BitArray | None) -> Ranking:
        """What of the head is allowed; the last answer is kept, for the rules of one request."""
        if allowed is None:
            return self.head
        if self._within is None or self._within[0] is not allowed:
            inside = bits.has_each(allowed, self.head.items)
            self._within = allowed, Ranking(self.head.items[inside], self.head.scores[inside])
        return self._within[1]

    def search(self, n: int, allowed: BitArray | None) -> Ranking:
        """The best ``n`` of the allowed items, best first, ties to the lower row."""
        found = self._leading(n, allowed)
        return Ranking(found.items[:n], found.scores[:n])

    def steered(self, k: int, gains: Sequence[Gain], allowed: BitArray | None) -> Ranking:
        """The best ``k`` of the allowed items by score plus what the rules add; the same form."""
        size = len(self.values)
        start = self.search(max(START, 4 * k), allowed)
        if not len(start.items):
            return _NONE
        best = best_of(start.items, start.scores + total_gain(gains, start.items), k)
        if len(best.items) < k:  # it is all that is allowed
            return best
        promotions = [gain for gain in gains if gain.dose > 0]
        most = sum(gain.dose for gain in promotions)
        lowest = float(best.scores[-1])
        # What single precision may lose in such sums.
        lowest -= ROUNDING * (len(gains) + 1) * (abs(lowest) + most + float(np.abs(start.scores[[0, -1]]).max()))
        if lowest >= float(start.scores[-1]) + most:
            return best
        rows = np.flatnonzero(self.values >= _below(lowest - most))
        if len(rows) > FEW * size and promotions:
            rows = np.flatnonzero(self._raised(promotions) >= _below(lowest))
        if allowed is not None:
            rows = rows[bits.has_each(allowed, rows)]
        return best_of(rows, self.values[rows] + total_gain(gains, rows), k)

    def _raised(self, promotions: Sequence[Gain]) -> FloatArray:
        """Scores plus all that the promotions could add, [N]: floors and shields only take away from it."""
        bound, step = self.values.copy(), np.empty(SLICE, np.float32)
        for first in range(0, len(bound), SLICE):
            part = bound[first : first + SLICE]
            for gain in promotions:
                np.multiply(gain.readout[first : first + SLICE], np.float32(gain.dose), out=step[: len(part)])
                part += step[: len(part)]
        return bound

    def _leading(self, n: int, allowed: BitArray | None) -> Ranking:
        """``n`` of the allowed items or more (all where there are fewer), and every allowed one that scores as much."""
        found, size, depth = self.within(allowed), len(self.values), len(self.head.items)
        while len(found.items) < n and depth < size:
            depth = min(size, max(GROWTH * depth, 2 * n))
            rows = _reaching(self.values, depth)
            depth = len(rows)
            if allowed is not None:
                rows = rows[bits.has_each(allowed, rows)]
            if len(rows) >= n or depth == size:
                found = self._ordered(rows)
        return found

    def _ordered(self, rows: IntArray) -> Ranking:
        """Rows given in ascending order, best first."""
        scores = self.values[rows]
        order = np.argsort(-scores)
        ordered = scores[order]
        if (ordered[1:] == ordered[:-1]).any():  # the lower row first; a stable sort takes three times as long
            order = np.argsort(-scores, kind="stable")
        return Ranking(rows[order], ordered)


def _reaching(values: FloatArray, n: int) -> IntArray:
    """Rows of the best ``n`` and perhaps of more, all that reach some score, ascending; at most all there are."""
    size = len(values)
    if n >= size:
        return np.arange(size)
    blocks = size // BLOCK
    if blocks >= 2 * n:
        # As many blocks as items are wanted hold an item that reaches the n-th best maximum of a block.
        maxima = values[: blocks * BLOCK].reshape(BLOCK, blocks).max(0)
        lowest = np.partition(maxima, blocks - n)[blocks - n]
    else:
        lowest = np.partition(values, size - n)[size - n]
    return np.flatnonzero(values >= lowest)


def _below(bound: float) -> np.float32:
    """The next single-precision number under a bound, so that a comparison leaves nothing out that reaches it."""
    return np.float32(np.nextafter(np.float32(bound), np.float32(-np.inf)))
