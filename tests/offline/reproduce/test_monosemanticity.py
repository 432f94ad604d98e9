"""Worked out by hand on four items in the plane."""

from __future__ import annotations

import numpy as np
import pytest

from offline.reproduce.monosemanticity import chance, monosemanticity, unit_rows

pytestmark = pytest.mark.train

# Items 0 and 1 point east, item 2 north, item 3 has no tag.
VECTORS = np.array([[2.0, 0], [1, 0], [0, 3], [0, 0]])


def scores(*columns: list[float], top: int | None = None) -> list[float]:
    return monosemanticity(np.array(columns, np.float32).T, VECTORS, top).tolist()


def test_unit_rows_leave_a_zero_row_alone() -> None:
    assert unit_rows(VECTORS).tolist() == [[1, 0], [1, 0], [0, 1], [0, 0]]


def test_a_latent_on_one_meaning_scores_1_and_on_two_unlike_ones_0() -> None:
    assert scores([1, 2, 0, 0], [1, 0, 1, 0]) == [1.0, 0.0]


def test_pairs_count_by_the_product_of_their_activations() -> None:
    # Activations 1, .5, .5, 0 of the largest: pairs (0,1) .5 at cosine 1, (0,2) .5 at 0, (1,2) .25 at 0.
    vectors = np.vstack([VECTORS[:3], [0, 1.0]])
    got = monosemanticity(np.array([[2, 1, 1, 0]], np.float32).T, vectors)
    assert got[0] == pytest.approx(0.5 / 1.25)


def test_items_without_a_tag_say_nothing() -> None:
    assert scores([1, 2, 0, 9]) == [1.0]


def test_fewer_than_two_active_items_have_no_score() -> None:
    assert np.isnan(scores([1, 0, 0, 0], [0, 0, 0, 0])).all()


def test_only_the_strongest_count() -> None:
    # All three: pairs (0,1) 1 x .5, (0,2) 0 after scaling; the two strongest alone are both east.
    assert scores([3, 2, 1, 0], top=2) == [1.0]


def test_chance_is_the_mean_cosine() -> None:
    assert chance(VECTORS) == pytest.approx(1 / 3)
    assert np.isnan(chance(VECTORS[:1]))
