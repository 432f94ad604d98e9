"""Exact search over a FAISS flat inner-product index."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt

from bundle import Bundle
from bundle.errors import BundleCorrupt
from server import bits
from server.types import FloatArray, Ranking


class FlatRetriever:
    """FAISS IndexFlat behind the Retriever protocol; FAISS's -1 and its selectors never leave this file."""

    exact = True

    def __init__(self, index: faiss.Index) -> None:
        self._index = index

    @classmethod
    def open(cls, bundle: Bundle) -> FlatRetriever:
        """Read ``index.faiss`` and check that it is over this bundle's vectors."""
        path: Path = bundle.path / "index.faiss"
        try:
            index = faiss.read_index(str(path))
        except RuntimeError as error:
            raise BundleCorrupt(f"{path}", found=str(error).splitlines()[0], hint="Export the bundle again.") from error
        manifest = bundle.manifest
        wanted = (manifest.dims.items, manifest.dims.embedding + manifest.item_bias, faiss.METRIC_INNER_PRODUCT)
        found = (index.ntotal, index.d, index.metric_type)
        if found != wanted:
            raise BundleCorrupt(
                f"{path}: items, dimension, metric", found=found, expected=wanted, hint="Export the bundle again."
            )
        return cls(index)

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
