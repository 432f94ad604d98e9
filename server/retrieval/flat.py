"""Exact search over a FAISS flat inner-product index."""

from __future__ import annotations

import faiss
import numpy as np
import numpy.typing as npt

from server import bits
from server.types import FloatArray, Ranking


class FlatRetriever:
    """FAISS IndexFlat behind the Retriever protocol; FAISS's -1 and its selectors never leave this file."""

    exact = True

    def __init__(self, index: faiss.Index) -> None:
        self._index = index

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(self, query: FloatArray, n: int, allowed: npt.NDArray[np.uint8] | None = None) -> Ranking:
        """The best ``n`` items of a query [D'], best first; see Retriever."""
        n = min(n, len(self))
        if allowed is None:
            scores, items = self._index.search(query[None], n)
        else:
            selector = faiss.IDSelectorBitmap(allowed)
            scores, items = self._index.search(query[None], n, params=faiss.SearchParameters(sel=selector))
        found, values = items[0], scores[0]
        keep = found >= 0
        if allowed is not None:
            # Selectors have returned forbidden ids before (faiss#5504): the promise is checked here, not believed.
            keep &= bits.has_each(allowed, found)
        if keep.all():
            return Ranking(found, values)
        return Ranking(found[keep], values[keep])
