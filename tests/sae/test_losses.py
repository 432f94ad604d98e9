import math

import pytest
import torch

from sae import losses

pytestmark = pytest.mark.train


def test_reconstruction_is_the_unexplained_fraction():
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    # Squared distances 1 and 4, mean 2.5, over a variance of 5.
    assert float(losses.reconstruction(x, torch.zeros(2, 2), variance=5.0)) == pytest.approx(0.5)
    # The mean as the reconstruction leaves exactly the variance unexplained: (1.25 + 1.25) / 2.
    assert float(losses.reconstruction(x, x.mean(0).expand(2, 2), variance=1.25)) == pytest.approx(1.0)


def test_mean_square_by_hand():
    # Errors 1, 0, 3: mean of squares 10 / 3, over a variance of 2.
    value = losses.mean_square(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 2.0, 0.0]), variance=2.0)
    assert float(value) == pytest.approx(10 / 6)


def test_listwise_by_hand():
    # Softmax of (ln 3, 0) is (3/4, 1/4), of (0, 0) is (1/2, 1/2).
    score, other = torch.tensor([[math.log(3.0), 0.0]]), torch.zeros(1, 2)
    forward = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    backward = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert float(losses.listwise(score, other, 1.0)) == pytest.approx((forward + backward) / 2)


def test_listwise_divides_by_the_temperature():
    score, other = torch.tensor([[math.log(3.0), 0.0]]), torch.zeros(1, 2)
    assert float(losses.listwise(score * 0.2, other, 0.2)) == pytest.approx(float(losses.listwise(score, other, 1.0)))


def test_listwise_is_symmetric_and_blind_to_a_shift():
    generator = torch.Generator().manual_seed(1)
    a, b = torch.randn(4, 9, generator=generator), torch.randn(4, 9, generator=generator)
    value = float(losses.listwise(a, b, 0.5))
    assert value > 0.1
    assert float(losses.listwise(b, a, 0.5)) == pytest.approx(value, rel=1e-5)
    assert float(losses.listwise(a, b + 3.0, 0.5)) == pytest.approx(value, rel=1e-4)
    assert float(losses.listwise(a, a, 0.5)) == 0.0


def test_listwise_averages_users():
    a, b = torch.tensor([[math.log(3.0), 0.0], [1.0, 1.0]]), torch.zeros(2, 2)
    # The second user's lists agree.
    assert float(losses.listwise(a, b, 1.0)) == pytest.approx(float(losses.listwise(a[:1], b[:1], 1.0)) / 2)


def test_plackett_luce_by_hand():
    # Original order 1, 0, 2. Reconstructed scores ln 2, ln 3, ln 5: rank 1 is item 1 of all (3 / 10), rank 2 item 0 of
    # what is left (2 / 7). Discounts 1 and 1 / log2(3), brought to sum 1.
    score = torch.tensor([[2.0, 3.0, 1.0]])
    made = torch.log(torch.tensor([[2.0, 3.0, 5.0]]))
    discount = 1 / math.log2(3)
    wanted = -(math.log(3 / 10) + discount * math.log(2 / 7)) / (1 + discount)
    assert float(losses.plackett_luce(score, made, 1.0, 2)) == pytest.approx(wanted)
    assert float(losses.plackett_luce(score, made * 0.3, 0.3, 2)) == pytest.approx(wanted)
    # With the whole list as the top, the last factor is 1.
    third = 1 / math.log2(4)
    whole = -(math.log(3 / 10) + discount * math.log(2 / 7)) / (1 + discount + third)
    assert float(losses.plackett_luce(score, made, 1.0, 9)) == pytest.approx(whole)


def test_plackett_luce_asks_for_the_original_order():
    score = torch.tensor([[3.0, 2.0, 1.0, 0.0]])
    kept = float(losses.plackett_luce(score, score, 0.5, 3))
    assert kept < float(losses.plackett_luce(score, score[:, [1, 0, 2, 3]], 0.5, 3))
    # A swap at the top costs more than one further down.
    assert float(losses.plackett_luce(score, score[:, [0, 1, 3, 2]], 0.5, 3)) < float(
        losses.plackett_luce(score, score[:, [1, 0, 2, 3]], 0.5, 3)
    )


def test_cross_entropy_by_hand():
    # Wanted 3/4, made 1/2: KL(3/4 || 1/2).
    value = losses.cross_entropy(torch.tensor([math.log(3.0)]), torch.tensor([0.0]))
    assert float(value) == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert float(losses.cross_entropy(torch.tensor([1.0]), torch.tensor([1.0]))) == pytest.approx(0.0, abs=1e-7)


def test_l1_by_hand():
    assert float(losses.l1(torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 1.0]]))) == pytest.approx(2.0)


def test_kl_sparsity_by_hand():
    # z = 1 squashes to 1/2; latent 0 is active in one row of two: rho = 1/4, latent 1 in both: rho = 1/2.
    code = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    wanted = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert float(losses.kl_sparsity(code, 0.25)) == pytest.approx(wanted)


def test_kl_sparsity_of_the_mean_activation_itself():
    code = torch.tensor([[0.2, 9.0], [0.6, 9.0]])
    # Means .4 and 9, the second clipped to just below 1.
    first = 0.25 * math.log(0.25 / 0.4) + 0.75 * math.log(0.75 / 0.6)
    second = 0.25 * math.log(0.25 / (1 - 1e-6)) + 0.75 * math.log(0.75 / 1e-6)
    assert float(losses.kl_sparsity(code, 0.25, squash=False)) == pytest.approx(first + second, rel=0.02)


def test_kl_sparsity_pulls_towards_its_target_from_both_sides():
    code = torch.tensor([[2.0, 0.01]], requires_grad=True)
    losses.kl_sparsity(code, 0.2).backward()
    assert code.grad[0, 0] > 0 > code.grad[0, 1]


def test_auxiliary_by_hand():
    residual = torch.tensor([[1.0, 0.0]])
    pre = torch.tensor([[5.0, -1.0, 0.5]])
    w_dec = torch.tensor([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    dead = torch.tensor([False, True, True])
    # Of the dead latents the third gives .5 (1, 0), the second is negative: left over (.5, 0), squared .25, over 2.
    assert float(losses.auxiliary(residual, pre, w_dec, dead, k=2, variance=2.0)) == pytest.approx(0.125)


def test_auxiliary_teaches_dead_latents_only_and_leaves_the_residual():
    residual = torch.tensor([[1.0, 0.0]], requires_grad=True)
    pre = torch.tensor([[5.0, 0.2, 0.5]], requires_grad=True)
    w_dec = torch.eye(3)[:, :2].clone().requires_grad_()
    losses.auxiliary(residual, pre, w_dec, torch.tensor([False, True, True]), k=1, variance=1.0).backward()
    assert residual.grad is None
    assert pre.grad[0, 0] == 0
    assert torch.equal(w_dec.grad[0], torch.zeros(2))
    assert w_dec.grad[2].abs().sum() > 0


def test_auxiliary_is_zero_where_nothing_is_dead():
    value = losses.auxiliary(
        torch.ones(1, 2), torch.ones(1, 3), torch.ones(3, 2), torch.zeros(3, dtype=torch.bool), k=2, variance=1.0
    )
    assert float(value) == 0.0
