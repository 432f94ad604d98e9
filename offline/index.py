"""Builds the FAISS index of a bundle: exact, a graph, or inverted lists, with and without quantisation.

A graph is built over vectors less their mean: the order of inner products is the same, and what all items share cannot
draw every edge to the same few. Its edges go by inner product, or by distance over ``euclidean`` points: which of the
two finds more depends on the catalogue. Inverted lists are cut by Euclidean k-means and searched by inner product with
the centroids (docs/decisions/015). Legend: N items, D' search dimension (bundle.search_vectors).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from bundle import (
    PARAMS,
    BundleContents,
    FlatParams,
    HnswParams,
    IndexKind,
    IndexParams,
    IvfParams,
    PqParams,
)
from bundle.errors import DataError

FloatArray = npt.NDArray[np.float32]
Step = Callable[[int, int], None]
"""Told (items added, items in all)."""

BLOCK = 8192
PER_CENTROID = 39
"""Items per centroid below which FAISS warns that k-means has too little to learn from."""

CODES = 256
"""Values of one byte of a product quantiser; it needs as many items to learn them from."""


def default_params(kind: IndexKind, items: int, dim: int) -> dict[str, int]:
    """Parameters for N items of D' numbers; docs/indexes.md has the reasons."""
    if kind == "flat":
        return {}
    if kind in {"hnsw", "hnsw-sq8"}:
        return {"m": 32, "ef_construction": 200, "ef_search": 128 if items < 200_000 else 256, "euclidean": 0}
    nlist = max(1, min(int(4 * items**0.5), items // PER_CENTROID))
    params = {"nlist": nlist, "nprobe": max(1, nlist // 2), "candidates": 512 if kind == "ivf-pq" else 256}
    if kind == "ivf-pq":
        params["pq_m"] = min(_divisors(dim), key=lambda part: (abs(part - dim / 4), part))
    return params


def make_params(kind: IndexKind, given: dict[str, int], items: int, dim: int) -> IndexParams:
    """The defaults with what was given in their place.

    Raises:
        DataError: a parameter that this kind does not have, or a value that cannot be.
    """
    defaults = default_params(kind, items, dim)
    for name in given:
        if name not in defaults:
            raise DataError(f"{kind} index: parameter {name!r}", expected=", ".join(defaults) or "none")
    try:
        params = PARAMS[kind].model_validate(defaults | given)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in detail["loc"])
        raise DataError(f"{kind} index: {name or 'parameters'}: {detail['msg']}") from error
    if isinstance(params, IvfParams) and params.nlist > items:
        raise DataError(f"{kind} index: nlist", found=params.nlist, expected=f"at most {items}, one item per list")
    if isinstance(params, PqParams):
        if items < CODES:
            raise DataError(
                "ivf-pq index", found=f"{items} items", expected=f"at least {CODES}", hint="Choose --kind flat."
            )
        if dim % params.pq_m:
            divisors = ", ".join(map(str, _divisors(dim)))
            raise DataError(f"ivf-pq index: pq_m does not divide {dim}", found=params.pq_m, expected=divisors)
    return params


def build_index(
    contents: BundleContents, kind: IndexKind, params: IndexParams, *, seed: int = 0, step: Step | None = None
) -> faiss.Index:
    """Build the index of ``kind`` over the contents' index vectors [N, D']: search vectors, or proxies of a network.

    With more than one OpenMP thread a graph comes out a little different on each run; with one it is the same.
    """
    vectors = contents.index_vectors
    if isinstance(params, HnswParams):
        vectors = centred(vectors)
        if params.euclidean:
            vectors = euclidean(vectors)
    index = _empty(kind, params, vectors, seed)
    for start in range(0, len(vectors), BLOCK):
        index.add(vectors[start : start + BLOCK])
        if step is not None:
            step(min(start + BLOCK, len(vectors)), len(vectors))
    if isinstance(params, IvfParams):
        centroids = index.quantizer.reconstruct_n(0, params.nlist)
        by_product = faiss.IndexFlatIP(vectors.shape[1])
        by_product.add(centroids)
        index.quantizer = by_product
        index.nprobe = params.nprobe
        index.referenced_objects = [by_product]  # FAISS keeps a bare pointer
    return index


def centred(vectors: FloatArray) -> FloatArray:
    """Vectors [N, D'] less their mean.

    ``q . (v - mean)`` is ``q . v`` less a number that is the same for every item, so the order is the same. A graph is
    not: over raw vectors its edges run along the column that all items share most, as biases are (docs/decisions/015).
    """
    return np.ascontiguousarray(vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32))


def euclidean(vectors: FloatArray) -> FloatArray:
    """Vectors [N, D'] as points [N, D' + 1] of one norm, whose nearest to ``[q, 0]`` has the largest ``q . v``.

    With ``M`` the largest norm: ``[v, sqrt(M^2 - |v|^2)]``, so that the squared distance is ``|q|^2 + M^2 - 2 q . v``
    (Bachrach et al. 2014, Speeding up the Xbox recommender system using a Euclidean transformation for inner-product
    spaces).
    """
    squares = np.einsum("nd,nd->n", vectors, vectors)
    return np.ascontiguousarray(np.column_stack([vectors, np.sqrt(np.maximum(squares.max() - squares, 0))]), np.float32)


def write_index(index: faiss.Index, path: Path) -> None:
    """Write index.faiss."""
    faiss.write_index(index, str(path))


def write_flat_index(contents: BundleContents, path: Path) -> None:
    """The exact index over the index vectors (cosine: unit rows; bias: one more column; a network's proxies)."""
    write_index(build_index(contents, "flat", FlatParams()), path)


def _empty(kind: IndexKind, params: IndexParams, vectors: FloatArray, seed: int) -> faiss.Index:
    """The index, trained where it needs to be, with nothing in it."""
    dim, metric = vectors.shape[1], faiss.METRIC_INNER_PRODUCT
    if isinstance(params, HnswParams):
        metric = faiss.METRIC_L2 if params.euclidean else metric
        if kind == "hnsw":
            index = faiss.IndexHNSWFlat(dim, params.m, metric)
        else:
            index = faiss.IndexHNSWSQ(dim, faiss.ScalarQuantizer.QT_8bit, params.m, metric)
            index.train(vectors)
        index.hnsw.efConstruction = params.ef_construction
        index.hnsw.efSearch = params.ef_search
        return index
    if not isinstance(params, IvfParams):
        return faiss.IndexFlatIP(dim)
    centroids = faiss.IndexFlatL2(dim)
    if isinstance(params, PqParams):
        index = faiss.IndexIVFPQ(centroids, dim, params.nlist, params.pq_m, 8, metric)
        index.pq.cp.seed = seed
        index.pq.cp.min_points_per_centroid = 1
    elif kind == "ivf-sq8":
        index = faiss.IndexIVFScalarQuantizer(centroids, dim, params.nlist, faiss.ScalarQuantizer.QT_8bit, metric)
    else:
        index = faiss.IndexIVFFlat(centroids, dim, params.nlist, metric)
    index.cp.spherical = False
    index.cp.seed = seed
    index.cp.min_points_per_centroid = 1  # what the user chose is what is built; the recall says what it is worth
    index.train(vectors)
    return index


def _divisors(number: int) -> list[int]:
    return [part for part in range(1, number + 1) if number % part == 0]
