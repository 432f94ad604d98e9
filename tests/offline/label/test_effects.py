from __future__ import annotations

import numpy as np
import pytest

from bundle import Activation, Metric, SaeWeights, SparseCodes, TowerWeights
from offline.label.effects import direction_effects, latent_effects

VECTORS = np.array([[2.0, 0], [0, 4], [2, 2], [0, 0]], np.float32)
CODES = SparseCodes.from_dense(np.array([[1.0, 0, 0], [0, 2, 0], [3, 1, 0], [0, 0, 0]], np.float32))
W_DEC = np.array([[1.0, 0], [0, 1], [1, 1]], np.float32)


def sae() -> SaeWeights:
    def tower(w_dec: np.ndarray) -> TowerWeights:
        zero = np.zeros(2, np.float32)
        return TowerWeights(
            np.zeros((2, 3), np.float32), np.zeros(3, np.float32), w_dec, zero, zero, Activation("relu")
        )

    # Only the user tower moves the query: the item tower's decoder must not matter.
    return SaeWeights(tower(W_DEC), tower(-9 * W_DEC), normalise=True)


def test_effects_by_hand() -> None:
    members = np.array([[1, 0, 1, 0], [0, 1, 0, 0]], bool)
    direction = np.array([[1, 0, 0], [0, 0.5, 1]], np.float32)
    # Mean vector (1, 1.5). Concept 0: members' mean (2, 1), lift (1, -.5), moved by (1, 0): 1.
    # Concept 1: mean (0, 4), lift (-1, 2.5), moved by (0, .5) + (1, 1) = (1, 1.5): 2.75.
    np.testing.assert_allclose(direction_effects(direction, members, VECTORS, sae(), "dot"), [1, 2.75])


def test_latent_effects_by_hand() -> None:
    # Latent 0 is on items 0 and 2: lift (1, -.5) . (1, 0) = 1; latent 1 on 1 and 2: (1, 3) - (1, 1.5) . (0, 1) = 1.5.
    np.testing.assert_allclose(latent_effects(CODES, VECTORS, sae(), "dot"), [1, 1.5, 0])


@pytest.mark.parametrize("metric", ["dot", "cosine"])
def test_an_effect_is_the_rise_of_scores(metric: Metric) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 2)).astype(np.float32)
    members = rng.random((1, 50)) < 0.4
    direction = rng.normal(size=(1, 3)).astype(np.float32)
    items = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if metric == "cosine" else vectors
    user = rng.normal(size=2)
    rise = items @ (user + direction[0] @ W_DEC) - items @ user
    expected = rise[members[0]].mean() - rise.mean()
    assert direction_effects(direction, members, vectors, sae(), metric)[0] == pytest.approx(expected, rel=1e-5)
