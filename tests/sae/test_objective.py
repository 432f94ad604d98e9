from dataclasses import replace

import numpy as np
import pytest
import torch

from sae.autoencoder import TwoTowerSae
from sae.config import SaeConfig, StageConfig
from sae.objective import step_loss
from sae.rows import TrainingRows
from sae.scorer import FrozenScorer
from sae.shown import Hidden
from tests.sae.networks import SmallNcf

pytestmark = pytest.mark.train

USERS, ITEMS, DIM, LATENTS = 9, 11, 5, 12
ROWS_U, ROWS_V = torch.arange(USERS), torch.arange(ITEMS)
NOBODY_DEAD = torch.zeros(LATENTS, dtype=torch.bool)


def stage(**weights):
    """Only the given terms; a term alone that teaches nothing is allowed here, to look at it."""
    plain = StageConfig(steps=1, learning_rate=1e-3, k_users=3, k_items=2)
    return plain.model_copy(update={"reconstruction": 0.0, **weights})


def parts(metric="dot", *, bias=True, module=None, **changes):
    rng = np.random.default_rng(3)
    items = rng.normal(size=(ITEMS, DIM)).astype(np.float32)
    users = rng.normal(size=(USERS, DIM)).astype(np.float32)
    item_bias = rng.normal(size=ITEMS).astype(np.float32) if bias and metric == "dot" and module is None else None
    config = SaeConfig(latents=LATENTS, towers="shared", stage1=stage(reconstruction=1.0), **changes)
    data = TrainingRows.of(
        items, users, item_bias=item_bias, metric=metric, pairs=None, config=config, device=torch.device("cpu")
    )
    sae = TwoTowerSae(DIM, LATENTS, "topk")
    sae.initialise(torch.zeros(DIM), torch.Generator().manual_seed(0))
    sae.untie()
    return sae, data, FrozenScorer(metric, data.raw_users, data.raw_items, data.bias, module), config


def loss_of(weights, metric="dot", dead=NOBODY_DEAD, **changes):
    sae, data, scorer, config = parts(metric, **changes)
    loss, facts = step_loss(sae, data, scorer, config, stage(**weights), users=ROWS_U, items=ROWS_V, dead=dead)
    return sae, loss, facts


@pytest.mark.parametrize("metric", ["dot", "cosine"])
@pytest.mark.parametrize("term", ["prediction_mse", "prediction_listwise"])
def test_gradients_pass_through_the_frozen_scorer(term, metric):
    sae, loss, _ = loss_of({term: 1.0}, metric)
    loss.backward()
    for name, parameter in sae.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("term", ["prediction_mse", "prediction_listwise"])
def test_the_prediction_gradient_is_the_numeric_one(term):
    sae, loss, _ = loss_of({term: 1.0})
    loss.backward()
    entry, nudge = (2, 1), 1e-2
    analytic = float(sae.item.w_dec.grad[entry])
    values = []
    for sign in (1, -1):
        moved, data, scorer, config = parts()
        with torch.no_grad():
            moved.item.w_dec[entry] += sign * nudge
        _, facts = step_loss(
            moved, data, scorer, config, stage(**{term: 1.0}), users=ROWS_U, items=ROWS_V, dead=NOBODY_DEAD
        )
        values.append(float(facts.loss))
    assert analytic == pytest.approx((values[0] - values[1]) / (2 * nudge), rel=0.02)


def test_the_scorers_tensors_do_not_move():
    sae, data, scorer, config = parts()
    frozen = {"users": data.raw_users, "items": data.raw_items, "bias": scorer.bias}
    before = {name: tensor.clone() for name, tensor in frozen.items()}
    optimiser = torch.optim.Adam(sae.parameters(), lr=0.1)
    for _ in range(5):
        weights = stage(prediction_mse=1.0, prediction_listwise=1.0)
        loss, _ = step_loss(sae, data, scorer, config, weights, users=ROWS_U, items=ROWS_V, dead=NOBODY_DEAD)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for name, tensor in frozen.items():
        assert torch.equal(tensor, before[name])
        assert not tensor.requires_grad
        assert tensor.grad is None


def test_without_their_weight_the_prediction_terms_leave_no_gradient():
    plain, loss, _ = loss_of({"reconstruction": 1.0})
    loss.backward()
    both, loss, _ = loss_of({"reconstruction": 1.0, "prediction_mse": 0.0, "prediction_listwise": 0.0})
    loss.backward()
    for (name, a), (_, b) in zip(plain.named_parameters(), both.named_parameters(), strict=True):
        assert torch.equal(a.grad, b.grad), name
    _, loss, _ = loss_of({})
    assert float(loss.detach()) == 0.0
    assert not loss.requires_grad


def test_the_bias_takes_part():
    _, with_bias, _ = loss_of({"prediction_listwise": 1.0}, bias=True)
    _, without, _ = loss_of({"prediction_listwise": 1.0}, bias=False)
    assert float(with_bias.detach()) != pytest.approx(float(without.detach()), rel=1e-3)


def test_a_perfect_reconstruction_costs_nothing():
    sae, data, scorer, config = parts(whitening=0.0)
    assert torch.allclose(data.whiten, torch.eye(DIM), atol=1e-6)
    with torch.no_grad():
        for tower in (sae.user, sae.item):
            # Latents j and D + j read +x_j and -x_j: with all of them, the decoder gives x back.
            tower.w_enc.zero_()
            tower.w_dec.zero_()
            for j in range(DIM):
                tower.w_enc[j, j] = tower.w_dec[j, j] = 1.0
                tower.w_enc[j, DIM + j] = tower.w_dec[DIM + j, j] = -1.0
    full = StageConfig(
        steps=1, learning_rate=1e-3, k_users=LATENTS, k_items=LATENTS, prediction_mse=1.0, prediction_listwise=1.0
    )
    loss, facts = step_loss(sae, data, scorer, config, full, users=ROWS_U, items=ROWS_V, dead=NOBODY_DEAD)
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-6)
    assert float(facts.l0_users) == DIM
    assert facts.active.tolist() == [True] * (2 * DIM) + [False] * (LATENTS - 2 * DIM)


def test_weights_multiply_their_terms():
    for term in ("reconstruction", "prediction_mse", "prediction_listwise", "l1", "kl_sparsity"):
        _, once, _ = loss_of({term: 1.0})
        _, thrice, _ = loss_of({term: 3.0})
        assert float(once.detach()) > 0, term
        assert float(thrice.detach()) == pytest.approx(3 * float(once.detach()), rel=1e-5), term


def test_the_auxiliary_term_needs_dead_latents():
    _, nobody, _ = loss_of({"auxiliary": 1.0})
    _, some, _ = loss_of({"auxiliary": 1.0}, dead=torch.arange(LATENTS) < 4)
    assert float(nobody.detach()) == 0.0
    assert float(some.detach()) > 0


def test_renormalised_items_keep_their_length_whatever_the_decoder_gives():
    sae, data, scorer, config = parts(renormalise_items=True)
    weights = stage(prediction_mse=1.0)

    def value():
        _, facts = step_loss(sae, data, scorer, config, weights, users=ROWS_U, items=ROWS_V, dead=NOBODY_DEAD)
        return float(facts.loss)

    before = value()
    with torch.no_grad():
        sae.item.w_dec.mul_(3.0)
        sae.item.output_bias.mul_(3.0)
    assert value() == pytest.approx(before, rel=1e-4)


@pytest.mark.parametrize("term", ["prediction_mse", "prediction_listwise"])
def test_gradients_through_a_network_are_the_numeric_ones_and_its_weights_stay(term):
    """NCF's scorer: every parameter of the SAE against central differences, in double precision."""
    module = SmallNcf(DIM).double()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    sae, data, scorer, config = parts(module=SmallNcf(DIM))
    scorer.module.double()
    sae.double()
    fields = ("users", "items", "raw_users", "raw_items", "colour")
    data = replace(data, **{name: _double(getattr(data, name)) for name in fields})

    def value():
        weights = stage(**{term: 1.0})
        return step_loss(sae, data, scorer, config, weights, users=ROWS_U, items=ROWS_V, dead=NOBODY_DEAD)[0]

    value().backward()
    generator = torch.Generator().manual_seed(0)
    for name, parameter in sae.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        analytic = float((parameter.grad * direction).sum())
        around = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * 1e-6 * direction)
                around.append(float(value()))
                parameter.sub_(sign * 1e-6 * direction)
        assert analytic == pytest.approx((around[0] - around[1]) / 2e-6, rel=1e-4, abs=1e-8), name
    optimiser = torch.optim.SGD(sae.parameters(), lr=0.1)
    optimiser.step()
    for name, tensor in scorer.module.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(parameter.grad is None for parameter in scorer.module.parameters())


def _double(value):
    if isinstance(value, torch.Tensor):
        return value.double()
    return replace(value, rows=value.rows.double(), scale=value.scale.double(), centre=value.centre.double())


def test_with_its_terms_off_a_network_leaves_no_gradient():
    with_network, data, scorer, config = parts(module=SmallNcf(DIM))
    plain, *rest = parts(bias=False)
    for sae, rows, frozen in ((with_network, data, scorer), (plain, rest[0], rest[1])):
        weights = stage(reconstruction=1.0)
        step_loss(sae, rows, frozen, config, weights, users=ROWS_U, items=ROWS_V, dead=NOBODY_DEAD)[0].backward()
    for (name, a), (_, b) in zip(with_network.named_parameters(), plain.named_parameters(), strict=True):
        assert torch.equal(a.grad, b.grad), name
    loss, _ = step_loss(with_network, data, scorer, config, stage(), users=ROWS_U, items=ROWS_V, dead=NOBODY_DEAD)
    assert not loss.requires_grad


def test_hidden_pairs_take_no_part_in_the_lists():
    """Changing the score of a hidden item changes nothing; hiding it changes the loss."""
    sae, data, scorer, config = parts()
    hidden = Hidden((np.zeros(ITEMS - 1, np.int64), np.arange(1, ITEMS)), USERS, ITEMS, torch.device("cpu"))
    for term in ("prediction_listwise", "prediction_plackett_luce"):
        values = []
        for who in (None, hidden):
            loss, _ = step_loss(
                sae, data, scorer, config, stage(**{term: 1.0}), users=ROWS_U[:1], items=ROWS_V, dead=NOBODY_DEAD,
                hidden=who,
            )  # fmt: skip
            values.append(float(loss.detach()))
        # Only one item is left to show: every list is perfect.
        assert values[0] > 0.01
        assert values[1] == pytest.approx(0.0, abs=1e-5), term


def test_block_terms_look_at_part_of_the_batch():
    _, whole, _ = loss_of({"prediction_block": 1.0})
    _, part, _ = loss_of({"prediction_block": 1.0}, block_users=3, block_items=4)
    sae, data, scorer, config = parts()
    rows_u, rows_v = torch.tensor([0, 4, 8]), torch.tensor([0, 3, 7, 10])
    same, _ = step_loss(
        sae, data, scorer, config, stage(prediction_block=1.0), users=rows_u, items=rows_v, dead=NOBODY_DEAD
    )
    assert float(part.detach()) == pytest.approx(float(same.detach()))
    assert float(part.detach()) != pytest.approx(float(whole.detach()))


def test_raw_units_are_means_of_squares_added_up():
    sae, data, scorer, config = parts(units="raw", normalise=False, whitening=0.0)
    loss, _ = step_loss(
        sae, data, scorer, config, stage(reconstruction=1.0), users=ROWS_U, items=ROWS_V, dead=NOBODY_DEAD
    )
    wanted = 0.0
    for tower, x, k in ((sae.user, data.raw_users, 3), (sae.item, data.raw_items, 2)):
        wanted += (x - tower.decode(sae.activate(tower.pre(x), k))).square().mean().item()
    assert float(loss.detach()) == pytest.approx(wanted)


def test_nested_prefixes_are_averaged():
    sae, data, scorer, config = parts(matryoshka=(2, 6))
    loss, _ = step_loss(
        sae, data, scorer, config, stage(reconstruction=1.0), users=ROWS_U, items=ROWS_V, dead=NOBODY_DEAD
    )
    wanted = 0.0
    for tower, side, k in ((sae.user, data.users, 3), (sae.item, data.items, 2)):
        code = sae.activate(tower.pre(side.rows), k)
        for width in (2, 6, LATENTS):
            cut = code.clone()
            cut[:, width:] = 0
            wanted += (side.rows - tower.decode(cut)).square().sum(1).mean().item() / side.variance / 6
    assert float(loss.detach()) == pytest.approx(wanted)
