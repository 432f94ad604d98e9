"""Every retrieval backend over vectors of one's own, made by hand, as coarse as can be.

Parameters are small on purpose, so that an index is approximate even on a world of a hundred items.
"""

from __future__ import annotations

from collections.abc import Callable

import faiss
import numpy as np

from bundle import HnswParams, IvfParams
from server.retrieval import ApproximateRetriever, FlatRetriever, HnswSearcher, IvfSearcher, Retriever, Searcher
from server.retrieval.overlay import OverlayRetriever
from server.types import FloatArray

IP = faiss.METRIC_INNER_PRODUCT
SQ8 = faiss.ScalarQuantizer.QT_8bit
DEPTH = 16
"""Candidates of an ordinary search."""


def _hnsw(vectors: FloatArray, *, quantised: bool) -> Searcher:
    """Once over Euclidean points of one dimension more, and once over inner products."""
    if not quantised:
        squares = (vectors**2).sum(1)
        vectors = np.column_stack([vectors, np.sqrt(squares.max() - squares)]).astype(np.float32)
    dim, m = vectors.shape[1], 4
    index = faiss.IndexHNSWSQ(dim, SQ8, m, IP) if quantised else faiss.IndexHNSWFlat(dim, m, faiss.METRIC_L2)
    index.train(vectors)
    index.add(vectors)
    return HnswSearcher(index, HnswParams(m=m, ef_construction=40, ef_search=DEPTH, euclidean=int(not quantised)))


def _ivf(vectors: FloatArray, make: Callable[[faiss.Index, int, int], faiss.IndexIVF]) -> Searcher:
    items, dim = vectors.shape
    params = IvfParams(nlist=min(8, items), nprobe=min(2, items), candidates=DEPTH)
    centroids = faiss.IndexFlatIP(dim)
    index = make(centroids, dim, params.nlist)
    index.cp.min_points_per_centroid = 1
    index.train(np.vstack([vectors, vectors]))  # a quantiser of two values needs two items
    index.add(vectors)
    return IvfSearcher(index, params)


def _pq(centroids: faiss.Index, dim: int, nlist: int) -> faiss.IndexIVFPQ:
    """One bit for each half of a vector: as coarse as quantisation gets."""
    index = faiss.IndexIVFPQ(centroids, dim, nlist, 2, 1, IP)
    index.pq.cp.min_points_per_centroid = 1
    return index


SEARCHERS: dict[str, Callable[[FloatArray], Searcher]] = {
    "hnsw": lambda vectors: _hnsw(vectors, quantised=False),
    "hnsw-sq8": lambda vectors: _hnsw(vectors, quantised=True),
    "ivf": lambda vectors: _ivf(vectors, lambda c, dim, nlist: faiss.IndexIVFFlat(c, dim, nlist, IP)),
    "ivf-sq8": lambda vectors: _ivf(
        vectors, lambda c, dim, nlist: faiss.IndexIVFScalarQuantizer(c, dim, nlist, SQ8, IP)
    ),
    "ivf-pq": lambda vectors: _ivf(vectors, _pq),
}
INDEXES = ["flat", *SEARCHERS, *(f"{kind}-raw" for kind in SEARCHERS)]
BACKENDS = [*INDEXES, "overlay-flat", *(f"overlay-{kind}-raw" for kind in SEARCHERS)]


def make(backend: str, vectors: FloatArray) -> Retriever:
    """The backend of that name over ``vectors`` [N, D']; ``overlay-NAME``: every fourth item stood elsewhere before."""
    if backend.startswith("overlay-"):
        rows = np.arange(0, len(vectors), 4)
        before = vectors.copy()
        before[rows] *= -3
        return OverlayRetriever(make(backend.removeprefix("overlay-"), before), rows, vectors[rows])
    if backend == "flat":
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        return FlatRetriever(index)
    kind, raw, _ = backend.partition("-raw")
    return ApproximateRetriever(SEARCHERS[kind](vectors), vectors, scan=not raw)
