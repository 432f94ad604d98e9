"""FAISS's approximate indexes as sources of candidates. Whatever they hand over is checked and scored by the caller.

Both widen their search by the same two factors: ``rounds``, for a list longer than the index is tuned for, and
``1 / share``, for a filter that lets only ``share`` of the catalogue pass (the items wanted then lie that much deeper).
Legend: N items, D' search dimension.
"""

from __future__ import annotations

import math
from typing import Protocol

import faiss
import numpy as np

from bundle import HnswParams, IvfParams
from server.bits import BitArray
from server.types import FloatArray, IntArray

HNSW_ROWS = 55.0
"""Rows that an exact scan scores in the time the graph search spends per candidate kept (docs/decisions/015)."""

IVF_ROWS = 0.5
"""The same per row of an inverted list that is searched."""


class Searcher(Protocol):
    """An index that finds most of the best items quickly."""

    depth: int
    """Candidates of an ordinary search."""

    def __len__(self) -> int: ...

    def cost(self, rounds: int, share: float) -> float:
        """Work of a search, in rows that an exact scan of scattered rows could have scored."""
        ...

    def candidates(self, query: FloatArray, rounds: int, share: float, allowed: BitArray | None) -> IntArray:
        """About ``depth x rounds`` item rows, in any order; -1, repetitions and forbidden rows may be among them."""
        ...


class HnswSearcher:
    """A navigable graph, of float vectors or of 8-bit ones; ``euclidean``: with one dimension more, 0 in the query."""

    def __init__(self, index: faiss.Index, params: HnswParams) -> None:
        self._index = index
        self._euclidean = bool(params.euclidean)
        self.depth = params.ef_search

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def cost(self, rounds: int, share: float) -> float:
        """See Searcher."""
        return HNSW_ROWS * self._reach(rounds, share)

    def candidates(self, query: FloatArray, rounds: int, share: float, allowed: BitArray | None) -> IntArray:
        """See Searcher."""
        # bounded_queue=False would ignore the selector (faiss#5504), so it is never set.
        params = faiss.SearchParametersHNSW(efSearch=self._reach(rounds, share), **_selector(allowed))
        if self._euclidean:
            query = np.append(query, np.float32(0))
        return _search(self._index, query, self.depth * rounds, params)

    def _reach(self, rounds: int, share: float) -> int:
        return min(len(self), math.ceil(self.depth * rounds / share))


class IvfSearcher:
    """Inverted lists, of float vectors or of quantised ones."""

    def __init__(self, index: faiss.IndexIVF, params: IvfParams) -> None:
        self._index = index
        self._params = params
        self.depth = params.candidates

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def cost(self, rounds: int, share: float) -> float:
        """See Searcher."""
        return IVF_ROWS * len(self) * self._probes(rounds, share) / self._params.nlist

    def candidates(self, query: FloatArray, rounds: int, share: float, allowed: BitArray | None) -> IntArray:
        """See Searcher."""
        params = faiss.SearchParametersIVF(nprobe=self._probes(rounds, share), **_selector(allowed))
        return _search(self._index, query, self.depth * rounds, params)

    def _probes(self, rounds: int, share: float) -> int:
        return min(self._params.nlist, math.ceil(self._params.nprobe * rounds / share))


def _selector(allowed: BitArray | None) -> dict[str, faiss.IDSelector]:
    return {} if allowed is None else {"sel": faiss.IDSelectorBitmap(allowed)}


def _search(index: faiss.Index, query: FloatArray, n: int, params: faiss.SearchParameters) -> IntArray:
    _, items = index.search(query[None], min(n, int(index.ntotal)), params=params)
    found: IntArray = items[0]
    return found
