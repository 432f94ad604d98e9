import numpy as np
import pytest
import torch

from sae.activations import batch_topk
from sae.autoencoder import TwoTowerSae, input_scale
from sae.to_inference import to_inference

pytestmark = pytest.mark.train

DIM, LATENTS, K_USERS, K_ITEMS = 6, 20, 5, 3


def model(activation):
    generator = torch.Generator().manual_seed(2)
    sae = TwoTowerSae(DIM, LATENTS, activation)
    sae.initialise(torch.randn(DIM, generator=generator) * 0.1, generator)
    sae.untie()
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    x = {side: torch.randn(rows, DIM, generator=generator) for side, rows in (("user", 70), ("item", 90))}
    return sae, x


def convert(sae, x, *, normalise):
    rows = {side: x[side] / input_scale(x[side], normalise=normalise) for side in x}
    weights = to_inference(sae, rows["user"], rows["item"], k_users=K_USERS, k_items=K_ITEMS, normalise=normalise)
    return weights, rows


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("activation", ["relu", "topk", "batchtopk"])
def test_numpy_reference_equals_torch(activation, normalise):
    sae, x = model(activation)
    weights, rows = convert(sae, x, normalise=normalise)
    for side, k in (("user", K_USERS), ("item", K_ITEMS)):
        tower, scale = sae.tower(side), input_scale(x[side], normalise=normalise)
        with torch.no_grad():
            # For BatchTopK the whole side is one batch: there the batch form and the threshold must agree.
            code = sae.activate(tower.pre(rows[side]), k)
            decoded = tower.decode(code) * scale
        served = weights.encode(x[side].numpy(), side)
        assert np.abs(served - code.numpy()).max() < 1e-5
        assert np.abs(weights.decode(served, scale.numpy(), side) - decoded.numpy()).max() < 1e-5
        assert np.array_equal(served > 0, code.numpy() > 0)


def test_batchtopk_becomes_a_threshold_with_the_same_mean_l0():
    sae, x = model("batchtopk")
    weights, rows = convert(sae, x, normalise=True)
    for side, k in (("user", K_USERS), ("item", K_ITEMS)):
        assert weights.tower(side).activation.kind == "threshold"
        assert (weights.encode(x[side].numpy(), side) > 0).sum() == k * len(x[side])
    assert (batch_topk(sae.item.pre(rows["item"]), K_ITEMS) > 0).sum(1).unique().numel() > 1


def test_a_served_row_never_depends_on_its_batch():
    sae, x = model("batchtopk")
    weights, _ = convert(sae, x, normalise=True)
    users = x["user"].numpy()
    together = weights.encode(users, "user")
    for row in range(len(users)):
        alone = weights.encode(users[row : row + 1], "user")
        assert np.array_equal(alone > 0, together[row : row + 1] > 0)
        assert np.allclose(alone, together[row], atol=1e-6)


def test_the_weights_are_a_copy():
    sae, x = model("topk")
    weights, _ = convert(sae, x, normalise=True)
    before = weights.item.w_dec.copy()
    with torch.no_grad():
        sae.item.w_dec.zero_()
    assert np.array_equal(weights.item.w_dec, before)
