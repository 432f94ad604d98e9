"""Over what an index is built: recall of graphs and lists over raw vectors, centred ones, and Euclidean points.

    python benchmarks/index_points.py bundles/ml-1m

Asks FAISS alone, 200 stored users, for recall@10 and @100 among the candidates of one search, and CPU milliseconds of
one thread. The table of docs/decisions/015.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt

from bundle import load_bundle, search_query
from offline.index import centred, default_params, euclidean

FloatArray = npt.NDArray[np.float32]
USERS, DEPTH = 200, 256
EFFORTS = (1, 2, 4)
"""Multiples of 128 candidates of a graph, and of an eighth of the lists."""


def graphs(vectors: FloatArray) -> Iterator[tuple[str, faiss.Index]]:
    params = default_params("hnsw", *vectors.shape)
    for name, points, metric in (
        ("inner product, raw", vectors, faiss.METRIC_INNER_PRODUCT),
        ("inner product, centred (built)", centred(vectors), faiss.METRIC_INNER_PRODUCT),
        ("distance, raw", euclidean(vectors), faiss.METRIC_L2),
        ("distance, centred (euclidean=1)", euclidean(centred(vectors)), faiss.METRIC_L2),
    ):
        index = faiss.IndexHNSWFlat(points.shape[1], params["m"], metric)
        index.hnsw.efConstruction = params["ef_construction"]
        index.add(np.ascontiguousarray(points, np.float32))
        yield name, index


def lists(vectors: FloatArray) -> Iterator[tuple[str, faiss.Index]]:
    items, dim = vectors.shape
    count = default_params("ivf", items, dim)["nlist"]
    points = euclidean(centred(vectors))
    for name, rows, spherical, metric in (
        ("centroids on the sphere", vectors, True, faiss.METRIC_INNER_PRODUCT),
        ("Euclidean k-means, probed by inner product (built)", vectors, False, faiss.METRIC_INNER_PRODUCT),
        ("Euclidean points throughout", points, False, faiss.METRIC_L2),
    ):
        by_product = spherical or metric == faiss.METRIC_INNER_PRODUCT
        trained = faiss.IndexFlatIP(rows.shape[1]) if spherical else faiss.IndexFlatL2(rows.shape[1])
        index = faiss.IndexIVFFlat(trained, rows.shape[1], count, metric)
        index.cp.spherical, index.cp.seed, index.cp.min_points_per_centroid = spherical, 0, 1
        index.train(rows)
        index.add(rows)
        if by_product and not spherical:
            probed = faiss.IndexFlatIP(rows.shape[1])
            probed.add(index.quantizer.reconstruct_n(0, count))
            index.quantizer = probed
            index.referenced_objects = [probed, trained]
        yield name, index


def cell(index: faiss.Index, queries: FloatArray, best: npt.NDArray[np.int64], effort: int) -> str:
    asked = queries
    if index.d > queries.shape[1]:
        asked = np.column_stack([queries, np.zeros(len(queries), np.float32)])
    if isinstance(index, faiss.IndexHNSW):
        depth = 128 * effort
        params = faiss.SearchParametersHNSW(efSearch=depth)
    else:
        depth = DEPTH
        params = faiss.SearchParametersIVF(nprobe=max(1, index.nlist * effort // 8))
    began = time.thread_time()
    found = index.search(np.ascontiguousarray(asked, np.float32), depth, params=params)[1]
    milliseconds = 1e3 * (time.thread_time() - began) / len(queries)
    recall = [np.mean([np.isin(b[:k], f).mean() for b, f in zip(best, found, strict=True)]) for k in (10, 100)]
    return f"{recall[0]:.3f} / {recall[1]:.3f}, {milliseconds:.2f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    contents = load_bundle(options.bundle).contents
    assert contents.user_vectors is not None
    vectors = np.array(contents.index_vectors)
    rows = np.random.default_rng(options.seed).integers(0, len(contents.user_vectors), USERS)
    queries = np.stack([
        search_query(np.array(contents.user_vectors[row]), has_bias=contents.item_bias is not None,
                     metric=contents.metric)
        for row in rows
    ])  # fmt: skip
    best = np.argsort(-(queries @ vectors.T), axis=1)[:, :100]
    for made, efforts in (
        (graphs(vectors), [f"{128 * effort} candidates" for effort in EFFORTS]),
        (lists(vectors), [f"{effort}/8 of the lists" for effort in EFFORTS]),
    ):
        print(f"| built over | {' | '.join(efforts)} |\n| --- | --- | --- | --- |")
        for name, index in made:
            print(f"| {name} | " + " | ".join(cell(index, queries, best, effort) for effort in EFFORTS) + " |")
        print()


if __name__ == "__main__":
    main()
