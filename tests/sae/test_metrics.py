import numpy as np
import pytest

from bundle.sae import Activation, SaeWeights, TowerWeights
from sae.metrics import agreement, measure, measure_side

pytestmark = pytest.mark.train


def tower(w_dec=None):
    """Two latents that read the two axes, a third that nothing reaches."""
    w_enc = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    return TowerWeights(
        w_enc=w_enc,
        b_enc=np.array([0, 0, -9], np.float32),
        w_dec=w_enc.T.copy() if w_dec is None else np.asarray(w_dec, np.float32),
        input_bias=np.zeros(2, np.float32),
        output_bias=np.zeros(2, np.float32),
        activation=Activation("topk", k=1),
    )


ITEMS = np.array([[2, 1], [1, 3], [4, 0], [0, 5]], np.float32)


def test_explained_variance_l0_and_uses_by_hand():
    weights = SaeWeights(tower(), tower(), normalise=False)
    facts = measure_side(weights, ITEMS, "item")
    # k = 1 keeps the larger coordinate: lost are 1 and 1, squared 1 + 1 = 2.
    # Mean (7/4, 9/4); squares of the coordinates sum to 21 and 35, minus 4 (49/16) and 4 (81/16).
    spread = 21 - 49 / 4 + 35 - 81 / 4
    assert facts.explained_variance == pytest.approx(1 - 2 / spread)
    assert facts.l0 == 1.0
    assert facts.uses.tolist() == [2, 2, 0]


def test_chunks_change_nothing(monkeypatch):
    weights = SaeWeights(tower(), tower(), normalise=True)
    whole = measure_side(weights, ITEMS, "item")
    monkeypatch.setattr("sae.metrics.CHUNK_ENTRIES", 3)
    chunked = measure_side(weights, ITEMS, "item")
    assert chunked.explained_variance == pytest.approx(whole.explained_variance)
    assert chunked.uses.tolist() == whole.uses.tolist()


def test_dead_is_what_neither_tower_uses():
    weights = SaeWeights(tower(), tower(), normalise=False)
    only_x = np.array([[1, 0], [2, 0]], np.float32)
    assert measure(weights, only_x, only_x)["dead_share"] == pytest.approx(2 / 3)
    assert measure(weights, ITEMS, only_x)["dead_share"] == pytest.approx(1 / 3)
    assert set(measure(weights, ITEMS, ITEMS)) == {
        "explained_variance_users",
        "explained_variance_items",
        "l0_users",
        "l0_items",
        "dead_share",
    }


def test_agreement_by_hand():
    lifts = agreement(SaeWeights(tower(), tower(), normalise=False), ITEMS, "dot")
    # Latent 0 pushes a user along x: effects 2, 1, 4, 0 (mean 7/4). Items 0 and 2 activate it with 2 and 4.
    effect = np.array([2, 1, 4, 0])
    assert lifts[0] == pytest.approx(((2 * 2 + 4 * 4) / 6 - 7 / 4) / effect.std())
    assert np.isnan(lifts[2])


def test_a_user_tower_that_means_something_else_disagrees():
    swapped = tower(w_dec=[[0, 1], [1, 0], [0, 0]])
    lifts = agreement(SaeWeights(swapped, tower(), normalise=False), ITEMS, "dot")
    assert lifts[0] < 0
    assert lifts[1] < 0
