"""The concepts' read-outs once more, all of an item's side by side: what rules are added up from for scattered items.

A look at a thousand items takes a tenth of the time that it takes in a column per concept, because an item's read-outs
lie in one place. Legend: N items, C concepts, R rows looked at, G read-outs asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from server.kept import Kept
from server.types import FloatArray, IntArray

MOST_BYTES = 64 << 20
"""Of the copy by item; a larger catalogue does without, because there the search is nearly all of a request."""

FEW = 3
"""Read-outs up to which a look into their own columns is cheaper."""

SUMS_BYTES, MOST_SUMS, SUMS_ITEM = 64 << 20, 64, 8
"""Of the sums that are kept for sets of rules: bytes in all, how many, bytes per item of one."""

SLICE = 16_384
"""Items that are summed at once, so that they stay in the nearest cache."""

AMPLY = np.float32(1 + 2.0**-18)
"""What single precision may lose in a sum of read-outs times what shields leave."""


SHARES = (1 / 64, 1 / 16, 1 / 4)
"""Parts of the catalogue: the items to which promotions add most are listed apart."""


class Together:
    """What promotions add to every item at a dose of 1 each, ``sums`` [N], amply.

    ``levels``: (limit, rows, their sums), the limit falling; what is not among the rows has less than the limit.
    """

    def __init__(self, sums: FloatArray) -> None:
        self.sums = sums
        self.most = float(sums.max()) if len(sums) else 0.0
        places = sorted({int(len(sums) * (1 - share)) for share in SHARES if len(sums) * share >= 1}, reverse=True)
        limits = np.partition(sums, places)[places] if places else ()
        self.levels = [(float(limit), rows := np.flatnonzero(sums >= limit), sums[rows]) for limit in limits]


_ASKED = Together(np.empty(0, np.float32))
"""In the place of a sum that one request has asked for."""

_Key = tuple[tuple[int, ...], float, tuple[int, ...]]


class Columns:
    """``readouts``: a column [N] per concept, known again by being the same object."""

    def __init__(self, readouts: Sequence[FloatArray]) -> None:
        self._readouts = tuple(readouts)
        self._places = {id(readout): place for place, readout in enumerate(self._readouts)}
        self._size = len(self._readouts[0]) if self._readouts else 0
        self._sums: Kept[_Key, Together] = Kept(min(MOST_SUMS, max(4, SUMS_BYTES // max(1, SUMS_ITEM * self._size))))

    @cached_property
    def by_item(self) -> FloatArray | None:
        """[N, C]; None where it would be too large."""
        if not self._readouts or 4 * self._size * len(self._readouts) > MOST_BYTES:
            return None
        return np.stack(self._readouts, axis=1)

    def places(self, readouts: Sequence[FloatArray]) -> list[int] | None:
        """Which columns these are; None where one is none of them."""
        places = [self._places.get(id(readout), -1) for readout in readouts]
        return None if -1 in places else places

    def most(self, promoted: Sequence[FloatArray], floor: float, demoted: Sequence[FloatArray]) -> Together | None:
        """What a dose of 1 on each promoted column adds to every item under a shield; None: not at hand.

        It takes longer than the request that asks first, so it is made for the second one and kept: the same rules come
        with many requests.
        """
        places, shields = self.places(promoted), self.places(demoted)
        if places is None or shields is None:
            return None
        key = tuple(places), floor, tuple(shields)
        known = self._sums.get(key)
        if known is None:
            self._sums.put(key, _ASKED)
            return None
        if known is _ASKED:
            known = self._sum(*key)
            self._sums.put(key, known)
        return known

    def _sum(self, promoted: tuple[int, ...], floor: float, demoted: tuple[int, ...]) -> Together:
        total = np.zeros(self._size, np.float32)
        for first in range(0, self._size, SLICE):
            part = total[first : first + SLICE]
            for place in promoted:
                readout = self._readouts[place][first : first + SLICE]
                part += readout * (readout >= np.float32(floor))
            for place in demoted:
                part *= 1 - self._readouts[place][first : first + SLICE]
        total *= AMPLY
        return Together(total)


class Look:
    """Rows that rules are added up for: their read-outs are fetched once for all rules."""

    def __init__(self, rows: IntArray, columns: Columns | None = None) -> None:
        self.rows = rows
        self._columns = columns

    def at(self, readouts: Sequence[FloatArray]) -> FloatArray:
        """What these columns hold for the rows, [G, R], contiguous."""
        columns = self._columns
        if columns is not None and len(readouts) > FEW and columns.by_item is not None:
            places = columns.places(readouts)
            if places is not None:
                return self._by_item.T[places]
        out = np.empty((len(readouts), len(self.rows)), np.float32)
        for place, readout in enumerate(readouts):
            readout.take(self.rows, out=out[place], mode="clip")  # any other mode works in a copy
        return out

    @cached_property
    def _by_item(self) -> FloatArray:
        """[R, C]."""
        assert self._columns is not None
        assert self._columns.by_item is not None
        return self._columns.by_item.take(self.rows, axis=0, mode="clip")
