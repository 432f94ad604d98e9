import numpy as np
import pytest
import torch

from sae.activations import batch_topk
from sae.autoencoder import TwoTowerSae
from sae.config import SaeConfig
from sae.rows import TrainingRows
from sae.to_inference import to_inference

pytestmark = pytest.mark.train

DIM, LATENTS, K_USERS, K_ITEMS = 6, 20, 5, 3
STAGE = {"steps": 1, "learning_rate": 0.1, "k_users": K_USERS, "k_items": K_ITEMS}


def model(activation, *, normalise=True, whitening=0.0, power=1.0):
    """A model with random weights in every place, and embeddings stretched along some axes."""
    generator = torch.Generator().manual_seed(2)
    sae = TwoTowerSae(DIM, LATENTS, activation)
    sae.initialise(torch.randn(DIM, generator=generator) * 0.1, generator)
    sae.untie()
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    stretch = torch.linspace(0.3, 1.5, DIM)
    x = {
        side: (torch.randn(rows, DIM, generator=generator) * stretch).numpy()
        for side, rows in (("user", 70), ("item", 90))
    }
    config = SaeConfig(
        latents=LATENTS, towers="shared", stage1=STAGE, normalise=normalise, norm_power=power, whitening=whitening
    )
    data = TrainingRows.of(
        x["item"], x["user"], item_bias=None, metric="dot", pairs=None, config=config, device=torch.device("cpu")
    )
    weights = to_inference(sae, data, config)
    return sae, data, x, weights


@pytest.mark.parametrize("whitening", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("normalise", "power"), [(True, 1.0), (True, 0.7), (False, 1.0)])
@pytest.mark.parametrize("activation", ["relu", "topk", "batchtopk"])
def test_numpy_reference_equals_torch(activation, normalise, power, whitening):
    sae, data, x, weights = model(activation, normalise=normalise, power=power, whitening=whitening)
    for side, rows, k in (("user", data.users, K_USERS), ("item", data.items, K_ITEMS)):
        tower = sae.tower(side)
        with torch.no_grad():
            # For BatchTopK the whole side is one batch: there the batch form and the threshold must agree.
            code = sae.activate(tower.pre(rows.rows), k)
            decoded = (tower.decode(code) @ data.colour) * rows.scale
        served = weights.encode(x[side], side)
        assert np.abs(served - code.numpy()).max() < 1e-5
        assert np.abs(weights.decode(served, weights.scale(x[side]), side) - decoded.numpy()).max() < 1e-5
        assert np.array_equal(served > 0, code.numpy() > 0)


def test_batchtopk_becomes_a_threshold_with_the_same_mean_l0():
    sae, data, x, weights = model("batchtopk")
    for side, k in (("user", K_USERS), ("item", K_ITEMS)):
        assert weights.tower(side).activation.kind == "threshold"
        assert (weights.encode(x[side], side) > 0).sum() == k * len(x[side])
    assert (batch_topk(sae.item.pre(data.items.rows), K_ITEMS) > 0).sum(1).unique().numel() > 1


def test_a_large_side_is_sampled_for_its_threshold(monkeypatch):
    monkeypatch.setattr("sae.to_inference.THRESHOLD_ENTRIES", 60 * LATENTS)
    _, _, x, weights = model("batchtopk")
    # 60 of 90 items stand for all: about the same L0.
    assert (weights.encode(x["item"], "item") > 0).sum(1).mean() == pytest.approx(K_ITEMS, abs=0.5)


def test_a_served_row_never_depends_on_its_batch():
    _, _, x, weights = model("batchtopk", whitening=0.5)
    together = weights.encode(x["user"], "user")
    for row in range(len(together)):
        alone = weights.encode(x["user"][row : row + 1], "user")
        assert np.array_equal(alone > 0, together[row : row + 1] > 0)
        assert np.allclose(alone, together[row], atol=1e-6)


def test_the_weights_are_a_copy():
    sae, _, _, weights = model("topk")
    before = weights.item.w_dec.copy()
    with torch.no_grad():
        sae.item.w_dec.zero_()
    assert np.array_equal(weights.item.w_dec, before)
