"""The oracle lists, by hand."""

from __future__ import annotations

import numpy as np

from offline.evaluate.doses import Base
from offline.evaluate.oracle import hard_filter, quota

SCORES = np.array([[9, 8, 7, 6, 5, 4, 3, 2]], np.float32)


def mask(*rows: int) -> np.ndarray:
    return np.isin(np.arange(8), rows)


def test_the_filter_keeps_the_best_of_the_others() -> None:
    assert hard_filter(Base.of(SCORES, 4), mask(0, 2)).tolist() == [[1, 3, 4, 5]]


def test_the_filter_is_short_where_nothing_is_left() -> None:
    assert hard_filter(Base.of(SCORES, 4), mask(*range(6))).tolist() == [[6, 7, -1, -1]]


def test_the_quota_changes_no_more_than_needed() -> None:
    # Half of 4 must be members 3, 6, 7: the best two of them beside the best two others, by score.
    assert quota(Base.of(SCORES, 4), mask(3, 6, 7), 0.5).tolist() == [[0, 1, 3, 6]]


def test_a_list_that_has_its_share_stays() -> None:
    assert quota(Base.of(SCORES, 4), mask(0, 1, 2), 0.5).tolist() == [[0, 1, 2, 3]]


def test_too_few_members_are_all_shown() -> None:
    assert quota(Base.of(SCORES, 4), mask(7), 0.5).tolist() == [[0, 1, 2, 7]]
