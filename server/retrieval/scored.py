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

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np

from bundle import dose
from server import bits
from server.bits import BitArray
from server.columns import Columns, Look, Together
from server.retrieval.gains import Gain, Mix, best_of
from server.types import FloatArray, IntArray, Ranking

HEAD, LEAST = 1024, 256
"""Items of the head, at least: a sixteenth of the catalogue between these; and of its beginning."""

FEW = 1 / 32
"""Part of the catalogue up to which adding rules to scattered items is cheaper than to all of them."""

SLICE = 32_768
"""Items that a pass treats at once, so that they stay in the nearest cache: a fifth faster than all at once."""

BLOCK = 32
GROWTH = 8

SPARSE = 4
"""Blocks are looked at one by one where so many times as many hold nothing that is looked for."""

ROUNDING = 2.0**-21
"""Part of the numbers in a sum that single precision may lose per term, amply."""

_NOBODY: IntArray = np.empty(0, np.int64)
_NONE = Ranking(np.empty(0, np.int64), np.empty(0, np.float32))


class Scored:
    """The scores of every item for one query, ``values`` [N]; they stay as they are.

    ``columns``: of the catalogue, where it has them.
    """

    def __init__(self, values: FloatArray, columns: Columns | None = None) -> None:
        self.values = values
        self._begin(len(values), columns)

    def _begin(self, size: int, columns: Columns | None) -> None:
        self._size = size
        self._columns = columns
        self.deep_looks = size // 8
        """Scattered items that can be looked at in the time that a deep head takes."""
        self._within: dict[bool, tuple[BitArray, Ranking]] = {}

    @cached_property
    def _top(self) -> Ranking:
        """The best items, about LEAST of them, best first; every other item scores less than each of these."""
        return self._ordered(self._reaching(LEAST))

    @cached_property
    def head(self) -> Ranking:
        """The same, about HEAD of them."""
        most = min(HEAD, self._size // 16)
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

    def best_of_each(
        self, readouts: Sequence[FloatArray], n: int, allowed: BitArray | None, *, deep: bool
    ) -> list[FloatArray | None]:
        """Per column the scores of the best ``n`` allowed items with a read-out of a member; None: look further."""
        head = self.within(allowed, deep=deep)
        size = len(head.items)
        if not size:
            return [None] * len(readouts)
        hits = np.flatnonzero(Look(head.items, self._columns).at(readouts) >= dose.MEMBER_READOUT)
        scores = head.scores.take(hits % size)
        bounds = np.searchsorted(hits, np.arange(len(readouts) + 1) * size).tolist()
        return [scores[first : first + n] if last - first >= n else None for first, last in pairwise(bounds)]

    def steered(self, k: int, gains: Sequence[Gain], allowed: BitArray | None) -> Ranking:
        """The best ``k`` of the allowed items by score plus what the rules add; the same form."""
        start = self._leading(max(LEAST // 4, 4 * k), allowed)
        if not len(start.items):
            return _NONE
        mix = Mix(gains, self._columns)
        scores = start.scores + mix.total(start.items)
        if len(scores) <= k:  # it is all that is allowed
            return best_of(start.items, scores, k)
        promotions = [gain for gain in gains if gain.dose > 0]
        lowest = float(np.partition(scores, len(scores) - k)[len(scores) - k])
        rows = self._candidates(promotions, len(gains), lowest, start.scores)
        if allowed is not None and len(rows):
            rows = rows[bits.has_each(allowed, rows)]
        if not len(rows):
            return best_of(start.items, scores, k)
        more = self.values[rows] + mix.total(rows)
        return best_of(np.concatenate([start.items, rows]), np.concatenate([scores, more]), k)

    def _candidates(self, promotions: Sequence[Gain], rules: int, lowest: float, start: FloatArray) -> IntArray:
        """Every row that scores less than all of ``start``, best first, and yet could reach ``lowest``; few others."""
        last = float(start[-1])
        size = abs(lowest) + max(abs(last), abs(float(start[0])))
        doses = [gain.dose for gain in promotions]
        bound = _short_of(lowest, rules, size + sum(doses))
        if last + sum(doses) < bound:
            return _NOBODY
        return self._reached(promotions, rules, lowest, size, start[-1])

    def _reached(
        self, promotions: Sequence[Gain], rules: int, lowest: float, size: float, last: np.float32
    ) -> IntArray:
        """Every row that scores less than ``last`` and could reach ``lowest``; ``size``: of the numbers in the sums."""
        doses = [gain.dose for gain in promotions]
        bound = _short_of(lowest, rules, size + sum(doses))
        together = self._together(promotions)
        if together is not None:  # the largest dose, for all of them: one column in the place of one for each
            dose_of_each = max(doses)
            bound = _short_of(lowest, rules, size + dose_of_each * len(doses))
            return self._outside(together, dose_of_each, bound, last)
        rows = self._from(_below(bound - sum(doses)))
        if promotions and len(rows) > FEW * self._size:
            raised = self._raised([(gain.dose, gain.readout) for gain in promotions])
            rows = np.flatnonzero(raised >= _below(bound))
        return rows[self.values.take(rows) < last]

    def _outside(self, together: Together, amount: float, bound: float, last: np.float32) -> IntArray:
        """Rows that score less than ``last`` and reach ``bound`` with ``amount`` for each of the promotions."""
        for limit, rows, sums in together.levels:
            if float(last) + amount * limit < bound:  # whatever is not among them stays below
                values = self.values.take(rows)
                return rows[(values + np.float32(amount) * sums >= _below(bound)) & (values < last)]
        near = self._raised([(amount, together.sums)]) >= _below(bound)
        near &= self.values < last
        return np.flatnonzero(near)

    def _together(self, promotions: Sequence[Gain]) -> Together | None:
        """What several promotions add to every item at a dose of 1 each, where that is at hand."""
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
        bound, step = np.empty_like(self.values), np.empty(min(SLICE, len(self.values)), np.float32)
        for first in range(0, len(bound), SLICE):
            values = part = self.values[first : first + SLICE]
            for amount, column in parts:
                np.multiply(column[first : first + SLICE], np.float32(amount), out=step[: len(part)])
                values = np.add(values, step[: len(part)], out=bound[first : first + SLICE])
        return bound

    def _leading(self, n: int, allowed: BitArray | None) -> Ranking:
        """``n`` of the allowed items or more (all where there are fewer), and every allowed one that scores as much."""
        found = self.within(allowed, deep=False)
        if len(found.items) < n:
            found = self.within(allowed)
        size, depth = self._size, len(self.head.items) if len(found.items) < n else 0
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
        return self._from(lowest)

    def _from(self, lowest: np.float32) -> IntArray:
        """Rows that score at least that, ascending; where they lie in few blocks, only these are looked at."""
        values, maxima = self.values, self._maxima
        places = np.flatnonzero(maxima >= lowest)
        if SPARSE * len(places) > len(maxima) or not len(places):
            return np.flatnonzero(values >= lowest)
        found = np.flatnonzero(self._blocks.take(places, axis=1).ravel() >= lowest)
        rows = found // len(places) * len(maxima) + places.take(found % len(places))
        behind = np.flatnonzero(values[BLOCK * len(maxima) :] >= lowest)
        return np.concatenate([rows, behind + BLOCK * len(maxima)]) if len(behind) else rows

    @cached_property
    def _maxima(self) -> FloatArray:
        """The best score of each block of items, every block BLOCK items that lie far apart."""
        maxima: FloatArray = self._blocks.max(0)
        return maxima

    @property
    def _blocks(self) -> FloatArray:
        """[BLOCK, blocks]: the scores, but for the last few."""
        blocks = len(self.values) // BLOCK
        return self.values[: blocks * BLOCK].reshape(BLOCK, blocks)

    def _ordered(self, rows: IntArray) -> Ranking:
        """Rows given in ascending order, best first."""
        scores = self.values[rows]
        order = np.argsort(-scores)
        ordered = scores[order]
        if (ordered[1:] == ordered[:-1]).any():  # the lower row first; a stable sort takes three times as long
            order = np.argsort(-scores, kind="stable")
        return Ranking(rows[order], ordered)


class Listed(Scored):
    """The same, of which at first only the best are known, from the index: enough for demotions, most often.

    A list of the index takes no longer than the scores of everything, and nothing has to be looked for among those.

    Args:
        top: the best items, best first; every other item scores less than each of these.
        size: N.
        every: scores of all, [N].
        columns: see Scored.
    """

    def __init__(
        self,
        top: Ranking,
        size: int,
        every: Callable[[], FloatArray],
        columns: Columns | None,
    ) -> None:
        self._begin(size, columns)
        self._top = top
        self._every = every

    @cached_property
    def values(self) -> FloatArray:  # type: ignore[override]
        """[N]; made when they are first asked for."""
        return self._every()


def _short_of(lowest: float, rules: int, size: float) -> float:
    """A bound less what single precision may lose in sums of a score and what so many rules add, of that size."""
    return lowest - ROUNDING * (rules + 1) * size


def _below(bound: float) -> np.float32:
    """The next single-precision number under a bound, so that a comparison leaves nothing out that reaches it."""
    return np.float32(np.nextafter(np.float32(bound), np.float32(-np.inf)))
