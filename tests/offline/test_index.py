from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest

from bundle import BundleContents, IndexKind, IvfParams
from bundle.errors import DataError
from offline.index import build_index, centred, default_params, euclidean, make_params, write_index
from tests.world import make_world

KINDS: tuple[IndexKind, ...] = ("flat", "hnsw", "hnsw-sq8", "ivf", "ivf-sq8", "ivf-pq")


def contents(items: int = 600) -> BundleContents:
    return make_world(items=items, bias=True, dim=15).contents  # 16 numbers to search


def test_centred_and_euclidean_points_keep_the_order_of_inner_products() -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(300, 8)) * rng.lognormal(0, 0.8, (300, 1)) + 5).astype(np.float32)
    middle, points = centred(vectors), euclidean(vectors)
    np.testing.assert_allclose(middle.mean(0), 0, atol=1e-4)
    assert points.shape == (300, 9)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), np.linalg.norm(points[0]), rtol=1e-5)
    for query in rng.normal(size=(20, 8)).astype(np.float32):
        best = np.argsort(-(vectors @ query))[:20].tolist()
        assert np.argsort(-(middle @ query))[:20].tolist() == best
        assert np.argsort(((points - np.append(query, np.float32(0))) ** 2).sum(1))[:20].tolist() == best


@pytest.mark.parametrize(("kind", "given"), [*((kind, {}) for kind in KINDS), ("hnsw", {"euclidean": 1})])
def test_every_kind_finds_most_of_the_best(kind: IndexKind, given: dict[str, int], tmp_path: Path) -> None:
    made = contents()
    params = make_params(kind, given, 600, 16)
    told: list[tuple[int, int]] = []
    write_index(build_index(made, kind, params, step=lambda *done: told.append(done)), tmp_path / "index.faiss")
    index = faiss.read_index(str(tmp_path / "index.faiss"))
    vectors = made.index_vectors
    query = vectors[:50] + 0.1
    if given:
        query = np.column_stack([query, np.zeros(50, np.float32)])
    assert (index.ntotal, index.d) == (600, query.shape[1])
    assert index.metric_type == (faiss.METRIC_L2 if given else faiss.METRIC_INNER_PRODUCT)
    found = index.search(np.ascontiguousarray(query), 50)[1]
    wanted = np.argsort(-(query[:, :16] @ vectors.T), axis=1)[:, :10]
    recall = np.mean([np.isin(best, row).mean() for best, row in zip(wanted, found, strict=True)])
    assert recall == 1 if kind == "flat" else recall > 0.9
    assert told == [(600, 600)]


def test_a_bias_that_all_items_share_does_not_hide_them_from_a_graph() -> None:
    """Over raw inner products a graph on ML-1M found 2 % of the best ten: a common column drew all its edges."""
    made = contents(2_000)
    vectors = np.array(made.index_vectors)
    vectors[:, -1] -= 12
    query = np.column_stack([vectors[:100, :-1], np.ones(100)]).astype(np.float32)
    wanted = np.argsort(-(query @ vectors.T), axis=1)[:, :10]

    def recall(points: np.ndarray) -> float:
        index = faiss.IndexHNSWFlat(16, 16, faiss.METRIC_INNER_PRODUCT)
        index.add(points)
        found = index.search(query, 64)[1]
        return float(np.mean([np.isin(best, row).mean() for best, row in zip(wanted, found, strict=True)]))

    assert recall(centred(vectors)) > 0.9 > recall(vectors)


def test_the_same_seed_gives_the_same_lists() -> None:
    made = contents()
    params = make_params("ivf", {"nlist": 12}, 600, 16)
    assert isinstance(params, IvfParams)
    centroids = [
        build_index(made, "ivf", params, seed=seed).quantizer.reconstruct_n(0, params.nlist) for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(centroids[0], centroids[1])
    assert (centroids[0] != centroids[2]).any()


def test_defaults_fit_every_size() -> None:
    for kind in KINDS:
        for items in (300, 4_000, 100_000, 1_000_000):
            make_params(kind, {}, items, 65)
    assert default_params("ivf-pq", 100_000, 64)["pq_m"] == 16
    assert default_params("ivf-pq", 100_000, 65)["pq_m"] == 13


REFUSED = [
    ("hnsw", {"nprobe": 4}, "hnsw index: parameter 'nprobe': expected m, ef_construction, ef_search, euclidean."),
    ("flat", {"m": 4}, "flat index: parameter 'm': expected none."),
    ("hnsw", {"ef_search": 0}, "hnsw index: ef_search: Input should be greater than or equal to 1."),
    ("ivf", {"nlist": 8, "nprobe": 9}, "ivf index: parameters: Value error, nprobe 9 is more than nlist 8."),
    ("ivf", {"nlist": 999, "nprobe": 1}, "ivf index: nlist: found 999, expected at most 600, one item per list."),
    ("ivf-pq", {"pq_m": 5}, "ivf-pq index: pq_m does not divide 16: found 5, expected 1, 2, 4, 8, 16."),
]


@pytest.mark.parametrize(("kind", "given", "told"), REFUSED)
def test_parameters_that_cannot_be(kind: IndexKind, given: dict[str, int], told: str) -> None:
    with pytest.raises(DataError) as caught:
        make_params(kind, given, 600, 16)
    assert str(caught.value) == told


def test_a_catalogue_too_small_for_a_product_quantiser() -> None:
    with pytest.raises(DataError) as caught:
        make_params("ivf-pq", {}, 200, 16)
    assert str(caught.value) == "ivf-pq index: found 200 items, expected at least 256. Choose --kind flat."
