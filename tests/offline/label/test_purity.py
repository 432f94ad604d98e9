from __future__ import annotations

import numpy as np
import pytest

from bundle import SparseCodes
from offline.label.purity import best_latents, measure_purity, purity_table, top_items

# Six items, three latents. Latent 0: items 2 (.9), 0 (.5), 1 (.5), 5 (.1); latent 1: item 3; latent 2: nothing.
CODES = SparseCodes.from_dense(
    np.array(
        [[0.5, 0, 0], [0.5, 0, 0], [0.9, 0, 0], [0, 0.7, 0], [0, 0, 0], [0.1, 0, 0]],
        np.float32,
    )
)
MEMBERS = np.array([[1, 0, 1, 0, 0, 1], [0, 0, 0, 1, 1, 0]], bool)


def test_top_items_by_activation_ties_to_the_lower_row() -> None:
    assert top_items(CODES, 3).tolist() == [[2, 0, 1], [3, -1, -1], [-1, -1, -1]]


def test_top_items_among_some() -> None:
    among = np.array([0, 1, 0, 1, 1, 1], bool)
    assert top_items(CODES, 2, among).tolist() == [[1, 5], [3, -1], [-1, -1]]


def test_purity_by_hand() -> None:
    table = purity_table(MEMBERS, top_items(CODES, 3), (1, 2, 3))
    # Concept 0, latent 0: items 2, 0 are members, 1 is not: 1, 1, 2/3. Concept 1, latent 1: one member, then nothing.
    np.testing.assert_allclose(table[:, 0, 0], [1, 1, 2 / 3])
    np.testing.assert_allclose(table[:, 1, 1], [1, 1 / 2, 1 / 3])
    assert table[:, 0, 1:].sum() == table[:, 1, 0].sum() == 0


def test_of_equally_pure_latents_the_one_that_stays_pure_is_best() -> None:
    table = np.array([[[1.0, 1.0, 0.9]], [[0.2, 0.8, 1.0]]], np.float32)
    assert best_latents(table).tolist() == [[1], [2]]


def test_all_items_and_attainable() -> None:
    codes = SparseCodes.from_dense(np.tile(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), (20, 1)))
    members = np.zeros((2, 40), bool)
    members[0, ::2] = True  # exactly latent 0
    members[1, [1, 3, 5]] = True  # three of latent 1's twenty
    (even, few) = measure_purity(codes, members, (5,), halvings=4, seed=0)
    assert (even[0].value, even[0].all_items, even[0].attainable) == (1, 1, 1)
    # The five first of latent 1 (ties by row) are items 1, 3, 5, 7, 9.
    assert few[0].all_items == pytest.approx(3 / 5)
    # The two halves hold the three members between them: their mean is 1.5, of 5.
    assert few[0].attainable == pytest.approx(1.5 / 5)


def test_held_out_purity_does_not_reward_luck() -> None:
    rng = np.random.default_rng(0)
    dense = rng.random((400, 200)).astype(np.float32) * (rng.random((400, 200)) < 0.1)
    members = rng.random((6, 400)) < 0.2
    purity = [row[0] for row in measure_purity(SparseCodes.from_dense(dense), members, (10,), halvings=5, seed=0)]
    assert np.mean([p.all_items for p in purity]) > 0.5  # the best of 200 latents, chosen and scored on the same items
    assert abs(np.mean([p.value for p in purity]) - 0.2) < 0.06  # about the base rate


def test_no_concepts_no_purity() -> None:
    assert measure_purity(CODES, np.zeros((0, 6), bool), (10,), halvings=1, seed=0) == []
