"""States of a small SASRec, read and edited on the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle.sae import Activation, SaeWeights, TowerWeights
from offline.datasets.types import Interactions
from offline.recommenders.sasrec import SasRecConfig, SasRecTower
from offline.reproduce.states import Raised, Sequences, reconstruct

pytestmark = pytest.mark.train

DIM = 8


@pytest.fixture(scope="module")
def sequences() -> Sequences:
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(5), [2, 6, 9, 4, 7]).astype(np.int32)
    count = len(user)
    train = Interactions(
        user, rng.integers(0, 20, count).astype(np.int32), np.arange(count), np.ones(count, np.float32)
    )
    tower = SasRecTower(20, SasRecConfig(dim=DIM, max_length=6, blocks=2))
    tower.initialise(torch.Generator().manual_seed(0))
    return Sequences(tower.eval().requires_grad_(False), train, 5)


def sae(k: int) -> SaeWeights:
    eye = np.concatenate([np.eye(DIM), -np.eye(DIM)]).astype(np.float32)
    nothing = np.zeros(DIM, np.float32)
    tower = TowerWeights(eye.T.copy(), np.zeros(2 * DIM, np.float32), eye, nothing, nothing, Activation("topk", k=k))
    return SaeWeights(tower, tower, normalise=False)


def test_states_come_with_the_item_at_their_position(sequences: Sequences) -> None:
    found = sequences.states("final", np.arange(5), per_user=3, seed=1)
    assert np.bincount(found.users).tolist() == [2, 3, 3, 3, 3]
    last = sequences.users(np.arange(5))
    for user in range(5):
        own = set(sequences.histories.items[sequences.histories.indptr[user] : sequences.histories.indptr[user + 1]])
        assert set(found.items[found.users == user]) <= own
        newest = sequences.histories.items[sequences.histories.indptr[user + 1] - 1]
        for vector in found.vectors[(found.users == user) & (found.items == newest)][:1]:
            if len(own) == sequences.histories.lengths()[user]:
                assert vector == pytest.approx(last[user], abs=1e-5)


@pytest.mark.parametrize("layer", ["block", "final"])
def test_a_perfect_reconstruction_changes_nothing_and_a_poor_one_does(sequences: Sequences, layer: str) -> None:
    users = np.arange(5)
    plain = sequences.users(users)
    assert sequences.users(users, layer, reconstruct(sae(DIM))) == pytest.approx(plain, abs=1e-5)
    assert np.abs(sequences.users(users, layer, reconstruct(sae(1))) - plain).max() > 1e-2
    # The hook is gone.
    assert np.array_equal(sequences.users(users), plain)


@pytest.mark.parametrize("normalise", [False, True])
def test_a_raised_latent_is_the_edit_of_every_position(sequences: Sequences, normalise: bool) -> None:
    users, latent = np.array([4, 1, 2]), 3
    weights = replace(sae(3), normalise=normalise)
    raised = Raised(sequences, users, weights, latent)
    for amount in (0.0, 1.5, -2.0):

        def edit(states: np.ndarray, amount: float = amount) -> np.ndarray:
            code = weights.encode(states, "item")
            code[:, latent] += np.float32(amount)
            return weights.decode(code, weights.scale(states), "item")

        assert raised.users(amount) == pytest.approx(sequences.users(users, "block", edit), abs=1e-5)
    assert np.abs(raised.users(1.5) - raised.users(0.0)).max() > 1e-2
