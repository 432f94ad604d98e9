import numpy as np
import pytest
import torch
from torch import nn

from offline.recommenders import ncf
from offline.recommenders.mf import Histories as ItemSets
from offline.recommenders.ncf import NcfConfig, NcfScorer
from tests.offline.recommenders.planted import N_ITEMS, N_USERS, planted

pytestmark = pytest.mark.train


def model(dim=8, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    scorer = NcfScorer(dim, (64, 32, 16))
    scorer.initialise(generator)
    tables = [torch.randn(count, dim, generator=generator) for count in (N_USERS, N_ITEMS)]
    return ncf._Model(tables, 0.3, scorer).to(dtype)


def test_the_split_layer_is_the_mlp_on_the_concatenation():
    """He et al. 2017, equation 10, written out."""
    scorer = NcfScorer(8)
    users, items = torch.randn(3, 8), torch.randn(5, 8)
    first = nn.Linear(16, 64)
    with torch.no_grad():
        first.weight.copy_(torch.cat([scorer.user.weight, scorer.item.weight], 1))
        first.bias.copy_(scorer.item.bias)
        expected = torch.empty(3, 5)
        for u in range(3):
            for v in range(5):
                h = torch.relu(first(torch.cat([users[u], items[v]])))
                h = torch.relu(scorer.layers[0](h))
                h = torch.relu(scorer.layers[1](h))
                expected[u, v] = scorer.out(h)
        assert [layer.out_features for layer in scorer.layers] == [32, 16]
        assert torch.allclose(scorer(users, items), expected, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_chunked_gradients_are_the_whole_loss_s(monkeypatch, chunk):
    monkeypatch.setattr(ncf, "USERS_AT_ONCE", chunk)
    config = NcfConfig(dim=8, l2=0.1, dropout=0, distil=0.3)
    made = model()
    sets = ItemSets.of(planted(), N_USERS, N_ITEMS, torch.device("cpu"))
    batch, sample = (
        torch.tensor([5, 0, 33, 70, 2]),
        torch.randperm(N_ITEMS, generator=torch.Generator().manual_seed(1))[:60],
    )
    generator = torch.Generator().manual_seed(2)
    factors = ncf._Factors(
        *(torch.randn(shape, generator=generator) for shape in ((N_USERS, 4), (N_ITEMS, 4), (N_ITEMS,)))
    )
    loss = ncf._backward(made, sets, batch, sample, factors, config=config)
    found = {name: weight.grad.clone() for name, weight in made.named_parameters()}

    made.zero_grad()
    row, item, length = sets.batch(batch)
    p, q = made.users[batch], made.items[sample]
    logits = made.scorer(p, q).log_softmax(1)
    where = (item[:, None] == sample).float().argmax(1)
    inside = (item[:, None] == sample).any(1)
    weight = 1 / (length.float() * 60 / N_ITEMS)
    taken = -(logits[row, where] * weight[row])[inside].sum() / 5
    lists = (factors.users[batch] @ factors.items.T + factors.bias)[:, sample].softmax(1)
    whole = 0.7 * taken + 0.3 * torch.nn.functional.cross_entropy(made.scorer(p, q), lists)
    penalty = 0.1 * (p.square().sum(1).mean() + q.square().sum(1).mean())
    (whole + penalty).backward()
    assert loss == pytest.approx(float(whole.detach()), rel=1e-5)
    for name, parameter in made.named_parameters():
        assert torch.allclose(found[name], parameter.grad, atol=1e-6), name


def test_rows_outside_the_step_get_no_gradient():
    made = model()
    sets = ItemSets.of(planted(), N_USERS, N_ITEMS, torch.device("cpu"))
    ncf._backward(made, sets, torch.tensor([3, 4]), torch.arange(10), None, config=NcfConfig(dim=8))
    assert np.flatnonzero(made.users.grad.abs().sum(1).numpy()).tolist() == [3, 4]
    assert np.flatnonzero(made.items.grad.abs().sum(1).numpy()).max() < 10


def test_it_learns_without_trained_factors_too():
    losses = []
    config = NcfConfig(dim=8, epochs=25, batch_users=8, pretrained=False, distil=0, dropout=0)
    ncf.Ncf().fit(planted(), N_USERS, N_ITEMS, config, progress=lambda *report: losses.append(report[2]["loss"]))
    # A uniform list costs ln 120 = 4.8.
    assert losses[0] > 4.5
    assert losses[-1] < 4.4
