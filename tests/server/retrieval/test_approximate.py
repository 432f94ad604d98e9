"""When an approximate index is passed over for an exact scan: by cost alone, and whatever is scanned is exact."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from bundle import HnswParams, IvfParams
from server.bits import BitArray
from server.retrieval import ApproximateRetriever, HnswSearcher, IvfSearcher
from server.retrieval.searchers import HNSW_ROWS, IVF_ROWS
from server.types import FloatArray, IntArray

ITEMS, D = 1_000, 4
VECTORS = np.random.default_rng(0).normal(size=(ITEMS, D)).astype(np.float32)
QUERY = np.ones(D, np.float32)
SCORES = VECTORS @ QUERY


class Counted(IvfSearcher):
    """Inverted lists that remember what they were asked for."""

    def __init__(self, nlist: int, nprobe: int, candidates: int) -> None:
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(D), D, nlist, faiss.METRIC_INNER_PRODUCT)
        index.cp.min_points_per_centroid = 1
        index.train(VECTORS)
        index.add(VECTORS)
        super().__init__(index, IvfParams(nlist=nlist, nprobe=nprobe, candidates=candidates))
        self.asked: list[tuple[int, float]] = []

    def candidates(self, query: FloatArray, rounds: int, share: float, allowed: BitArray | None) -> IntArray:
        self.asked.append((rounds, share))
        return super().candidates(query, rounds, share, allowed)


def mask(share: float) -> tuple[np.ndarray, BitArray]:
    passes = np.zeros(ITEMS, np.bool_)
    passes[np.random.default_rng(1).permutation(ITEMS)[: round(share * ITEMS)]] = True
    return passes, np.packbits(passes, bitorder="little")


@pytest.mark.parametrize(("share", "scanned"), [(0.9, False), (0.2, False), (0.15, False), (0.14, True), (0.01, True)])
def test_a_filter_is_scanned_where_what_passes_costs_less_than_the_index(share: float, scanned: bool) -> None:
    """The lists cost IVF_ROWS x 1,000 x 2 / 50 / share = 20 / share rows, the scan 1,000 x share: as much at .141."""
    searcher = Counted(nlist=50, nprobe=2, candidates=20)
    passes, allowed = mask(share)
    found = ApproximateRetriever(searcher, VECTORS).search(QUERY, 10, allowed)
    assert (searcher.asked == []) == scanned
    assert passes[found.items].all()
    if scanned:
        np.testing.assert_allclose(found.scores, np.sort(SCORES[passes])[::-1][:10], rtol=1e-5)


def test_a_search_without_a_filter_is_the_indexs_whatever_it_costs() -> None:
    searcher = Counted(nlist=50, nprobe=50, candidates=20)
    ApproximateRetriever(searcher, VECTORS).search(QUERY, 20)
    assert searcher.asked == [(1, 1.0)]


def test_a_list_longer_than_the_index_is_deep_is_scanned_where_that_is_cheaper() -> None:
    searcher = Counted(nlist=50, nprobe=5, candidates=20)
    retriever = ApproximateRetriever(searcher, VECTORS)
    retriever.search(QUERY, 80)  # four rounds: 20 of 50 lists, 200 rows against a third of 1,000
    assert searcher.asked == [(4, 1.0)]
    found = retriever.search(QUERY, 160)  # eight rounds: 400 rows
    assert searcher.asked == [(4, 1.0)]
    np.testing.assert_allclose(found.scores, np.sort(SCORES)[::-1][:160], rtol=1e-5)


def test_an_index_that_finds_too_few_is_made_good_by_a_scan() -> None:
    searcher = Counted(nlist=300, nprobe=1, candidates=20)
    found = ApproximateRetriever(searcher, VECTORS).search(QUERY, 20)
    assert searcher.asked == [(1, 1.0)]  # one list of some three items was searched
    np.testing.assert_allclose(found.scores, np.sort(SCORES)[::-1][:20], rtol=1e-5)


def test_the_cost_of_a_graph_and_of_lists() -> None:
    index = faiss.IndexHNSWFlat(D, 8, faiss.METRIC_INNER_PRODUCT)
    index.add(VECTORS)
    graph = HnswSearcher(index, HnswParams(m=8, ef_construction=40, ef_search=100))
    assert graph.cost(1, 0.5) == HNSW_ROWS * 200
    assert graph.cost(4, 0.001) == HNSW_ROWS * ITEMS  # never more candidates than items
    lists = Counted(nlist=50, nprobe=5, candidates=20)
    assert lists.cost(2, 0.5) == IVF_ROWS * ITEMS * 20 / 50
    assert lists.cost(2, 0.01) == IVF_ROWS * ITEMS
