"""What a bundle's index.faiss must be to be served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pytest

from bundle import Bundle, IndexEntry, RecallRow, load_bundle, write_reindexed
from bundle.errors import BundleCorrupt, BundleError
from offline.index import build_index, make_params, write_index
from server.retrieval import ApproximateRetriever, FlatRetriever, open_retriever
from tests.world import make_world, write_world

ROW = RecallRow(
    query="unsteered", queries=1, recall_at_10=0.97, recall_at_100=0.96, milliseconds=0.1, flat_milliseconds=0.1
)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_world(make_world(bias=True), tmp_path_factory.mktemp("load") / "bundle")


def entry(kind: str, params: dict[str, int], gate: float = 0.95) -> IndexEntry:
    return IndexEntry.model_validate(
        {"kind": kind, "params": params, "faiss_version": faiss.__version__, "seed": 0, "gate": gate,
         "asked_as": "users", "recall": () if kind == "flat" else (ROW,)}
    )  # fmt: skip


def written(planted: Bundle, folder: Path, made: IndexEntry, write: Callable[[Path], None]) -> Bundle:
    write_reindexed(planted, folder / "bundle", write, made)
    return load_bundle(folder / "bundle")


@pytest.mark.parametrize("kind", ["flat", "hnsw", "hnsw-sq8", "ivf", "ivf-sq8"])
def test_the_index_that_the_manifest_declares(planted: Bundle, tmp_path: Path, kind: str) -> None:
    params = make_params(kind, {}, 240, 17)  # type: ignore[arg-type]
    index = build_index(planted.contents, kind, params)  # type: ignore[arg-type]
    made = entry(kind, params.model_dump())
    retriever = open_retriever(written(planted, tmp_path, made, lambda path: write_index(index, path)))
    assert isinstance(retriever, FlatRetriever if kind == "flat" else ApproximateRetriever)
    vectors = planted.contents.index_vectors
    found = retriever.search(np.array(vectors[3]), 5)
    np.testing.assert_allclose(found.scores, vectors[found.items] @ vectors[3], rtol=1e-5)
    assert found.scores[0] == pytest.approx((vectors @ vectors[3]).max(), rel=1e-5)


def graph(vectors: np.ndarray, metric: int) -> faiss.Index:
    index = faiss.IndexHNSWFlat(vectors.shape[1], 8, metric)
    index.add(vectors)
    return index


@pytest.mark.parametrize(("euclidean", "metric"), [(0, faiss.METRIC_INNER_PRODUCT), (1, faiss.METRIC_L2)])
def test_a_graph_is_what_its_parameters_say(planted: Bundle, tmp_path: Path, euclidean: int, metric: int) -> None:
    vectors = np.array(planted.contents.index_vectors)
    points = np.column_stack([vectors, vectors[:, 0]]) if euclidean else vectors
    index = graph(points.astype(np.float32), metric)
    for declared in (0, 1):
        made = entry("hnsw", {"m": 8, "ef_construction": 40, "ef_search": 64, "euclidean": declared})
        write_reindexed(planted, tmp_path / f"{declared}", lambda path: write_index(index, path), made)
    assert len(open_retriever(load_bundle(tmp_path / f"{euclidean}")).search(vectors[0], 7).items) == 7
    with pytest.raises(BundleCorrupt, match="items, dimension, metric"):
        open_retriever(load_bundle(tmp_path / f"{1 - euclidean}"))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda vectors: graph(vectors, faiss.METRIC_L2),
            f"items, dimension, metric: found (240, 17, {faiss.METRIC_L2}), "
            f"expected (240, 17, {faiss.METRIC_INNER_PRODUCT}).",
        ),
        (
            lambda vectors: graph(vectors[:99], faiss.METRIC_INNER_PRODUCT),
            f"items, dimension, metric: found (99, 17, {faiss.METRIC_INNER_PRODUCT}), "
            f"expected (240, 17, {faiss.METRIC_INNER_PRODUCT}).",
        ),
        (lambda _: faiss.IndexFlatIP(17), "index: found IndexFlatIP, expected IndexHNSWFlat."),
    ],
)
def test_another_index_than_declared_is_refused(
    planted: Bundle, tmp_path: Path, make: Callable[[np.ndarray], faiss.Index], told: str
) -> None:
    index = make(np.array(planted.contents.index_vectors))
    made = entry("hnsw", {"m": 8, "ef_construction": 40, "ef_search": 64})
    bundle = written(planted, tmp_path, made, lambda path: write_index(index, path))
    with pytest.raises(BundleCorrupt) as caught:
        open_retriever(bundle)
    assert str(caught.value) == f"{bundle.path / 'index.faiss'}: {told} Export the bundle again."


def test_an_index_under_its_gate_is_not_served(planted: Bundle, tmp_path: Path) -> None:
    low = entry("hnsw", {"m": 8, "ef_construction": 40, "ef_search": 64})
    bundle = written(planted, tmp_path, low, lambda path: write_index(faiss.IndexFlatIP(17), path))
    raised = bundle.manifest.model_copy(update={"index": low.model_copy(update={"gate": 0.99})})
    with pytest.raises(BundleError) as caught:
        open_retriever(Bundle(bundle.path, raised, bundle.contents))
    assert str(caught.value) == (
        f"{bundle.path}: the hnsw index is under its gate (unsteered): recall: found 0.960, expected 0.99 or more. "
        f"Build it again: tiller bundle index {bundle.path} --replace"
    )
