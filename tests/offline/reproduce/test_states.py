"""States of a small SASRec, read and edited on the way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle.sae import Activation, SaeWeights, TowerWeights
from offline.datasets.types import Interactions
from offline.recommenders.sasrec import SasRecConfig, SasRecTower
from offline.reproduce.states import Sequences, reconstruct, shift

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


def test_a_shift_moves_along_the_latent_and_keeps_or_drops_the_rest(sequences: Sequences) -> None:
    states = np.full((1, DIM), 0.5, np.float32)
    states[0, 0] = 2
    kept = shift(sae(1), 3, 1.5, keep=True)(states)
    dropped = shift(sae(1), 3, 1.5, keep=False)(states)
    assert kept[0].tolist() == [2, 0.5, 0.5, 2.0, 0.5, 0.5, 0.5, 0.5]
    assert dropped[0].tolist() == [2, 0, 0, 1.5, 0, 0, 0, 0]
    assert np.array_equal(shift(sae(1), 3, 0.0, keep=True)(states), states)
