"""A scorer network behind the Retriever protocol: every item, or candidates of its proxies; bits do not move."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle import Bundle, Proxy, load_bundle
from bundle.errors import BundleCorrupt
from server.retrieval import Network, NetworkRetriever, ProxyRetriever, network, open_retriever
from server.types import FloatArray
from tests.network import Mlp, with_network
from tests.server.retrieval.backends import make
from tests.world import make_world, write_world

ITEMS, DIM = 300, 16


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("network")
    return write_world(with_network(make_world(items=ITEMS), folder), folder / "b")


@pytest.fixture(scope="module")
def truth(bundle: Bundle) -> FloatArray:
    """Scores [20, N] of queries [20, D], in double precision."""
    return Mlp.make(DIM).scores(_queries(), bundle.contents.item_vectors).astype(np.float32)


@pytest.fixture(scope="module")
def scorer(bundle: Bundle) -> Network:
    return Network(bundle)


@pytest.fixture(scope="module", params=["all", "proxy", "proxy-hnsw-raw", "proxy-ivf-raw"])
def retriever(request: pytest.FixtureRequest, scorer: Network, bundle: Bundle) -> NetworkRetriever | ProxyRetriever:
    if request.param == "all":
        return NetworkRetriever(scorer)
    anchors = np.arange(0, ITEMS, 15)
    users = np.random.default_rng(1).normal(size=(400, DIM))
    scores = Mlp.make(DIM).scores(users, bundle.contents.item_vectors)
    told = np.column_stack([scores[:, anchors], np.ones(len(users))])
    vectors = np.ascontiguousarray(np.linalg.lstsq(told, scores, rcond=None)[0].T, np.float32)
    proxy = Proxy(anchors, np.eye(len(anchors) + 1, dtype=np.float32), vectors)
    return ProxyRetriever(scorer, proxy, make(request.param.partition("-")[2] or "flat", vectors), 64)


def _queries() -> FloatArray:
    return np.random.default_rng(0).normal(size=(20, DIM)).astype(np.float32)


@given(place=st.integers(0, 19), n=st.integers(1, ITEMS + 20), share=st.floats(0, 1), seed=st.integers(0, 9))
def test_the_contract(
    retriever: NetworkRetriever | ProxyRetriever, truth: FloatArray, *, place: int, n: int, share: float, seed: int
) -> None:
    """Allowed items only, min(n, allowed) of them, each once, with the network's scores, best first."""
    passes = np.random.default_rng(seed).random(ITEMS) < share
    found = retriever.search(_queries()[place], n, np.packbits(passes, bitorder="little"))
    assert len(found.items) == len(set(found.items.tolist())) == min(n, passes.sum())
    assert passes[found.items].all()
    assert (found.items.dtype, found.scores.dtype) == (np.int64, np.float32)
    np.testing.assert_allclose(found.scores, truth[place][found.items], rtol=1e-5, atol=1e-5)
    assert (np.diff(found.scores) <= 0).all()
    if retriever.exact:
        np.testing.assert_allclose(found.scores, np.sort(truth[place][passes])[::-1][:n], rtol=1e-5, atol=1e-5)


@given(place=st.integers(0, 19), n=st.integers(1, 32), more=st.integers(0, 32))
def test_a_shorter_list_is_the_head_of_a_longer_one(
    place: int, n: int, more: int, retriever: NetworkRetriever | ProxyRetriever
) -> None:
    query = _queries()[place]
    short, long = retriever.search(query, n), retriever.search(query, max(n, more))
    assert short.items.tolist() == long.items[:n].tolist()
    assert short.scores.tobytes() == long.scores[:n].tobytes()


@pytest.mark.parametrize("block", [7, 64, 299, 1024])
def test_a_score_does_not_depend_on_the_block_it_is_in(
    block: int, scorer: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 2: the same bits alone, in any block, and among any others."""
    x = _queries()[0]
    whole = scorer.all(x)
    monkeypatch.setattr(network, "BLOCK", block)
    assert scorer.all(x).tobytes() == whole.tobytes()
    some = np.random.default_rng(block).permutation(ITEMS)[:101]
    assert scorer.of(x, some).tobytes() == whole[some].tobytes()


def test_proxies_find_most_of_the_list(retriever: NetworkRetriever | ProxyRetriever, truth: FloatArray) -> None:
    hits = [
        np.isin(np.argsort(-truth[place])[:10], retriever.search(query, 10).items).mean()
        for place, query in enumerate(_queries())
    ]
    assert np.mean(hits) > (0.999 if retriever.exact else 0.8)


def test_a_network_bundle_without_proxies_is_scored_whole(bundle: Bundle) -> None:
    opened = open_retriever(bundle)
    assert isinstance(opened, NetworkRetriever)
    assert (opened.exact, len(opened)) == (True, ITEMS)


def test_a_network_that_says_nan_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    mlp = Mlp.make(DIM)
    path = replace(mlp, last=np.full_like(mlp.last, np.nan)).write(tmp_path / "scorer.onnx")
    spoilt = replace(bundle, contents=replace(bundle.contents, scorer_onnx=path))
    with pytest.raises(BundleCorrupt) as refused:
        Network(spoilt)
    assert str(refused.value) == (
        f"{path}: scores: found shape (300,), expected 300 finite numbers. Export the bundle again."
    )


def test_a_network_of_another_size_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    path = Mlp.make(8).write(tmp_path / "scorer.onnx")
    spoilt = replace(bundle, contents=replace(bundle.contents, scorer_onnx=path))
    with pytest.raises(BundleCorrupt) as refused:
        Network(spoilt)
    assert str(refused.value) == (
        f"{path}: inputs: found {{'user': 8, 'items': 8}}, expected {{'user': 16, 'items': 16}}. "
        "Export the bundle again."
    )


def test_a_bundle_whose_scorer_is_not_a_graph_is_not_served(bundle: Bundle) -> None:
    again = load_bundle(bundle.path)
    path = bundle.path.parent / "other.onnx"
    path.write_bytes(b"x")
    with pytest.raises(BundleCorrupt, match=r"other\.onnx: found .*Export the bundle again\."):
        open_retriever(replace(again, contents=replace(again.contents, scorer_onnx=path)))
