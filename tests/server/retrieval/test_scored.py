"""Top k read off the scores of the whole catalogue, against adding every rule to every item.

Catalogues larger than the head, so that each bound is used: the head alone, the items near it, the pass over all.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.columns import Columns
from server.retrieval import FlatRetriever, Gain, Listed, Scored, Shield, total_gain
from server.retrieval.gains import SLICE, Mix
from server.retrieval.scored import HEAD
from server.types import FloatArray, Ranking
from tests.server.retrieval.backends import make

ITEMS = [1, 30, HEAD - 1, HEAD, HEAD + 1, 5_000, 70_000]


def _brute(scores: npt.NDArray[np.float64], passes: npt.NDArray[np.bool_], k: int) -> Ranking:
    rows = np.flatnonzero(passes)
    best = rows[np.lexsort((rows, -scores[rows]))[:k]]
    return Ranking(best, scores[best].astype(np.float32))


def _everything(values: FloatArray, gains: list[Gain]) -> npt.NDArray[np.float64]:
    return values + total_gain(gains, np.arange(len(values)))


@given(
    seed=st.integers(0, 10_000),
    items=st.sampled_from(ITEMS),
    n=st.sampled_from([1, 10, 100, 1_500]),
    share=st.sampled_from([0.0, 0.0003, 0.02, 0.9, 1.0]),
    levels=st.sampled_from([3, 1_000, 0]),
)
@settings(max_examples=150)
def test_search(seed: int, items: int, n: int, share: float, levels: int) -> None:
    """The head of a full sort, ties to the lower row, however many tie and however few pass."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=items).astype(np.float32)
    if levels:
        values = rng.integers(0, levels, items).astype(np.float32)
    passes = rng.random(items) < share
    found = Scored(values).search(n, None if share == 1 else np.packbits(passes, bitorder="little"))
    expected = _brute(values.astype(np.float64), passes, n)
    assert found.items.tolist() == expected.items.tolist()
    assert found.scores.tobytes() == expected.scores.tobytes()
    assert (found.items.dtype, found.scores.dtype) == (np.int64, np.float32)


@st.composite
def _mixes(draw: st.DrawFn) -> list[float]:
    """Doses from far below the distance of two items to far beyond any score."""
    size = draw(st.integers(0, 32))
    scale = draw(st.sampled_from([1e-4, 0.1, 1.0, 30.0]))
    signs = draw(st.sampled_from([(-1.0,), (1.0,), (-1.0, 1.0)]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return [float(rng.choice(signs) * scale * rng.exponential()) for _ in range(size)]


@given(
    world=st.tuples(st.integers(0, 10_000), st.sampled_from(ITEMS), st.sampled_from([0.0, 1_000.0])),
    k=st.sampled_from([1, 10, 100]),
    doses=_mixes(),
    share=st.sampled_from([0.0003, 0.3, 1.0]),
    shielded=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_steered(world: tuple[int, int, float], k: int, doses: list[float], share: float, shielded: bool) -> None:
    """The same scores as adding everything to everything, also where scores are large and differ little."""
    seed, items, offset = world
    rng = np.random.default_rng(seed)
    values = (rng.normal(size=items) + offset).astype(np.float32)
    readouts = [_readout(rng, items) for _ in doses]
    demoted = [readout for readout, dose in zip(readouts, doses, strict=True) if dose < 0]
    shield = Shield(demoted) if demoted and shielded else None
    gains = [
        Gain(dose, readout, floor=0.1 if dose > 0 else 0.0, shield=shield if dose > 0 else None)
        for readout, dose in zip(readouts, doses, strict=True)
    ]
    passes = rng.random(items) < share
    allowed = None if share == 1 else np.packbits(passes, bitorder="little")
    found = Scored(values).steered(k, gains, allowed)
    steered = _everything(values, gains)
    expected = _brute(steered, passes, k)
    # float32 scores tie where float64 sums do not: then the rows may differ, and never the scores.
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert len(set(found.items.tolist())) == len(found.items) == min(k, int(passes.sum()))
    assert passes[found.items].all()
    np.testing.assert_array_equal(steered[found.items].astype(np.float32), found.scores)
    columns = Columns(readouts)
    for _ in range(3):  # before their sum is at hand, and after
        again = Scored(values, columns).steered(k, gains, allowed)
        assert again.items.tobytes() == found.items.tobytes()
        assert again.scores.tobytes() == found.scores.tobytes()
    if items >= 300:
        top = _brute(values.astype(np.float64), np.ones(items, np.bool_), 200)
        clear = top.scores > top.scores[-1]
        listed = Listed(Ranking(top.items[clear], top.scores[clear]), items, lambda: values, columns)
        again = listed.steered(k, gains, allowed)
        assert again.items.tobytes() == found.items.tobytes()
        assert again.scores.tobytes() == found.scores.tobytes()
        for gain in (each for each in gains if each.dose > 0):
            members = listed.best_of_each([gain.readout], 3, allowed, deep=False)
            assert members[0] is None or members[0].tobytes() == (
                np.sort(values[passes & (gain.readout >= 0.5)])[::-1][:3].tobytes()
            )


def _readout(rng: np.random.Generator, items: int) -> FloatArray:
    """Members near 1, a tail of others near 0; among them exact 0, 1 and the floor."""
    values = np.where(
        rng.random(items) < rng.choice([0.001, 0.05, 0.4]), rng.uniform(0.5, 1, items), rng.beta(0.3, 6, items)
    )
    values[rng.random(items) < 0.01] = rng.choice([0, 0.1, 1])
    return values.astype(np.float32)


def test_a_shield_is_what_all_demotions_leave() -> None:
    first, second = np.array([0, 0.5, 1], np.float32), np.array([0.2, 0.5, 0], np.float32)
    shield = Shield([first, second])
    rows = np.array([2, 1, 0])
    np.testing.assert_allclose(shield.of(rows), [0, 0.25, 0.8])
    np.testing.assert_allclose(shield.of(np.array([1])), [0.25])
    assert total_gain([Gain(2.0, first, shield=shield)], rows).tolist() == pytest.approx([0, 0.25, 0])


@pytest.mark.parametrize("rules", [1, 3, 4, 9, 32])
def test_an_items_gain_does_not_depend_on_the_others(rules: int) -> None:
    """Nor on where its read-outs are fetched from; more items than are added up at once."""
    rng = np.random.default_rng(rules)
    size = SLICE + 1
    readouts = [rng.random(size, np.float32) for _ in range(rules)]
    shield = Shield(readouts[: rules // 2])
    gains = [Gain(-float(rng.random()), readout) for readout in readouts[: rules // 2]]
    gains += [Gain(float(rng.random()), readout, None, 0.1, shield) for readout in readouts[rules // 2 :]]
    whole = total_gain(gains, np.arange(size))
    by_hand = sum(
        gain.dose
        * (gain.readout * (gain.readout >= gain.floor)).astype(np.float64)
        * (1 if gain.shield is None else np.prod([1 - one for one in gain.shield.demoted], axis=0))
        for gain in gains
    )
    np.testing.assert_allclose(whole, by_hand, rtol=1e-5, atol=1e-6)
    for columns in (None, Columns(readouts), Columns(readouts[1:])):
        for rows in (np.array([7]), np.array([size - 1, 7]), np.arange(3, 50), rng.permutation(size)):
            assert Mix(gains, columns).total(rows).tobytes() == whole[rows].tobytes()


@pytest.mark.parametrize("size", [70_000])
@pytest.mark.parametrize("shape", ["all ones", "at the floor", "one against all", "nested"])
def test_read_outs_that_strain_the_bounds(shape: str, size: int) -> None:
    """Ties everywhere, sums far above any single read-out, shields that leave nothing."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=size).astype(np.float32)
    readouts = [np.ones(size, np.float32) for _ in range(8)]
    if shape == "at the floor":
        readouts = [
            np.where(rng.random(size) < 0.5, 0.1, np.nextafter(np.float32(0.1), np.float32(0))) for _ in range(8)
        ]
    elif shape == "one against all":
        readouts = [(np.arange(size) % 997 == place).astype(np.float32) for place in range(8)]
        readouts[7][:] = 1
    elif shape == "nested":
        readouts = [(np.arange(size) % 2**place == 0).astype(np.float32) for place in range(8)]
    readouts = [readout.astype(np.float32) for readout in readouts]
    columns = Columns(readouts)
    for demoted in (0, 2):
        shield = Shield(readouts[:demoted]) if demoted else None
        gains = [Gain(-0.3, readout) for readout in readouts[:demoted]]
        gains += [Gain(0.2 * (place + 1), one, None, 0.1, shield) for place, one in enumerate(readouts[demoted:])]
        expected = _brute(_everything(values, gains), np.ones(size, np.bool_), 20)
        for _ in range(3):
            found = Scored(values, columns).steered(20, gains, None)
            assert found.scores.tobytes() == expected.scores.tobytes()


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5, 8, 12, 16, 33, 64, 65])
def test_flat_scores_have_the_bits_of_a_search(dim: int) -> None:
    """So that a list does not change by the last bit because a rule stands beside it."""
    rng = np.random.default_rng(dim)
    retriever = make("flat", rng.normal(size=(500, dim)).astype(np.float32))
    assert isinstance(retriever, FlatRetriever)
    query = rng.normal(size=dim).astype(np.float32)
    searched = retriever.search(query, 500)
    assert retriever.scores(query)[searched.items].tobytes() == searched.scores.tobytes()
    for rows in (searched.items, searched.items[:1], searched.items[:0], searched.items[::-3]):
        assert retriever.some_scores(query, rows).tobytes() == retriever.scores(query)[rows].tobytes()


def test_a_demotion_is_answered_without_the_scores_of_everything_where_the_list_does() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=30_000).astype(np.float32)
    best = np.lexsort((np.arange(len(values)), -values))[:160]
    asked: list[int] = []

    def every() -> FloatArray:
        asked.append(len(values))
        return values

    few = (rng.random(len(values)) < 0.02).astype(np.float32) * np.float32(0.9)
    for readout, dose, whole in ((few, -1.0, 0), (np.ones_like(few), -9.0, 1)):
        asked.clear()
        gains = [Gain(dose, readout)]
        listed = Listed(Ranking(best, values[best]), len(values), every, None)
        expected = Scored(values).steered(10, gains, None)
        assert listed.steered(10, gains, None).items.tolist() == expected.items.tolist()
        assert len(asked) == whole  # where all of the list falls below what is behind it, that is looked at


def test_what_single_precision_swallows_still_counts() -> None:
    """At a million the step between two scores is 1/16: 32 gains of .02 vanish one by one, and together they decide."""
    values = np.full(70_000, 1e6, np.float32)
    values[50_000] -= np.float32(0.125)
    readout = np.zeros(len(values), np.float32)
    readout[50_000] = 1
    found = Scored(values).steered(1, [Gain(0.02, readout, floor=0.1)] * 32, None)
    assert found.items.tolist() == [50_000]


@given(
    seed=st.integers(0, 10_000),
    dim=st.sampled_from([1, 2, 3, 4, 5, 8, 12, 16, 31, 64, 130]),
    items=st.sampled_from([1, 7, 1_000, 5_000]),
    asked=st.tuples(st.integers(1, 5), st.sampled_from([1, 600, 512 * 1024])),
    levels=st.sampled_from([2, 0]),
)
@settings(max_examples=120)
def test_flat_scores_are_what_its_search_says(
    seed: int, dim: int, items: int, asked: tuple[int, int], levels: int
) -> None:
    """Alone, for some rows or for several queries in blocks of any length: the same bits, ties in the same order."""
    rng = np.random.default_rng(seed)

    def drawn(rows: int) -> FloatArray:
        values = rng.normal(size=(rows, dim))
        return (np.round(values * levels) if levels else values).astype(np.float32)

    flat, queries = make("flat", drawn(items)), list(drawn(asked[0]))
    assert isinstance(flat, FlatRetriever)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.retrieval.flat.BLOCK_BYTES", asked[1])
        each = flat.scores_of_each(queries)
    rows = rng.permutation(items)[:50]
    for query, scores in zip(queries, each, strict=True):
        assert scores.tobytes() == flat.scores(query).tobytes()
        assert (scores[rows] == flat.some_scores(query, rows)).all()  # but for the sign of a 0
        for n in (1, 30, items):
            found, read = flat.search(query, n), Scored(scores).search(n, None)
            assert (read.scores == found.scores).all()
            assert read.items.tolist() == found.items.tolist()
