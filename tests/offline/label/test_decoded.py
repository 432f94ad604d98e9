"""The decoded read-out: what it ships is what a fit without the item says."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from offline.label.config import LabelConfig
from offline.label.decoded import CONSTANT, Decoded, importance, membership, step
from tests.offline.label.planted import make

WORLD = make(items=120)
POPULARITY = np.random.default_rng(3).geometric(0.05, 120)


def refitted_without(kernel: Decoded, labels: np.ndarray, item: int, config: LabelConfig) -> float:
    """Kernel ridge on all items but one, from the definition (dual form), asked for that one."""
    near = np.exp(config.decoded_width * (kernel.places @ kernel.places.T - 1)) + CONSTANT**2
    rest = np.arange(len(labels)) != item
    penalty = np.diag(config.decoded_ridge / kernel.weight[rest])
    dual = np.linalg.solve(near[np.ix_(rest, rest)] + penalty, labels[rest].astype(float))
    return float(near[item, rest] @ dual)


@pytest.mark.parametrize("popularity", [None, POPULARITY], ids=["alike", "weighted"])
def test_every_score_is_that_of_a_fit_without_the_item(popularity: np.ndarray | None) -> None:
    config = LabelConfig()
    kernel = Decoded.of(WORLD.codes, WORLD.sae, config, popularity)
    scores = kernel.scores(WORLD.labels)
    assert scores.shape == WORLD.labels.shape
    for item in (0, 17, 119):
        for concept, labels in enumerate(WORLD.labels):
            assert scores[concept, item] == pytest.approx(refitted_without(kernel, labels, item, config), abs=2e-4)


def test_an_items_own_label_does_not_move_its_score() -> None:
    kernel = Decoded.of(WORLD.codes, WORLD.sae, LabelConfig())
    flipped = WORLD.labels[0].copy()
    flipped[5] = not flipped[5]
    before, after = kernel.scores(np.array([WORLD.labels[0], flipped]))
    assert after[5] == pytest.approx(before[5], abs=1e-9)
    assert np.abs(after - before).max() > 0.01


def test_few_landmarks_find_the_planted_concepts_too() -> None:
    kernel = Decoded.of(WORLD.codes, WORLD.sae, LabelConfig(decoded_landmarks=60))
    assert len(kernel.landmarks) == 60
    for concept in (0, 1):
        assert roc_auc_score(WORLD.members[concept], kernel.scores(WORLD.labels)[concept]) > 0.9


def test_labels_of_noise_are_not_found() -> None:
    noise = np.random.default_rng(0).random((5, 120)) < 0.3
    scores = Decoded.of(WORLD.codes, WORLD.sae, LabelConfig()).scores(noise)
    assert np.mean([roc_auc_score(own, row) for own, row in zip(noise, scores, strict=True)]) < 0.6


def test_popular_items_weigh_more() -> None:
    # Popularity over its mean of 2 is 0, .5, 2.5; plus 1, over the mean 2.
    np.testing.assert_allclose(importance(np.array([0, 1, 5]), 3), [0.5, 0.75, 1.75])
    np.testing.assert_allclose(importance(None, 3), 1)
    np.testing.assert_allclose(importance(np.zeros(3), 3), 1)


def test_the_step_is_monotone_and_never_flat() -> None:
    values = membership(np.linspace(-1, 1, 201), 0.3)
    assert (np.diff(values) > 0).all()
    assert 0 < values[0] < values[-1] < 1
    # At .8 of the threshold both sigmoids are a half.
    assert membership(np.array([0.24]), 0.3) == pytest.approx([0.5])
    labels = WORLD.labels[0]
    assert step(labels * 0.4, labels)[labels].min() > 0.9 * step(labels * 0.4, labels).max()


@pytest.mark.parametrize("metric", ["dot", "cosine"])
def test_a_direction_is_the_smallest_code_of_the_regression_on_decoded_items(metric: str) -> None:
    kernel = Decoded.of(WORLD.codes, WORLD.sae, LabelConfig(), POPULARITY, np.full((120, 1), 2, np.float32))
    decoder = WORLD.sae.user.w_dec
    found = kernel.direction(WORLD.labels[0], decoder, metric)  # type: ignore[arg-type]
    assert np.linalg.norm(found) == pytest.approx(1)
    # Smallest: nothing in it that the decoder forgets.
    forgotten = np.linalg.svd(decoder.T.astype(float))[2][np.linalg.matrix_rank(decoder) :]
    np.testing.assert_allclose(forgotten @ found, 0, atol=1e-6)
    # The stationary point of the weighted, penalised squared error, up to length.
    x = kernel.places if metric == "cosine" else kernel.rows
    share = kernel.weight / kernel.weight.sum()
    x = x - share @ x
    gram = (x * share[:, None]).T @ x
    wanted = np.linalg.solve(gram + 0.01 * np.trace(gram) / 16 * np.eye(16), (x * share[:, None]).T @ WORLD.labels[0])
    move = found @ decoder
    assert move @ wanted / np.linalg.norm(move) / np.linalg.norm(wanted) > 0.9999
    raised = WORLD.vectors @ move
    assert raised[WORLD.labels[0]].mean() > raised.mean()
