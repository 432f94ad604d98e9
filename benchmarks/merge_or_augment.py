"""Exact ways to a steered top k: read off the scores of all items, merged from posting lists, read-outs as columns.

    python benchmarks/merge_or_augment.py bundles/ml-1m
    python benchmarks/merge_or_augment.py --items 100000

For 0 to 32 soft rules (half promotions, half demotions, concepts drawn with repetition where there are fewer) of a dose
of ``s(10) - s(100)``: CPU milliseconds of one thread per query, median, by server.retrieval.steered_search over a FAISS
flat index, by server.retrieval.Scored (the scores of all items included), and by one FAISS flat search of ``[x', g]``
over ``[v, A[v, .]]`` with two columns per concept of the bundle, and with only the columns of the rules asked (an index
that a server could not hold for every mix: the bound). Then, with demotions alone, the first two again. Checks that all
give the same lists.
*looks*: what server.retrieval.prefers_dense decides by. The tables of docs/decisions/015 and 020.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import faiss
import numpy as np
import numpy.typing as npt

from bundle import load_bundle, search_query
from cli.bench.catalogue import write_catalogue
from server.catalogue import Catalogue
from server.retrieval import FlatRetriever, Gain, Posting, Scored, steered_search
from server.steerable import POSTING_FLOOR, Steerable

K = 10
RULES = (0, 1, 2, 4, 8, 16, 32)

FloatArray = npt.NDArray[np.float32]


def flat(vectors: FloatArray) -> faiss.Index:
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors, np.float32))
    return index


def timed(clock: list[float], way: Callable[..., FloatArray], *arguments: object) -> FloatArray:
    began = time.thread_time()
    scores = way(*arguments)
    clock.append(time.thread_time() - began)
    return scores


def make_gains(concepts: list[Steerable], doses: FloatArray, query: FloatArray) -> list[Gain]:
    """Promotions with their posting lists scored, as the engine makes them."""
    gains = []
    for concept, dose in zip(concepts, doses, strict=True):
        if dose < 0:
            gains.append(Gain(float(dose), concept.gain))
        else:
            posting = Posting(concept.posting, concept.posting_gain, concept.posting_vectors @ query)
            gains.append(Gain(float(dose), concept.gain, posting, floor=POSTING_FLOOR))
    return gains


def merged(retriever: FlatRetriever, query: FloatArray, concepts: list[Steerable], doses: FloatArray) -> FloatArray:
    return steered_search(retriever, query, K, make_gains(concepts, doses, query), None).scores


def read_off(retriever: FlatRetriever, query: FloatArray, concepts: list[Steerable], doses: FloatArray) -> FloatArray:
    gains = [
        Gain(float(dose), concept.gain, floor=POSTING_FLOOR if dose > 0 else 0.0)
        for concept, dose in zip(concepts, doses, strict=True)
    ]
    return Scored(retriever.scores(query)).steered(K, gains, None).scores


def by_columns(index: faiss.Index, query: FloatArray, weights: FloatArray) -> FloatArray:
    scores: FloatArray = index.search(np.concatenate([query, weights])[None], K)[0][0]
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", help="left out: a planted catalogue")
    parser.add_argument("--items", type=int, default=100_000, help="of the planted catalogue")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    with TemporaryDirectory() as folder:
        path = options.bundle or Path(folder) / "bundle"
        if options.bundle is None:
            write_catalogue(path, options.items, options.seed)
        catalogue = Catalogue(load_bundle(path))
    print(f"{len(catalogue.item_ids):,} items, {catalogue.vectors.shape[1]} numbers")
    measure(catalogue, options.queries, options.seed)


def measure(catalogue: Catalogue, queries: int, seed: int) -> None:
    contents = catalogue.bundle.contents
    assert contents.user_vectors is not None
    rng = np.random.default_rng(seed)
    concepts = list(catalogue.named)
    vectors = catalogue.vectors
    retriever = FlatRetriever(flat(vectors))
    # A promotion adds nothing below the floor and a demotion does: a concept has a column for each.
    floored = np.array([np.where(c.gain >= POSTING_FLOOR, c.gain, 0) for c in concepts])
    whole = np.array([c.gain for c in concepts])
    augmented = flat(np.column_stack([vectors, floored.T, whole.T]))
    print("| rules | looks | merged | read off | all columns | own columns | demotions merged | demotions read off |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for rules in RULES:
        clocks: list[list[float]] = [[] for _ in range(6)]
        chosen = rng.integers(0, len(concepts), rules)
        own = flat(np.column_stack([vectors, *(floored[c] if n % 2 else whole[c] for n, c in enumerate(chosen))]))
        looks = rules * sum(len(concepts[place].posting) for place in chosen[1::2]) / len(vectors)
        for _ in range(queries):
            user = np.array(contents.user_vectors[rng.integers(len(contents.user_vectors))], np.float32)
            query = search_query(user, has_bias=contents.item_bias is not None, metric=contents.metric)
            best = retriever.search(query, 100).scores
            dose = float(best[9] - best[99])
            signs = np.array([dose if n % 2 else -dose for n in range(rules)], np.float32)
            weights = np.zeros(2 * len(concepts), np.float32)
            np.add.at(weights, [c if n % 2 else len(concepts) + c for n, c in enumerate(chosen)], signs)
            asked = [concepts[place] for place in chosen]
            mixed = [
                timed(clocks[0], merged, retriever, query, asked, signs),
                timed(clocks[1], read_off, retriever, query, asked, signs),
                timed(clocks[2], by_columns, augmented, query, weights),
                timed(clocks[3], by_columns, own, query, signs),
            ]
            demoted = [
                timed(clocks[4], merged, retriever, query, asked, -np.abs(signs)),
                timed(clocks[5], read_off, retriever, query, asked, -np.abs(signs)),
            ]
            for lists in (mixed, demoted):
                for other in lists[1:]:
                    np.testing.assert_allclose(other, lists[0], rtol=1e-3, atol=1e-3)
        print(
            f"| {rules} | {looks:.2f} | " + " | ".join(f"{1e3 * np.median(clock):.3f}" for clock in clocks) + " |",
            flush=True,
        )


if __name__ == "__main__":
    main()
