"""Exact search over a FAISS flat inner-product index."""

from __future__ import annotations

from collections.abc import Sequence

import faiss
import numpy as np
import numpy.typing as npt

from server import bits
from server.retrieval.scored import Scored
from server.types import FloatArray, IntArray, Ranking

OTHER_SUMS = frozenset({2, 4, 8, 12})
"""Dimensions in which FAISS's kernel for many products adds up in another order than its search does (1.15.1)."""

BLOCK_BYTES = 512 * 1024
"""Of vectors that several queries are multiplied by in turn: they stay in the core's own cache meanwhile."""

TOGETHER_BYTES = 4 * 2**20
"""Of vectors, from which on reading them once for several queries saves more than a look through the scores takes."""

SCORES_BYTES = 16 * 2**20
"""Of scores that are held at a time for queries that are scored in one go: of a million items, four queries'."""

MOST_TOGETHER = 8
"""Queries asked in one go: with more, the first would wait longer and the last gain little (docs/decisions/027)."""


class FlatRetriever:
    """FAISS IndexFlat behind the Retriever protocol; FAISS's -1 and its selectors never leave this file."""

    exact = True

    def __init__(self, index: faiss.Index) -> None:
        self._index = index
        self._size = int(index.ntotal)
        self._dim = int(index.d)
        self._vectors = index.get_xb()  # lives as long as the index
        self._rows: IntArray | None = np.arange(self._size) if self._dim in OTHER_SUMS else None

    def __len__(self) -> int:
        return self._size

    @property
    def most_together(self) -> int:
        """Queries that ``scores_of_each`` scores in less time than one search after the other; 1: none."""
        if 4 * self._size * self._dim < TOGETHER_BYTES:
            return 1
        return max(1, min(MOST_TOGETHER, SCORES_BYTES // (4 * self._size)))

    def search(self, query: FloatArray, n: int, allowed: npt.NDArray[np.uint8] | None = None) -> Ranking:
        """The best ``n`` items of a query [D'], best first, ties to the lower row; see Retriever.

        FAISS leaves open which of several items with the same score it returns, and in which order.
        """
        n = min(n, len(self))
        found = self._listed(query, min(n + 1, len(self)), allowed)
        items, scores = found.items, found.scores
        if (scores[1:] == scores[:-1]).any():
            if len(items) > n and scores[n] == scores[n - 1]:  # others behind them may have that score too
                return Scored(self.scores(query)).search(n, allowed)
            order = np.lexsort((items, -scores))
            items, scores = items[order], scores[order]
        return Ranking(items[:n], scores[:n])

    def search_each(self, queries: Sequence[FloatArray], n: int) -> list[Ranking]:
        """``search`` of all items for each query [D'], at most MOST_TOGETHER: one call of the index, the same bits.

        Asked for twenty or more, FAISS takes a matrix product, which adds up in another order.
        """
        n = min(n, self._size)
        kept = np.ascontiguousarray(queries, np.float32)
        scores, items = self._index.search(kept, min(n + 1, self._size))
        plain = (scores[:, 1:] != scores[:, :-1]).all(1) & (items[:, -1] >= 0)  # neither ties nor empty places
        return [
            Ranking(items[place, :n], scores[place, :n]) if plain[place] else self.search(kept[place], n)
            for place in range(len(kept))
        ]

    def _listed(self, query: FloatArray, n: int, allowed: npt.NDArray[np.uint8] | None) -> Ranking:
        """What the index returns, without the empty places."""
        if allowed is None:
            scores, items = self._index.search(query[None], n)
        else:
            selector = faiss.IDSelectorBitmap(allowed)
            scores, items = self._index.search(query[None], n, params=faiss.SearchParameters(sel=selector))
        found, values = items[0], scores[0]
        if allowed is None and n and found[-1] >= 0:  # -1 comes last
            return Ranking(found, values)
        keep = found >= 0
        if allowed is not None:
            # Selectors have returned forbidden ids before (faiss#5504): the promise is checked here, not believed.
            keep &= bits.has_each(allowed, found)
        return Ranking(found[keep], values[keep])

    def scores(self, query: FloatArray) -> FloatArray:
        """Scores of every item for a query [D'], [N]: the very bits that ``search`` returns."""
        query = np.ascontiguousarray(query, np.float32)
        if self._rows is not None:
            return self.some_scores(query, self._rows)
        out = np.empty(self._size, np.float32)
        to, of = faiss.swig_ptr(out), faiss.swig_ptr(query)
        faiss.fvec_inner_products_ny(to, of, self._vectors, self._dim, self._size)
        return out

    def scores_of_each(self, queries: Sequence[FloatArray]) -> FloatArray:
        """Scores of every item for each query [D'], [queries, N]: the same bits, the vectors read from memory once."""
        if self._rows is not None:
            return np.stack([self.scores(query) for query in queries])
        kept = np.ascontiguousarray(queries, np.float32)
        out = np.empty((len(kept), self._size), np.float32)
        step = max(1, BLOCK_BYTES // (4 * self._dim))
        vectors = faiss.rev_swig_ptr(self._vectors, self._size * self._dim)
        of = [faiss.swig_ptr(query) for query in kept]
        for start in range(0, self._size, step):
            size = min(step, self._size - start)
            block = faiss.swig_ptr(vectors[start * self._dim : (start + size) * self._dim])
            for query, scores in zip(of, out, strict=True):
                to = faiss.swig_ptr(scores[start : start + size])
                faiss.fvec_inner_products_ny(to, query, block, self._dim, size)
        return out

    def some_scores(self, query: FloatArray, rows: IntArray) -> FloatArray:
        """Scores of some items for a query [D'], [len(rows)]: the same bits again."""
        query, rows = np.ascontiguousarray(query, np.float32), np.ascontiguousarray(rows, np.int64)
        out = np.empty(len(rows), np.float32)
        if len(rows):
            to, of, at = faiss.swig_ptr(out), faiss.swig_ptr(query), faiss.swig_ptr(rows)
            faiss.fvec_inner_products_by_idx(to, of, self._vectors, at, self._dim, 1, len(rows))
        return out
