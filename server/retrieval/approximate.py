"""Approximate search that keeps the promises an exact one makes: never a forbidden item, never a list cut short.

The index only proposes candidates. Each is checked against the mask and scored with its true vector, so quantisation
costs recall but never a score; where the index finds too few, or a scan of what passes is cheaper, the scan is done and
the list is exact. Legend: N items, D' search dimension, n items asked for.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from server import bits
from server.bits import BitArray
from server.retrieval.gains import best_of
from server.retrieval.searchers import Searcher
from server.types import FloatArray, Ranking

WHOLE_SCAN = 1 / 3
"""Time of a row in a scan of the whole catalogue, relative to one of a scan of scattered rows."""


class ApproximateRetriever:
    """A Searcher behind the Retriever protocol.

    ``vectors`` [N, D']: the true search vectors, in memory or memory-mapped. ``scan``: an exact scan may take the
    index's place where it is cheaper; tests switch it off to put the index under load.
    """

    exact = False

    def __init__(self, searcher: Searcher, vectors: FloatArray, *, scan: bool = True) -> None:
        self._searcher = searcher
        self._vectors = vectors
        self._scan_where_cheaper = scan

    def __len__(self) -> int:
        return len(self._searcher)

    def search(self, query: FloatArray, n: int, allowed: npt.NDArray[np.uint8] | None = None) -> Ranking:
        """Most of the best ``n`` items of a query [D'], with their true scores, best first; see Retriever.

        Exactly ``min(n, allowed items)`` come back. As long as ``n`` is at most the searcher's depth, a shorter list
        is the head of a longer one.
        """
        items = len(self)
        eligible = items if allowed is None else bits.count(allowed, items)
        n = min(n, eligible)
        if n == 0:
            return Ranking(np.empty(0, np.int64), np.empty(0, np.float32))
        rounds = _rounds(n, self._searcher.depth)
        if self._prefers_scan(rounds, eligible):
            return self._scan(query, n, allowed)
        found = self._searcher.candidates(query, rounds, eligible / items, allowed)
        found = np.unique(found[(found >= 0) & (found < items)])
        if allowed is not None:
            # Selectors have returned forbidden ids before (faiss#5504): the promise is checked here, not believed.
            found = found[bits.has_each(allowed, found)]
        if len(found) < n:
            return self._scan(query, n, allowed)
        return best_of(found, _scores(self._vectors.take(found, axis=0), query), n)

    def _prefers_scan(self, rounds: int, eligible: int) -> bool:
        """Whether an exact scan is cheaper; an ordinary search without a filter is always the index's."""
        items = len(self)
        if not self._scan_where_cheaper or (eligible == items and rounds == 1):
            return False
        return min(eligible, WHOLE_SCAN * items) <= self._searcher.cost(rounds, eligible / items)

    def _scan(self, query: FloatArray, n: int, allowed: BitArray | None) -> Ranking:
        """The true best ``n``, by scoring everything that passes."""
        items = len(self)
        if allowed is None:
            return best_of(np.arange(items), _scores(self._vectors, query), n)
        rows = np.flatnonzero(np.unpackbits(allowed, count=items, bitorder="little").view(np.bool_))
        if len(rows) <= WHOLE_SCAN * items:
            return best_of(rows, _scores(self._vectors.take(rows, axis=0), query), n)
        return best_of(rows, _scores(self._vectors, query)[rows], n)


def _rounds(n: int, depth: int) -> int:
    """The power of two that brings ``depth`` to ``n``: few steps, so that lists of different length agree."""
    rounds = 1
    while depth * rounds < n:
        rounds *= 2
    return rounds


def _scores(vectors: FloatArray, query: FloatArray) -> FloatArray:
    """Inner products [len(vectors)]; a row's bits never depend on the rows beside it, as they do in a BLAS product."""
    scores: FloatArray = np.einsum("nd,d->n", vectors, query)
    return scores
