import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline.datasets.types import Interactions
from offline.recommenders.split import leave_random, temporal

pytestmark = pytest.mark.train


def of(user, order):
    count = len(user)
    return Interactions(
        np.array(user, np.int32),
        np.arange(count, dtype=np.int32),
        np.array(order, np.int64),
        np.ones(count, np.float32),
    )


def test_the_last_fifth_of_each_user_by_order():
    # User 0 has five interactions: the latest, order 9, is the test. User 1 has four: none.
    split = temporal(of([0, 1, 0, 0, 1, 0, 0, 1, 1], [5, 1, 9, 2, 4, 3, 8, 2, 3]))
    assert split.test_rows.tolist() == [2]
    assert split.test.item.tolist() == [2]
    assert split.train_rows.tolist() == [0, 1, 3, 4, 5, 6, 7, 8]


def test_ties_in_order_keep_the_order_of_the_rows():
    assert temporal(of([0] * 5, [7] * 5)).test_rows.tolist() == [4]


@pytest.mark.parametrize(("count", "held"), [(1, 0), (4, 0), (5, 1), (9, 1), (10, 2), (15, 3), (100, 20)])
def test_the_share_is_rounded_down(count, held):
    assert len(temporal(of([0] * count, range(count))).test) == held


def test_leave_random_takes_count_of_each_user_and_leaves_one():
    split = leave_random(of([0] * 8 + [1] * 3 + [2], range(12)), 5, seed=1)
    assert np.bincount(split.test.user, minlength=3).tolist() == [5, 2, 0]
    assert np.bincount(split.train.user, minlength=3).tolist() == [3, 1, 1]


def test_leave_random_is_seeded():
    data = of([0] * 50, range(50))
    assert leave_random(data, 5, seed=1).test_rows.tolist() == leave_random(data, 5, seed=1).test_rows.tolist()
    assert leave_random(data, 5, seed=1).test_rows.tolist() != leave_random(data, 5, seed=2).test_rows.tolist()


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(0, 5), st.integers(-9, 9)), min_size=1, max_size=60))
def test_nothing_of_the_train_is_later_than_the_test(rows):
    data = of([user for user, _ in rows], [order for _, order in rows])
    split = temporal(data)
    assert sorted([*split.train_rows, *split.test_rows]) == list(range(len(rows)))
    for user in set(split.test.user.tolist()):
        assert split.train.order[split.train.user == user].max() <= split.test.order[split.test.user == user].min()


def test_refusals():
    with pytest.raises(ValueError, match="share 1 is not between 0 and 1"):
        temporal(of([0], [0]), 1)
    with pytest.raises(ValueError, match="count 0 is below 1"):
        leave_random(of([0], [0]), 0, seed=0)
