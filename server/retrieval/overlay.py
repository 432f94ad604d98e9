"""Items that have a place of their own for a while: a small exact side index over whatever the main one is.

The main index does not know that an item moved, so its original is masked there; the few that moved are scored one by
one, and the two lists are merged. Exact where the main index is. Legend: N items, E moved items, D' search dimension.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from server import bits
from server.bits import BitArray
from server.retrieval.gains import best_of
from server.retrieval.protocol import Retriever
from server.types import FloatArray, IntArray, Ranking

ScoreArray = npt.NDArray[np.floating]


class Overlay:
    """Which items moved: ``rows`` [E], ascending, each once, of ``items``."""

    def __init__(self, rows: IntArray, items: int) -> None:
        self.rows = rows
        self.items = items
        self._moved = bits.of_rows(rows, items)

    def masked(self, allowed: BitArray | None) -> BitArray:
        """What the main index may return: the allowed items that did not move."""
        return ~self._moved if allowed is None else allowed & ~self._moved

    def merged(self, main: Ranking, scores: ScoreArray, allowed: BitArray | None, n: int) -> Ranking:
        """The best ``n`` of the main index's list and of the moved items, which score ``scores`` [E]."""
        rows = self.rows
        if allowed is not None:
            passes = bits.has_each(allowed, rows)
            rows, scores = rows[passes], scores[passes]
        return best_of(np.concatenate([main.items, rows]), np.concatenate([main.scores.astype(np.float64), scores]), n)

    def places(self, among: IntArray) -> tuple[npt.NDArray[np.bool_], IntArray]:
        """Which of ``among`` moved, and their places in ``rows``."""
        place = np.minimum(np.searchsorted(self.rows, among), max(0, len(self.rows) - 1))
        moved = self.rows[place] == among if len(self.rows) else np.zeros(len(among), np.bool_)
        return moved, place[moved]


class OverlayRetriever:
    """A Retriever with some items elsewhere: ``vectors`` [E, D'] in the place of those of ``rows`` [E], ascending."""

    def __init__(self, main: Retriever, rows: IntArray, vectors: FloatArray) -> None:
        self._main = main
        self._overlay = Overlay(rows, len(main))
        self._vectors = vectors
        self.exact = main.exact

    def __len__(self) -> int:
        return len(self._main)

    def search(self, query: FloatArray, n: int, allowed: BitArray | None = None) -> Ranking:
        """See Retriever."""
        found = self._main.search(query, n, self._overlay.masked(allowed))
        return self._overlay.merged(found, self._vectors @ query, allowed, n)
