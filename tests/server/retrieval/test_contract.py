"""One contract for every retrieval backend, against brute force. A new backend joins BACKENDS.

Approximate backends come twice: as they are served, where an exact scan may take the index's place, and ``-raw`` with
every search forced through the index, however small the world.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import bits
from server.retrieval import Gain, Posting, Scored, prefers_dense, steered_search
from server.types import FloatArray
from tests.server.retrieval.backends import BACKENDS, DEPTH, make

EXACT = ["flat", "overlay-flat"]
backends = pytest.mark.parametrize("backend", sorted(BACKENDS))
D = 8

make_cached = cache(lambda backend, seed, items: make(backend, _vectors(seed, items)))


def _vectors(seed: int, items: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    # Norms as different as real catalogues have them: inner products on graphs and lists fail there first.
    return (rng.normal(size=(items, D)) * rng.lognormal(0, 0.8, (items, 1))).astype(np.float32)


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_backend_declares_whether_it_is_exact(backend: str) -> None:
    assert make_cached(backend, 0, 40).exact == (backend in EXACT)


@backends
@given(seed=st.integers(0, 5), items=st.sampled_from([1, 7, 80, 300]), n=st.integers(1, 320), share=st.floats(0, 1))
def test_search(backend: str, seed: int, items: int, n: int, share: float) -> None:
    """Allowed items only, min(n, allowed) of them, each once, with their true scores, best first; exact: the top n."""
    retriever = make_cached(backend, seed, items)
    rng = np.random.default_rng(seed + 1000)
    query = rng.normal(size=D).astype(np.float32)
    passes = rng.random(items) < share
    found = retriever.search(query, n, np.packbits(passes, bitorder="little"))
    scores = _vectors(seed, items) @ query
    assert len(retriever) == items
    assert len(found.items) == len(set(found.items.tolist())) == min(n, passes.sum())
    assert passes[found.items].all()
    assert (found.items.dtype, found.scores.dtype) == (np.int64, np.float32)
    np.testing.assert_allclose(found.scores, scores[found.items], rtol=1e-5, atol=1e-5)
    assert (np.diff(found.scores) <= 0).all()
    if retriever.exact:
        np.testing.assert_allclose(found.scores, np.sort(scores[passes])[::-1][:n], rtol=1e-5, atol=1e-5)


@backends
@given(seed=st.integers(0, 5), bare=st.booleans())
def test_bits_set_beyond_the_last_item_are_nobody(backend: str, seed: int, bare: bool) -> None:
    """A mask is a complement more often than not, and then its last byte names items that are not there."""
    items = 77
    forbidden = np.random.default_rng(seed).random(items) < (1.0 if bare else 0.9)
    found = make_cached(backend, seed, items).search(
        np.ones(D, np.float32), 99, ~np.packbits(forbidden, bitorder="little")
    )
    assert sorted(found.items.tolist()) == np.flatnonzero(~forbidden).tolist()


@backends
@given(seed=st.integers(0, 5), n=st.integers(1, DEPTH), more=st.integers(0, DEPTH))
def test_a_shorter_list_is_the_head_of_a_longer_one(backend: str, seed: int, n: int, more: int) -> None:
    """So an answer does not change because somebody asked for its explanation, which looks deeper."""
    retriever = make_cached(backend, seed, 300)
    query = np.random.default_rng(seed).normal(size=D).astype(np.float32)
    short, long = retriever.search(query, n), retriever.search(query, max(n, more))
    assert short.items.tolist() == long.items[:n].tolist()
    assert short.scores.tobytes() == long.scores[:n].tobytes()


@backends
def test_without_a_mask_everything_may_come_back_each_once(backend: str) -> None:
    found = make_cached(backend, 0, 7).search(_vectors(0, 7)[3], 50)
    assert sorted(found.items.tolist()) == list(range(7))
    assert (np.diff(found.scores) <= 0).all()


@backends
def test_nothing_allowed_gives_an_empty_list(backend: str) -> None:
    found = make_cached(backend, 0, 20).search(np.ones(D, np.float32), 5, np.zeros(3, np.uint8))
    assert found.items.tolist() == []
    assert found.scores.tolist() == []


@backends
@given(
    seed=st.integers(0, 40),
    k=st.integers(1, 12),
    doses=st.lists(st.floats(-20, 20), max_size=4),
    shares=st.tuples(st.floats(0.01, 1), st.floats(0.05, 1)),
)
def test_merge(backend: str, seed: int, k: int, doses: list[float], shares: tuple[float, float]) -> None:
    """Brute force where the backend is exact; elsewhere true scores, and every promoted item still competes.

    A pass over the catalogue is brute force for every backend.

    Also for doses far beyond any unit, posting lists of any size, and masks that leave almost nothing.
    """
    density, share = shares
    items = 120
    vectors = _vectors(seed, items)
    rng = np.random.default_rng(seed)
    query = rng.normal(size=D).astype(np.float32)
    passes = rng.random(items) < share
    gains, steered = [], (vectors @ query).astype(np.float64)
    promoted = np.zeros(items, np.bool_)
    for amount in doses:
        readout = (rng.random(items) * (rng.random(items) < density)).astype(np.float32)
        if amount > 0:
            posting = np.flatnonzero(readout >= 0.1)
            gains.append(Gain(amount, readout, Posting(posting, readout[posting], vectors[posting] @ query), floor=0.1))
            steered += amount * np.where(readout >= 0.1, readout, 0)
            promoted[posting] = True
        else:
            gains.append(Gain(amount, readout))
            steered += amount * readout
    retriever = make_cached(backend, seed, items)
    found = steered_search(retriever, query, k, gains, np.packbits(passes, bitorder="little"))
    assert len(found.items) == len(set(found.items.tolist())) == min(k, passes.sum())
    assert passes[found.items].all()
    assert (np.diff(found.scores) <= 0).all()
    np.testing.assert_allclose(found.scores, steered[found.items], rtol=1e-4, atol=1e-4)
    if retriever.exact:
        np.testing.assert_allclose(found.scores, np.sort(steered[passes])[::-1][:k], rtol=1e-4, atol=1e-4)
    whole = Scored(vectors @ query).steered(k, gains, np.packbits(passes, bitorder="little"))
    assert len(whole.items) == len(set(whole.items.tolist())) == min(k, passes.sum())
    assert passes[whole.items].all()
    np.testing.assert_allclose(whole.scores, np.sort(steered[passes])[::-1][:k], rtol=1e-4, atol=1e-4)
    left_out = promoted & passes
    left_out[found.items] = False
    if left_out.any():
        assert steered[left_out].max() <= found.scores[-1] + 1e-4


def test_ties_go_to_the_lower_row() -> None:
    vectors = np.ones((30, D), np.float32)
    gain = Gain(-1.0, np.r_[np.ones(15), np.zeros(15)].astype(np.float32))
    found = steered_search(make("flat", vectors), np.ones(D, np.float32), 3, [gain], None)
    assert found.items.tolist() == [15, 16, 17]
    crowd = np.ones((500, D), np.float32)
    whole = Scored(crowd @ np.ones(D, np.float32)).steered(
        3, [Gain(-1.0, np.r_[np.ones(15), np.zeros(485)].astype(np.float32))], None
    )
    assert whole.items.tolist() == [15, 16, 17]


@pytest.mark.parametrize(("listed", "dense"), [(0, False), (50, False), (60, True)])
def test_many_rules_are_added_to_the_scores_of_the_whole_catalogue(listed: int, dense: bool) -> None:
    posting = Posting(np.arange(listed), np.ones(listed, np.float32), np.ones(listed, np.float32))
    gains = [Gain(1.0, np.ones(100, np.float32), posting)] + [Gain(-1.0, np.ones(100, np.float32))] * 8
    assert prefers_dense(gains, 100) == dense


def test_bits_agree_with_a_mask() -> None:
    mask = np.random.default_rng(0).random(21) < 0.5
    packed = bits.of_rows(np.flatnonzero(mask), 21)
    assert [bits.has(packed, row) for row in range(21)] == mask.tolist()
    assert bits.has_each(packed, np.arange(21)).tolist() == mask.tolist()
    assert bits.count(packed, 21) == mask.sum()
    assert bits.count(~packed, 21) == 21 - mask.sum()
