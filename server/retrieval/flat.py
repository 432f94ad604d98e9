"""Exact search over a FAISS flat inner-product index."""

from __future__ import annotations

import faiss
import numpy as np
import numpy.typing as npt

from server import bits
from server.types import FloatArray, IntArray, Ranking

OTHER_SUMS = frozenset({2, 4, 8, 12})
"""Dimensions in which FAISS's kernel for many products adds up in another order than its search does (1.15.1)."""


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

    def search(self, query: FloatArray, n: int, allowed: npt.NDArray[np.uint8] | None = None) -> Ranking:
        """The best ``n`` items of a query [D'], best first; see Retriever."""
        n = min(n, len(self))
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

    def some_scores(self, query: FloatArray, rows: IntArray) -> FloatArray:
        """Scores of some items for a query [D'], [len(rows)]: the same bits again."""
        query, rows = np.ascontiguousarray(query, np.float32), np.ascontiguousarray(rows, np.int64)
        out = np.empty(len(rows), np.float32)
        if len(rows):
            to, of, at = faiss.swig_ptr(out), faiss.swig_ptr(query), faiss.swig_ptr(rows)
            faiss.fvec_inner_products_by_idx(to, of, self._vectors, at, self._dim, 1, len(rows))
        return out
