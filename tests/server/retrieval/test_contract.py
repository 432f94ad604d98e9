"""One contract for every retrieval backend, against brute force. A new backend joins BACKENDS."""

from __future__ import annotations

from collections.abc import Callable

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import bits
from server.retrieval import FlatRetriever, Gain, Posting, Retriever, steered_search
from server.types import FloatArray


def _flat(vectors: FloatArray) -> Retriever:
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return FlatRetriever(index)


BACKENDS: dict[str, Callable[[FloatArray], Retriever]] = {"flat": _flat}
backends = pytest.mark.parametrize("backend", sorted(BACKENDS))


def _vectors(seed: int, items: int) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(items, 8)).astype(np.float32)


@backends
@given(seed=st.integers(0, 50), items=st.integers(1, 80), n=st.integers(1, 100), share=st.floats(0, 1))
def test_search_is_the_allowed_top_n(backend: str, seed: int, items: int, n: int, share: float) -> None:
    vectors = _vectors(seed, items)
    rng = np.random.default_rng(seed + 1000)
    query = rng.normal(size=8).astype(np.float32)
    passes = rng.random(items) < share
    found = BACKENDS[backend](vectors).search(query, n, np.packbits(passes, bitorder="little"))
    scores = vectors @ query
    assert len(found.items) == min(n, passes.sum())
    assert len(set(found.items.tolist())) == len(found.items)
    assert passes[found.items].all()
    np.testing.assert_allclose(found.scores, np.sort(scores[passes])[::-1][:n], rtol=1e-5, atol=1e-5)


@backends
def test_without_a_mask_everything_may_come_back_each_once(backend: str) -> None:
    vectors = _vectors(0, 7)
    found = BACKENDS[backend](vectors).search(vectors[3], 50)
    assert sorted(found.items.tolist()) == list(range(7))
    assert (np.diff(found.scores) <= 0).all()


@backends
def test_nothing_allowed_gives_an_empty_list(backend: str) -> None:
    found = BACKENDS[backend](_vectors(0, 20)).search(np.ones(8, np.float32), 5, np.zeros(3, np.uint8))
    assert found.items.tolist() == []
    assert found.scores.tolist() == []


@backends
@given(
    seed=st.integers(0, 1000),
    k=st.integers(1, 12),
    doses=st.lists(st.floats(-20, 20), max_size=4),
    shares=st.tuples(st.floats(0.01, 1), st.floats(0.05, 1)),
)
def test_merge_equals_brute_force(
    backend: str, seed: int, k: int, doses: list[float], shares: tuple[float, float]
) -> None:
    """Also for doses far beyond any unit, posting lists of any size, and masks that leave almost nothing."""
    density, share = shares
    items = 120
    vectors = _vectors(seed, items)
    rng = np.random.default_rng(seed)
    query = rng.normal(size=8).astype(np.float32)
    passes = rng.random(items) < share
    gains, steered = [], (vectors @ query).astype(np.float64)
    for amount in doses:
        readout = (rng.random(items) * (rng.random(items) < density)).astype(np.float32)
        if amount > 0:
            posting = np.flatnonzero(readout >= 0.1)
            gains.append(Gain(amount, readout, Posting(posting, readout[posting], vectors[posting] @ query), floor=0.1))
            steered += amount * np.where(readout >= 0.1, readout, 0)
        else:
            gains.append(Gain(amount, readout))
            steered += amount * readout
    allowed = np.packbits(passes, bitorder="little")
    found = steered_search(BACKENDS[backend](vectors), query, k, gains, allowed)
    expected = np.sort(steered[passes])[::-1][:k]
    np.testing.assert_allclose(found.scores, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(steered[found.items], expected, rtol=1e-4, atol=1e-4)
    assert passes[found.items].all()


def test_ties_go_to_the_lower_row() -> None:
    vectors = np.ones((30, 8), np.float32)
    gain = Gain(-1.0, np.r_[np.ones(15), np.zeros(15)].astype(np.float32))
    found = steered_search(_flat(vectors), np.ones(8, np.float32), 3, [gain], None)
    assert found.items.tolist() == [15, 16, 17]


def test_bits_agree_with_a_mask() -> None:
    mask = np.random.default_rng(0).random(21) < 0.5
    packed = bits.of_rows(np.flatnonzero(mask), 21)
    assert [bits.has(packed, row) for row in range(21)] == mask.tolist()
    assert bits.has_each(packed, np.arange(21)).tolist() == mask.tolist()
    assert bits.count(packed, 21) == mask.sum()
    assert bits.count(~packed, 21) == 21 - mask.sum()
