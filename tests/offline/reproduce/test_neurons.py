"""Popularity, decades and mean activations on a handful of items."""

from __future__ import annotations

import numpy as np
import pytest

from bundle import SparseCodes
from offline.reproduce.neurons import (
    decade_histogram,
    decades,
    mean_activation,
    percentiles,
    popularity_neurons,
    top_means,
)

pytestmark = pytest.mark.train

YEARS = np.array([1971, 1979, 1985, np.nan, 1990.0])


def test_percentiles_share_a_tie() -> None:
    assert percentiles(np.array([5, 1, 5, 9])).tolist() == pytest.approx([0.5, 0, 0.5, 1])


def test_mean_activation_is_over_the_members() -> None:
    codes = np.array([[1, 0], [3, 2], [5, 4]], np.float32)
    members = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]], bool)
    assert mean_activation(codes, members).tolist() == [[2, 1], [5, 4], [0, 0]]


def test_top_means_need_all_places() -> None:
    got = top_means(np.array([0.0, 0.5, 1.0]), np.array([[0, 2], [1, -1]]))
    assert got[0] == 0.5
    assert np.isnan(got[1])


def test_the_popular_and_the_niche_latent_are_found() -> None:
    # 40 items; latent 0 fires on the 20 popular ones, latent 1 on the others, latent 2 on every second item.
    popularity = np.arange(40)
    codes = np.zeros((40, 3), np.float32)
    codes[20:, 0] = 1 + popularity[20:] / 100
    codes[:20, 1] = 2 - popularity[:20] / 100
    codes[::2, 2] = 1
    rows = popularity_neurons(SparseCodes.from_dense(codes), popularity, (5,), halvings=2, seed=0)
    assert [(row["end"], row["latent"]) for row in rows] == [("popular", 0), ("niche", 1)]
    assert rows[0]["all_items"] == pytest.approx(np.mean([35, 36, 37, 38, 39]) / 39)
    assert rows[1]["all_items"] == pytest.approx(np.mean([0, 1, 2, 3, 4]) / 39)
    assert rows[0]["held_out"] > 0.7
    assert rows[1]["held_out"] < 0.3


def test_no_latent_fills_its_places() -> None:
    codes = SparseCodes.from_dense(np.eye(4, 2, dtype=np.float32))
    assert popularity_neurons(codes, np.arange(4), (3,), halvings=1, seed=0) == []


def test_decades_of_enough_items() -> None:
    names, members = decades(YEARS, fewest=2)
    assert names == ["1970s"]
    assert members.tolist() == [[True, True, False, False, False]]
    assert decades(np.full(3, np.nan))[1].shape == (0, 3)


def test_a_histogram_leaves_out_what_has_no_year() -> None:
    assert decade_histogram(YEARS, np.array([0, 1, 3, 4, -1])) == {"1970s": pytest.approx(2 / 3), "1990s": 1 / 3}
