import numpy as np
import pytest

from offline.datasets.types import Interactions
from offline.recommenders.popularity import Popularity

pytestmark = pytest.mark.train


def test_the_bias_is_the_log_count_of_users_by_hand():
    user, item = np.array([0, 1, 2, 0, 0], np.int32), np.array([2, 2, 2, 0, 0], np.int32)
    made = Popularity().fit(Interactions(user, item, np.arange(5), np.ones(5, np.float32)), 3, 3).embeddings
    # Item 2 has three users; item 0 has one, who came twice; item 1 has none.
    assert made.item_bias.tolist() == pytest.approx([np.log(2), 0.0, np.log(4)])
    assert not made.users.any()
    assert not made.items.any()
