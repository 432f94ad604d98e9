import numpy as np
import pytest
import torch

from bundle import search_query, search_vectors
from bundle.errors import TrainingError
from sae.scorer import FrozenScorer
from tests.sae.networks import SmallNcf

pytestmark = pytest.mark.train

USERS = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
ITEMS = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]])
BIAS = torch.tensor([10.0, 20.0, 30.0])
ALL = torch.arange(3)


def test_dot_with_the_item_bias_by_hand():
    scorer = FrozenScorer("dot", USERS, ITEMS, BIAS)
    assert scorer.block(USERS, ITEMS, ALL).tolist() == [[13.0, 28.0, 55.0], [11.0, 20.0, 33.0]]
    assert scorer.pairs(USERS, ITEMS[[2, 0]], torch.tensor([2, 0])).tolist() == [55.0, 11.0]


def test_a_block_takes_the_bias_of_its_own_rows():
    scorer = FrozenScorer("dot", USERS, ITEMS, BIAS)
    assert scorer.block(USERS, ITEMS[[2]], torch.tensor([2])).tolist() == [[55.0], [33.0]]


def test_cosine_by_hand():
    scorer = FrozenScorer("cosine", USERS, ITEMS, None)
    assert scorer.block(USERS, ITEMS, ALL) == pytest.approx(torch.tensor([[0.6, 0.8, 1.0], [1.0, 0.0, 0.6]]))
    assert scorer.pairs(USERS, ITEMS[:2], ALL[:2]).tolist() == pytest.approx([0.6, 0.0])


@pytest.mark.parametrize(("metric", "bias"), [("dot", None), ("dot", BIAS), ("cosine", None)])
def test_it_scores_as_the_search_does(metric, bias):
    scorer = FrozenScorer(metric, USERS, ITEMS, bias)
    numbers = None if bias is None else bias.numpy()
    index = search_vectors(ITEMS.numpy(), numbers, metric)
    for row, user in enumerate(USERS.numpy()):
        query = search_query(user, has_bias=numbers is not None, metric=metric)
        assert np.allclose(scorer.block(USERS, ITEMS, ALL)[row].numpy(), index @ query, atol=1e-6)


def test_variance_and_spread_by_hand():
    scorer = FrozenScorer("dot", torch.tensor([[1.0, 0.0], [2.0, 0.0]]), torch.tensor([[1.0, 0.0], [3.0, 0.0]]), None)
    # Scores 1, 3 and 2, 6: all four have mean 3 and variance 14/4; the rows have variances 1 and 4.
    assert scorer.variance == pytest.approx(3.5)
    assert scorer.spread == pytest.approx(2.5**0.5)


def test_equal_scores_leave_a_positive_scale():
    scorer = FrozenScorer("dot", torch.zeros(2, 2), torch.ones(3, 2), None)
    assert scorer.variance > 0
    assert scorer.spread > 0


def network():
    return SmallNcf(2).eval()


def test_a_network_takes_the_metrics_place():
    module = network()
    scorer = FrozenScorer("dot", USERS, ITEMS, None, module)
    wanted = module(USERS, ITEMS).detach()
    assert torch.equal(scorer.block(USERS, ITEMS, ALL), wanted)
    assert scorer.variance == pytest.approx(float(wanted.var(correction=0)))
    by_hand = [module.mlp(torch.cat([USERS[row], ITEMS[row]])).item() for row in range(2)]
    assert scorer.pairs(USERS, ITEMS[:2], ALL[:2]).tolist() == pytest.approx(by_hand)


def test_a_networks_own_pairs_are_asked():
    module = network()
    module.pairs = lambda users, items: (users * items).sum(1)
    assert FrozenScorer("dot", USERS, ITEMS, None, module).pairs(USERS, ITEMS[:2], ALL[:2]).tolist() == [3.0, 0.0]


def test_the_callers_network_keeps_its_mode_and_its_gradients():
    module = SmallNcf(2).train()
    scorer = FrozenScorer("dot", USERS, ITEMS, None, module)
    assert module.training
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert not any(parameter.requires_grad for parameter in scorer.module.parameters())
    # Dropout is off in the copy: two calls agree.
    assert torch.equal(scorer.block(USERS, ITEMS, ALL), scorer.block(USERS, ITEMS, ALL))


def test_a_networks_fingerprint_names_its_weights():
    prints = {FrozenScorer("dot", USERS, ITEMS, None, SmallNcf(2, seed=seed)).fingerprint() for seed in (5, 5, 6)}
    assert len(prints) == 2
    assert FrozenScorer("dot", USERS, ITEMS, None).fingerprint() == ""


def test_a_network_beside_a_bias_is_refused():
    with pytest.raises(TrainingError) as caught:
        FrozenScorer("dot", USERS, ITEMS, BIAS, network())
    assert str(caught.value) == (
        "item bias: found beside a scorer network, expected none: the network's logits are the scores. "
        "Let the network add its own bias, or train with the metric."
    )


def test_a_network_of_the_wrong_shape_is_refused():
    class Sums(torch.nn.Module):
        def forward(self, users, items):
            return users.sum(1) + items.sum()

    with pytest.raises(TrainingError, match=r"^scorer: found \(2,\), expected finite scores \(2, 3\): a row per user"):
        FrozenScorer("dot", USERS, ITEMS, None, Sums())
