import numpy as np
import pytest
import torch

from bundle.errors import TrainingError
from offline.datasets.types import Interactions
from offline.recommenders.mf import Histories, MatrixFactorization, MfConfig, multinomial_gradient

pytestmark = pytest.mark.train


def interactions(pairs):
    user, item = (np.array(side, np.int32) for side in zip(*pairs, strict=True))
    return Interactions(user, item, np.arange(len(user)), np.ones(len(user), np.float32))


def histories(pairs, n_users=3, n_items=4):
    return Histories.of(interactions(pairs), n_users, n_items, torch.device("cpu"))


def test_histories_of_a_batch():
    known = histories([(0, 2), (0, 1), (2, 3), (2, 3)])
    assert known.lengths().tolist() == [2, 0, 1]
    row, item, length = known.batch(torch.tensor([2, 0]))
    assert sorted(zip(row.tolist(), item.tolist(), strict=True)) == [(0, 3), (1, 1), (1, 2)]
    assert length.tolist() == [1, 2]


def test_the_multinomial_loss_by_hand():
    # Uniform logits over 4 items: every observed pair costs ln 4, whatever the number of them.
    loss, gradient = multinomial_gradient(
        torch.zeros(2, 4), *histories([(0, 2), (0, 1), (1, 3)]).batch(torch.arange(2))
    )
    assert loss == pytest.approx(np.log(4))
    # softmax - target, over two users: targets are (0, 1/2, 1/2, 0) and (0, 0, 0, 1).
    assert gradient.tolist() == [[0.125, -0.125, -0.125, 0.125], [0.125, 0.125, 0.125, -0.375]]


def test_the_gradient_is_autograds():
    logits = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    row, item, length = histories([(0, 2), (0, 1), (1, 3)]).batch(torch.arange(2))
    log_softmax = torch.log_softmax(logits, 1)
    expected = -(log_softmax[row, item] / length[row]).sum() / 2
    expected.backward()
    loss, gradient = multinomial_gradient(logits.detach().clone(), row, item, length)
    assert loss == pytest.approx(float(expected.detach()), rel=1e-6)
    assert torch.allclose(gradient, logits.grad, atol=1e-7)


def test_without_penalty_it_fits_the_observed_shares():
    """Two users of 3 and 1 items: the best softmax is uniform over the own items."""
    pairs = [(0, 0), (0, 1), (0, 2), (1, 3)]
    config = MfConfig(dim=4, epochs=400, learning_rate=0.1, l2=0.0)
    made = MatrixFactorization().fit(interactions(pairs), 2, 4, config).embeddings
    logits = made.users @ made.items.T + made.item_bias
    share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert share[0] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0], abs=0.02)
    assert share[1] == pytest.approx([0, 0, 0, 1], abs=0.02)


def test_a_strong_penalty_leaves_popularity():
    pairs = [(0, 0), (1, 0), (2, 0), (2, 1)]
    made = MatrixFactorization().fit(interactions(pairs), 3, 3, MfConfig(dim=4, epochs=200, l2=10.0)).embeddings
    assert np.abs(made.users @ made.items.T).max() < 0.01
    assert made.item_bias.argsort().tolist() == [2, 1, 0]


def test_users_without_interactions_get_the_mean_user():
    made = MatrixFactorization().fit(interactions([(0, 0), (2, 1)]), 4, 3, MfConfig(dim=4, epochs=5)).embeddings
    mean = (made.users[0] + made.users[2]) / 2
    assert np.allclose(made.users[1], mean, atol=1e-6)
    assert np.allclose(made.users[3], mean, atol=1e-6)


def test_the_loss_falls():
    reports = []
    rng = np.random.default_rng(0)
    pairs = [(u, int(v)) for u in range(30) for v in rng.choice(20, 5, replace=False)]
    MatrixFactorization().fit(
        interactions(pairs), 30, 20, MfConfig(dim=8, l2=0.001), progress=lambda *report: reports.append(report)
    )
    losses = [metrics["loss"] for _, _, metrics in reports]
    # Uniform lists cost ln 20 = 3.0; a list of exactly the own five items would cost ln 5 = 1.6.
    assert losses[0] > 2.9
    assert losses[-1] < 2.6


def test_a_loss_that_explodes_is_an_error():
    with pytest.raises(TrainingError) as caught:
        MatrixFactorization().fit(interactions([(0, 0), (1, 1)]), 2, 2, MfConfig(dim=2, learning_rate=1e30))
    assert str(caught.value).startswith("matrix factorisation: loss at epoch ")
    assert str(caught.value).endswith("expected a finite number. Lower the learning rate (now 1e+30).")


def test_every_field_is_documented():
    assert [name for name, field in MfConfig.model_fields.items() if not field.description] == []
