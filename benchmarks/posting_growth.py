"""What a promotion costs on a graph index: it grows with the concept's posting list, not with the catalogue.

    python -m benchmarks.posting_growth [--items 25000 100000] [--lists 500 2000 8000] [--queries 200]

For each planted catalogue (64 dimensions) one HNSW graph, and concepts whose posting lists have so many items wherever
the catalogue has room: CPU microseconds of one thread per top 30, median over users, unsteered and with one promotion
of a dose of ``s(10) - s(100)``, and what the promotion adds; beside it the same on an exact index, which reads the
scores of the whole catalogue. The table of docs/decisions/020.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import faiss
import numpy as np
import numpy.typing as npt

from bundle import HnswParams
from server.retrieval import (
    ApproximateRetriever,
    FlatRetriever,
    Gain,
    HnswSearcher,
    Posting,
    Scored,
    steered_search,
)
from server.types import Ranking

DIM, K, DEPTH, CENTRES = 64, 30, 128, 200
PARAMS = HnswParams(m=16, ef_construction=100, ef_search=DEPTH, euclidean=0)

FloatArray = npt.NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[25_000, 100_000])
    parser.add_argument("--lists", type=int, nargs="+", default=[500, 2_000, 8_000])
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    print("| items | posting list | unsteered, graph | promoted, graph | adds | promoted, exact |")
    print("| --- | --- | --- | --- | --- | --- |")
    for items in options.items:
        measure(items, options.lists, options.queries, options.seed)


def measure(items: int, lists: list[int], queries: int, seed: int) -> None:
    """Print a row per length of posting list."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CENTRES, DIM))
    vectors = (centres[rng.integers(0, CENTRES, items)] + rng.normal(size=(items, DIM))).astype(np.float32)
    users = (centres[rng.integers(0, CENTRES, queries)] + rng.normal(size=(queries, DIM))).astype(np.float32)
    index = faiss.IndexHNSWFlat(DIM, PARAMS.m, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = PARAMS.ef_construction
    index.add(vectors)
    graph = ApproximateRetriever(HnswSearcher(index, PARAMS), vectors)
    whole = faiss.IndexFlatIP(DIM)
    whole.add(vectors)
    flat = FlatRetriever(whole)
    for length in lists:
        if length > items:
            continue
        readout = np.zeros(items, np.float32)
        readout[rng.choice(items, length, replace=False)] = rng.uniform(0.5, 1, length)
        concept = Concept(readout, vectors)
        clocks: list[list[float]] = [[], [], []]
        for query in users:
            best = graph.search(query, 100).scores
            dose = float(best[9] - best[99])
            clocks[0].append(timed(graph.search, query, 2 * K))
            clocks[1].append(timed(concept.merged, graph, query, dose))
            clocks[2].append(timed(concept.read_off, flat, query, dose))
        plain, steered, exact = (1e6 * float(np.median(clock)) for clock in clocks)
        print(
            f"| {items:,} | {length:,} | {plain:.0f} | {steered:.0f} | {steered - plain:.0f} | {exact:.0f} |",
            flush=True,
        )


class Concept:
    """A read-out [N] with its posting list."""

    def __init__(self, readout: FloatArray, vectors: FloatArray) -> None:
        self.readout = readout
        self.rows = np.flatnonzero(readout)
        self.listed = readout[self.rows]
        self.vectors = np.ascontiguousarray(vectors[self.rows])

    def merged(self, retriever: ApproximateRetriever, query: FloatArray, dose: float) -> Ranking:
        """Top K of a promotion through the posting list."""
        posting = Posting(self.rows, self.listed, self.vectors @ query)
        return steered_search(retriever, query, K, [Gain(dose, self.readout, posting, floor=0.1)], None)

    def read_off(self, retriever: FlatRetriever, query: FloatArray, dose: float) -> Ranking:
        """The same, read off the scores of all items."""
        return Scored(retriever.scores(query)).steered(K, [Gain(dose, self.readout, floor=0.1)], None)


def timed(way: Callable[..., Ranking], *arguments: object) -> float:
    """CPU seconds of this thread."""
    began = time.thread_time()
    way(*arguments)
    return time.thread_time() - began


if __name__ == "__main__":
    main()
