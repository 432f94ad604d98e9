import numpy as np
import pytest

from offline.datasets.types import Interactions
from offline.recommenders.histories import Histories

pytestmark = pytest.mark.train


@pytest.fixture
def histories():
    # User 0 took 3, 1, 4 in this order; user 2 took 5 twice; user 1 and user 3 nothing.
    user, item = np.array([0, 2, 0, 0, 2], np.int32), np.array([4, 5, 3, 1, 5], np.int32)
    return Histories.of(Interactions(user, item, np.array([9, 0, 1, 2, 1]), np.ones(5, np.float32)), 4)


def test_items_stand_by_user_and_order(histories):
    assert histories.items.tolist() == [3, 1, 4, 5, 5]
    assert histories.lengths().tolist() == [3, 0, 2, 0]
    assert len(histories) == 4


def test_windows_are_padded_on_the_left_and_end_where_asked(histories):
    users, end = np.array([0, 0, 2]), np.array([3, 2, 2])
    assert histories.windows(users, end, 4).tolist() == [[0, 4, 2, 5], [0, 0, 4, 2], [0, 0, 6, 6]]
    assert histories.windows(users, end, 1).tolist() == [[5], [2], [6]]


def test_the_newest_are_as_wide_as_needed(histories):
    assert histories.newest(np.array([2, 1]), 10).tolist() == [[6, 6], [0, 0]]
    assert histories.newest(np.array([0, 2]), 2).tolist() == [[2, 5], [6, 6]]
    assert histories.newest(np.array([1]), 5).tolist() == [[0]]


def test_the_last_user_without_a_history_reads_nothing_out_of_range(histories):
    assert histories.windows(np.array([3]), np.array([0]), 2).tolist() == [[0, 0]]


def test_a_fingerprint_is_of_the_order_too(histories):
    swapped = Histories(histories.indptr, histories.items[[1, 0, 2, 3, 4]])
    assert histories.fingerprint() == Histories(histories.indptr.copy(), histories.items.copy()).fingerprint()
    assert histories.fingerprint() != swapped.fingerprint()
