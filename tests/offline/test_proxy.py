"""Proxies of a scorer network: they say about what it says, and the recall in the manifest is what is served."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle import BundleContents, load_bundle
from bundle.errors import BundleCorrupt, DataError
from offline import export, proxy
from offline.onnx_scorer import OnnxScorer
from server.retrieval import NetworkRetriever, ProxyRetriever
from server.steer import Engine
from server.types import Query
from tests.network import Mlp, with_network
from tests.world import make_world

DIM = 16


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> BundleContents:
    world = make_world(items=900, users=400, dim=DIM, latents=24)
    return with_network(world, tmp_path_factory.mktemp("scorer")).contents


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes in proportion to a world of 900 items."""
    for name, value in {"ANCHORS": 24, "RANK": 20, "CANDIDATES": (120, 240), "FITTED": 300, "MEASURED": 40}.items():
        monkeypatch.setattr(proxy, name, value)
    monkeypatch.setattr(export, "EXACT_ITEMS", 500)


def test_the_scorer_says_what_the_graph_says(contents: BundleContents) -> None:
    assert contents.scorer_onnx is not None
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(37, DIM)), rng.normal(size=(5000, DIM))
    found = OnnxScorer(contents.scorer_onnx)(users, items)
    assert (found.shape, found.dtype) == ((37, 5000), np.float32)
    np.testing.assert_allclose(found, Mlp.make(DIM).scores(users.astype("f"), items.astype("f")), rtol=1e-4, atol=1e-4)


def test_another_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scorer.onnx").write_bytes(b"not a graph")
    with pytest.raises(BundleCorrupt, match=r"scorer\.onnx: found "):
        OnnxScorer(tmp_path / "scorer.onnx")


def test_proxies_of_an_inner_product_are_exact() -> None:
    """Rank D in D anchors: nothing is lost but the ridge's share."""
    rng = np.random.default_rng(1)
    items, users = rng.normal(size=(300, 6)), rng.normal(size=(200, 6))
    made = proxy.make_proxy(items, users, lambda u, v: (u @ v.T).astype(np.float32))
    new = rng.normal(size=(20, 6))
    said = np.stack([made.query((x @ items[made.anchors].T).astype(np.float32)) for x in new]) @ made.vectors.T
    np.testing.assert_allclose(said, new @ items.T, atol=0.02 * np.abs(items).max())


def test_pivots_are_those_of_a_pivoted_qr() -> None:
    """Worked by hand: the longest is (0, 3); of what it leaves, (2, 2) keeps 2 and (0, 1) nothing; (1, 0) keeps 1."""
    columns = np.array([[0.0, 0.0, 2.0, 1.0], [3.0, 1.0, 2.0, 0.0]])
    assert proxy._pivots(columns, 2).tolist() == [0, 2]
    assert sorted(proxy._pivots(np.ones((3, 4)), 4).tolist()) == [0, 1, 2, 3]


def test_anchors_are_items_each_once_and_the_same_every_time(contents: BundleContents, small: None) -> None:
    assert contents.user_vectors is not None
    assert contents.scorer_onnx is not None
    score = OnnxScorer(contents.scorer_onnx)
    one, two = (proxy.make_proxy(contents.item_vectors, contents.user_vectors, score, seed=3) for _ in range(2))
    assert len(set(one.anchors.tolist())) == len(one.anchors) == 24
    assert (one.vectors.shape, one.projection.shape) == ((900, 20), (25, 20))
    one.check(900)
    assert np.array_equal(one.anchors, two.anchors)
    np.testing.assert_array_equal(one.vectors, two.vectors)


def test_too_few_users_to_fit_on(contents: BundleContents) -> None:
    with pytest.raises(DataError) as refused:
        proxy.make_proxy(contents.item_vectors, np.zeros((100, DIM)), lambda u, v: np.zeros((len(u), len(v)), "f"))
    assert str(refused.value) == "users to fit the proxies on: found 100, expected at least 128."
    with pytest.raises(DataError, match=r"found a bundle without scorer\.onnx"):
        proxy.proxy_index(replace(contents, scorer_onnx=None))


def test_a_large_catalogue_is_exported_with_proxies_and_served_with_the_recall_it_states(
    contents: BundleContents, small: None, tmp_path: Path
) -> None:
    manifest = export.export_bundle(tmp_path / "b", contents, name="n", recommender="ncf", provenance={})
    assert manifest.index is not None
    assert (manifest.index.kind, manifest.index.rescored, manifest.index.asked_as) == ("flat", 120, "users")
    assert [row.query for row in manifest.index.recall] == ["unsteered", "query channel"]
    stated = manifest.index.recall[0].recall_at_10
    assert stated >= 0.95
    core = Engine.open(load_bundle(tmp_path / "b"))
    assert isinstance(core.retriever, ProxyRetriever)
    exact = replace(core, retriever=NetworkRetriever(core.retriever.network))
    hits = []
    for user in range(60):
        query = Query(k=10, user_id=f"u{user}")
        wanted, found = exact.recommend(query).ranking, core.recommend(query).ranking
        hits.append(np.isin(wanted.items, found.items).mean())
        assert set(found.scores[np.isin(found.items, wanted.items)]) <= set(
            wanted.scores
        )  # the network's own, bit for bit
    assert np.mean(hits) == pytest.approx(stated, abs=0.05)


def test_proxies_that_find_too_little_are_left_out(
    contents: BundleContents, small: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Right and slow before fast and wrong."""
    monkeypatch.setattr(proxy, "GATE", 1.0)
    monkeypatch.setattr(proxy, "ANCHORS", 2)
    monkeypatch.setattr(proxy, "CANDIDATES", (10, 11))
    manifest = export.export_bundle(tmp_path / "b", contents, name="n", recommender="ncf", provenance={})
    assert manifest.index is None
    assert isinstance(Engine.open(load_bundle(tmp_path / "b")).retriever, NetworkRetriever)


def test_too_few_users_leave_the_catalogue_exact(contents: BundleContents, small: None, tmp_path: Path) -> None:
    assert contents.user_ids is not None
    assert contents.user_vectors is not None
    few = replace(contents, user_ids=contents.user_ids[:87], user_vectors=contents.user_vectors[:87])
    assert proxy.proxy_index(few) is None
    assert export.export_bundle(tmp_path / "b", few, name="n", recommender="ncf", provenance={}).index is None


def test_without_users_items_ask(contents: BundleContents, small: None, tmp_path: Path) -> None:
    made = proxy.proxy_index(replace(contents, user_ids=None, user_vectors=None))
    assert made is not None
    assert made[1].asked_as == "items"


def test_a_small_catalogue_has_none(contents: BundleContents, tmp_path: Path) -> None:
    manifest = export.export_bundle(tmp_path / "b", contents, name="n", recommender="ncf", provenance={})
    assert manifest.index is None
    assert "proxy.safetensors" not in manifest.files
