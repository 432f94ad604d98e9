from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline.label.intervals import intervals

NAN = float("nan")


def found(name: str, values: list[float]) -> dict[str, list[int]]:
    return {band.slug: np.flatnonzero(band.members).tolist() for band in intervals(name, np.array(values, np.float64))}


def test_years_become_decades_and_a_missing_year_is_in_none() -> None:
    values = [1979, 1980, 1989, NAN, 1990, 2001, 1930]
    assert found("release_year", values) == {"1930s": [6], "1970s": [0], "1980s": [1, 2], "1990s": [4], "2000s": [5]}


@pytest.mark.parametrize(
    ("name", "values"),
    [("stock", [1979.0, 1980, 1989, 1990, 2001, 1930]), ("year", [1979.5, 1980, 1989, 1990, 2001, 1930])],
    ids=["another name", "not whole"],
)
def test_what_is_not_a_year_is_cut_into_thirds(name: str, values: list[float]) -> None:
    assert set(found(name, values)) == {"low", "mid", "high"}


def test_heavy_tails_are_cut_by_mass() -> None:
    # Sum 100: 50 reaches the first half; 50 + 10 + 10 + 10 = 80 the next 30 %; the other twenty make the rest.
    values = [50, 10, 10, 10, 4, 4, 3, 3, 2, 1, 1, 1, 0.5, 0.5]
    assert found("popularity", values) == {"head": [0], "torso": [1, 2, 3], "tail": list(range(4, 14))}


def test_bands_say_their_bounds() -> None:
    values = np.array([50, 10, 10, 10, 4, 4, 3, 3, 2, 1, 1, 1, 0.5, 0.5])
    assert [band.display for band in intervals("popularity", values)] == [
        "head (at least 50)",
        "torso (10 to below 50)",
        "tail (below 10)",
    ]


def test_equal_values_share_a_band() -> None:
    # The 50 % line falls among the three tens, so all of them are head.
    values = [10, 10, 10, 2, 2, 1, 1, 1, 1, 1, 1, 0, 0.5, 0.25]
    assert found("popularity", values)["head"] == [0, 1, 2]


def test_thirds_by_quantile() -> None:
    values = [1.0, 2, 3, 4, 5, 6, 7, 8, 9]
    assert found("length", values) == {"low": [0, 1, 2], "mid": [3, 4, 5], "high": [6, 7, 8]}


def test_few_different_values_are_names() -> None:
    assert found("stars", [1, 2, 2, 5, NAN]) == {"1": [0], "2": [1, 2], "5": [3]}


@pytest.mark.parametrize("values", [[3.0, 3.0, 3.0], [NAN, NAN], []])
def test_a_constant_names_nothing(values: list[float]) -> None:
    assert found("stars", values) == {}


@given(st.lists(st.floats(-1e6, 1e6) | st.just(NAN) | st.integers(0, 30).map(float), max_size=60))
def test_every_known_value_is_in_exactly_one_band(values: list[float]) -> None:
    array = np.array(values, np.float64)
    bands = intervals("x", array)
    if bands:
        count = np.sum([band.members for band in bands], axis=0)
        np.testing.assert_array_equal(count, np.isfinite(array).astype(int))
        assert len({band.slug for band in bands}) == len(bands)
