"""Nothing that is held out reaches a recommender: another future gives the very same model and the very same lists.

The histories are drawn without any order in time, so a recommender that had seen the test could not hide it.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from offline.datasets.types import Interactions
from offline.recommenders.histories import Histories
from offline.recommenders.ranking import evaluate_ranking
from offline.recommenders.registry import CONFIGS, make_recommender
from offline.recommenders.split import hold_out

pytestmark = pytest.mark.train

USERS, ITEMS, EACH = 80, 60, 20
SHORT = {
    "mf": {"dim": 8, "epochs": 3},
    "ncf": {"dim": 8, "epochs": 2},
    "sasrec": {"dim": 8, "epochs": 3, "max_length": 16, "dropout": 0.0},
}


def history(seed: int) -> np.ndarray:
    """[USERS, EACH] different items of each user, oldest first, without any pattern."""
    rng = np.random.default_rng(seed)
    return np.argsort(rng.random((USERS, ITEMS)), axis=1)[:, :EACH]


def interactions(items: np.ndarray) -> Interactions:
    """Rows in the order of a file that knows nothing of time."""
    user = np.repeat(np.arange(USERS), items.shape[1])
    order = np.tile(np.arange(items.shape[1]), USERS)
    shuffled = np.random.default_rng(9).permutation(len(user))
    return Interactions(
        user[shuffled].astype(np.int32),
        items.ravel()[shuffled].astype(np.int32),
        order[shuffled].astype(np.int64),
        np.ones(len(user), np.float32),
    )


@pytest.mark.parametrize("protocol", ["temporal", "leave_last_out"])
@pytest.mark.parametrize("name", ["mf", "ncf", "sasrec"])
def test_another_future_trains_the_same_recommender(name, protocol):
    held = 4 if protocol == "temporal" else 1
    past = history(0)
    other = past.copy()
    for user, row in enumerate(past):
        left = np.setdiff1d(np.arange(ITEMS), row)
        other[user, EACH - held :] = np.random.default_rng(user).permutation(left)[:held]
    made = []
    for items in (past, other):
        split = hold_out(interactions(items), protocol)
        assert set(zip(split.test.user.tolist(), split.test.item.tolist(), strict=True)) == {
            (user, int(item)) for user in range(USERS) for item in items[user, EACH - held :]
        }
        config = CONFIGS[name].model_validate(SHORT[name])
        made.append(make_recommender(name).fit(split.train, USERS, ITEMS, config, seed=0))
    one, two = (model.embeddings for model in made)
    assert np.array_equal(one.items, two.items)
    assert np.array_equal(one.users, two.users)


def test_a_history_ends_where_the_test_begins():
    past = history(0)
    split = hold_out(interactions(past), "temporal")
    newest = Histories.of(split.train, USERS).newest(np.arange(USERS), EACH)
    assert np.array_equal(newest - 1, past[:, : EACH - 4])


def test_a_model_that_has_seen_the_future_is_told_from_one_that_has_not():
    """The measurement can fail: on histories without a pattern only a leak ranks above chance."""
    everything = interactions(history(0))
    split = hold_out(everything, "temporal")
    config = CONFIGS["sasrec"].model_validate(SHORT["sasrec"] | {"dim": 32, "epochs": 60, "learning_rate": 0.01})
    honest = make_recommender("sasrec").fit(split.train, USERS, ITEMS, config, seed=0)
    leaking = make_recommender("sasrec").fit(everything, USERS, ITEMS, config, seed=0)
    tower = leaking.user_tower(_window(split.train)).numpy()
    chance = 4 / (ITEMS - EACH + 4)
    recall = evaluate_ranking(honest, split.train, split.test, 4)["recall@4"]
    known = evaluate_ranking(
        lambda users: tower[users] @ leaking.embeddings.items.T, split.train, split.test, 4
    )["recall@4"]  # fmt: skip
    assert abs(recall - chance) < 0.05
    assert known > 2 * chance


def _window(train):
    return torch.from_numpy(Histories.of(train, USERS).newest(np.arange(USERS), 16))
