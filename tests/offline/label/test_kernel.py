"""Kernel ridge regression: every score is what a fit without the item says."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from offline.label.kernel import CONSTANT, KernelRidge, importance, unit_rows
from tests.offline.label.planted import make

WORLD = make(items=120)
POPULARITY = np.random.default_rng(3).geometric(0.05, 120)
PLACES = unit_rows(WORLD.codes.dense() @ WORLD.sae.item.w_dec)
WIDTH, RIDGE = 2.0, 1.0


def kernel(popularity: np.ndarray | None = None) -> KernelRidge:
    return KernelRidge.of(PLACES, importance(popularity, 120), width=WIDTH, ridge=RIDGE, landmarks=1000, seed=0)


def refitted_without(weight: np.ndarray, labels: np.ndarray, item: int) -> float:
    """Kernel ridge on all items but one, from the definition (dual form), asked for that one."""
    near = np.exp(WIDTH * (PLACES @ PLACES.T - 1)) + CONSTANT**2
    rest = np.arange(len(labels)) != item
    dual = np.linalg.solve(near[np.ix_(rest, rest)] + np.diag(RIDGE / weight[rest]), labels[rest].astype(float))
    return float(near[item, rest] @ dual)


@pytest.mark.parametrize("popularity", [None, POPULARITY], ids=["alike", "weighted"])
def test_every_score_is_that_of_a_fit_without_the_item(popularity: np.ndarray | None) -> None:
    made = kernel(popularity)
    scores = made.scores(WORLD.labels)
    assert scores.shape == WORLD.labels.shape
    for item in (0, 17, 119):
        for concept, labels in enumerate(WORLD.labels):
            assert scores[concept, item] == pytest.approx(refitted_without(made.weight, labels, item), abs=2e-4)


def test_an_items_own_label_does_not_move_its_score() -> None:
    flipped = WORLD.labels[0].copy()
    flipped[5] = not flipped[5]
    before, after = kernel().scores(np.array([WORLD.labels[0], flipped]))
    assert after[5] == pytest.approx(before[5], abs=1e-9)
    assert np.abs(after - before).max() > 0.01


def test_labels_of_noise_are_not_found() -> None:
    noise = np.random.default_rng(0).random((5, 120)) < 0.3
    assert np.mean([roc_auc_score(own, row) for own, row in zip(noise, kernel().scores(noise), strict=True)]) < 0.6


def test_popular_items_weigh_more() -> None:
    # Popularity over its mean of 2 is 0, .5, 2.5; plus 1, over the mean 2.
    np.testing.assert_allclose(importance(np.array([0, 1, 5]), 3), [0.5, 0.75, 1.75])
    np.testing.assert_allclose(importance(None, 3), 1)
    np.testing.assert_allclose(importance(np.zeros(3), 3), 1)


def test_rows_of_nothing_stay_nothing() -> None:
    np.testing.assert_allclose(unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0, 0]])
