"""The decoded read-out: places are decoded codes, and the direction is the regression on them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from offline.label.config import LabelConfig
from offline.label.decoded import Decoded
from tests.offline.label.planted import make

WORLD = make(items=120)
POPULARITY = np.random.default_rng(3).geometric(0.05, 120)


def test_places_are_decoded_codes_at_unit_length() -> None:
    made = Decoded.of(WORLD.codes, WORLD.sae, LabelConfig(), scale=np.full((120, 1), 2, np.float32))
    rows = 2 * (WORLD.codes.dense() @ WORLD.sae.item.w_dec)
    np.testing.assert_allclose(made.rows, rows, atol=1e-5)
    np.testing.assert_allclose(made.kernel.places, rows / np.linalg.norm(rows, axis=1, keepdims=True), atol=1e-5)


def test_few_landmarks_find_the_planted_concepts_too() -> None:
    made = Decoded.of(WORLD.codes, WORLD.sae, LabelConfig(landmarks=60))
    assert len(made.kernel.landmarks) == 60
    for concept in (0, 1):
        assert roc_auc_score(WORLD.members[concept], made.scores(WORLD.labels)[concept]) > 0.9


@pytest.mark.parametrize("metric", ["dot", "cosine"])
def test_a_direction_is_the_smallest_code_of_the_regression_on_decoded_items(metric: str) -> None:
    made = Decoded.of(WORLD.codes, WORLD.sae, LabelConfig(), POPULARITY, np.full((120, 1), 2, np.float32))
    decoder = WORLD.sae.user.w_dec
    found = made.direction(WORLD.labels[0], decoder, metric)  # type: ignore[arg-type]
    assert np.linalg.norm(found) == pytest.approx(1)
    # Smallest: nothing in it that the decoder forgets.
    forgotten = np.linalg.svd(decoder.T.astype(float))[2][np.linalg.matrix_rank(decoder) :]
    np.testing.assert_allclose(forgotten @ found, 0, atol=1e-6)
    # The stationary point of the weighted, penalised squared error, up to length.
    x = made.kernel.places if metric == "cosine" else made.rows
    share = made.kernel.weight / made.kernel.weight.sum()
    x = x - share @ x
    gram = (x * share[:, None]).T @ x
    wanted = np.linalg.solve(gram + 0.01 * np.trace(gram) / 16 * np.eye(16), (x * share[:, None]).T @ WORLD.labels[0])
    move = found @ decoder
    assert move @ wanted / np.linalg.norm(move) / np.linalg.norm(wanted) > 0.9999
    raised = WORLD.vectors @ move
    assert raised[WORLD.labels[0]].mean() > raised.mean()
