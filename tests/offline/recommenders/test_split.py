from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.errors import DataError
from offline.datasets.types import Interactions
from offline.recommenders.split import SENTENCES, Protocol, hold_out, leave_last_out, leave_random, paper, temporal

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


def test_the_last_interaction_of_each_user():
    split = leave_last_out(of([0, 1, 0, 2, 0, 1], [5, 1, 9, 0, 2, 4]))
    # User 2 has one interaction, which stays.
    assert split.test_rows.tolist() == [2, 5]
    assert split.train_rows.tolist() == [0, 1, 3, 4]


def test_the_paper_s_protocol_binarises_before_it_draws():
    # User 0 took item 0 three times: one pair, its earliest row stays; the weights are gone.
    user, item = np.array([0, 0, 0, 0, 0], np.int32), np.array([0, 1, 0, 2, 0], np.int32)
    data = Interactions(user, item, np.array([4, 3, 2, 1, 0]), np.array([5, 4, 3, 2, 1], np.float32))
    split = paper(data, 2, seed=0)
    assert sorted([*split.train_rows, *split.test_rows]) == [1, 3, 4]
    assert len(split.test) == 2
    assert set(split.train.weight) | set(split.test.weight) == {1.0}
    for part, rows in ((split.train, split.train_rows), (split.test, split.test_rows)):
        assert part.item.tolist() == item[rows].tolist()


def test_the_paper_s_protocol_holds_out_five_and_is_seeded():
    data = of([0] * 50 + [1] * 3, range(53))
    first, again, other = (paper(data, seed=seed).test_rows.tolist() for seed in (1, 1, 2))
    assert first == again != other
    assert np.bincount(paper(data, seed=1).test.user).tolist() == [5, 2]


@pytest.mark.parametrize("protocol", get_args(Protocol))
def test_a_protocol_by_name_is_the_function_of_that_name(protocol):
    data = of([0] * 20, range(20))
    made = hold_out(data, protocol, seed=3)
    expected = {"temporal": temporal(data), "paper": paper(data, seed=3), "leave_last_out": leave_last_out(data)}
    assert made.test_rows.tolist() == expected[protocol].test_rows.tolist()
    assert SENTENCES[protocol].startswith(protocol)


def test_an_unknown_protocol_is_refused():
    with pytest.raises(DataError) as caught:
        hold_out(of([0], [0]), "random")
    assert str(caught.value) == "protocol: found 'random', expected one of temporal, paper, leave_last_out."
