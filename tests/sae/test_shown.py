import numpy as np
import pytest
import torch

from sae.config import SaeConfig
from sae.rows import TrainingRows
from sae.sampling import Sampler
from sae.scorer import FrozenScorer
from sae.shown import Hidden, shown_weights

pytestmark = pytest.mark.train

# Scores: user 0 likes items 0, 1, 2, 3 in this order, user 1 the other way round.
USERS = np.array([[1, 0], [-1, 0]], np.float32)
ITEMS = np.array([[4, 1], [3, 2], [2, -1], [1, 5]], np.float32)
PAIRS = (np.array([0, 1, 0]), np.array([0, 3, 2]))
STAGE = {"steps": 1, "learning_rate": 0.1, "k_users": 1, "k_items": 1}


def parts():
    config = SaeConfig(latents=4, towers="shared", stage1=STAGE)
    data = TrainingRows.of(
        ITEMS, USERS, item_bias=None, metric="dot", pairs=PAIRS, config=config, device=torch.device("cpu")
    )
    return data, FrozenScorer("dot", data.raw_users, data.raw_items, None)


def test_the_mask_names_observed_pairs_of_the_block():
    hidden = Hidden(PAIRS, 3, 4, torch.device("cpu"))
    # User 0 has had 0 and 2, user 1 has had 3, user 2 nothing.
    mask = hidden.mask(torch.tensor([1, 0, 2]), torch.tensor([2, 3]))
    assert mask.tolist() == [[False, True], [True, False], [False, False]]


def test_shown_is_the_share_of_top_lists():
    data, scorer = parts()
    assert shown_weights(data, scorer, 2, None).tolist() == [0.5, 0.5, 0.5, 0.5]
    # Without what they have had: user 0 sees 1 and 3, user 1 sees 2 and 1.
    hidden = Hidden(PAIRS, 2, 4, torch.device("cpu"))
    assert shown_weights(data, scorer, 2, hidden).tolist() == [0.0, 1.0, 0.5, 0.5]


def test_chunks_change_nothing(monkeypatch):
    data, scorer = parts()
    whole = shown_weights(data, scorer, 1, None)
    monkeypatch.setattr("sae.shown.CHUNK", 1)
    assert shown_weights(data, scorer, 1, None).tolist() == whole.tolist() == [0.5, 0.0, 0.0, 0.5]


def test_half_of_the_items_are_drawn_by_weight():
    weights = np.zeros(100)
    weights[:10] = [8, 8, 8, 8, 8, 1, 1, 1, 1, 1]
    sampler = Sampler(5, 100, 4, 12, pairs=None, kind="shown", seed=3, shown=weights)
    count = np.zeros(100)
    for step in range(300):
        items = sampler.draw(1, step).items
        assert len(set(items.tolist())) == 12
        assert sum(item < 10 for item in items) >= 6
        count[items] += 1
    assert count[:5].min() > count[5:10].max()
    # The other half is uniform over what was not drawn by weight: about 6 of 94 each.
    assert count[10:].mean() == pytest.approx(300 * 6 / 94, rel=0.1)
    assert np.array_equal(sampler.draw(1, 7).items, sampler.draw(1, 7).items)


def test_fewer_shown_items_than_half_are_filled_up():
    weights = np.zeros(20)
    weights[4] = 1.0
    items = Sampler(5, 20, 4, 12, pairs=None, kind="shown", seed=0, shown=weights).draw(1, 0).items
    assert 4 in items
    assert len(set(items.tolist())) == 12
