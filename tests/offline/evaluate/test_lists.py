"""Similarity of ranked lists, against numbers worked out by hand and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from offline.evaluate.lists import kendall_tau, overlap, rank_biased_overlap

lists = st.integers(1, 12).flatmap(
    lambda k: st.tuples(*[st.permutations(range(20)).map(lambda order: order[:k]) for _ in range(2)])
)


def rows(*values: list[int]) -> np.ndarray:
    return np.array(values, np.intp)


def test_overlap_counts_shared_items_and_never_a_filled_place() -> None:
    assert overlap(rows([1, 2, 3, -1]), rows([3, 9, 1, -1])).tolist() == [0.5]


def test_identical_lists_of_thirty() -> None:
    same = rows(list(range(30)))
    assert rank_biased_overlap(same, same)[0] == pytest.approx(1 - 0.9**30)
    assert rank_biased_overlap(same, same)[0] == pytest.approx(0.958, abs=5e-4)
    assert rank_biased_overlap(same, same, extrapolated=True)[0] == pytest.approx(1, abs=1e-12)


def test_rbo_of_three_by_hand() -> None:
    # Overlap of the first 1, 2, 3 places of abc and bad: 0, 2, 2, so A = 0, 1, 2/3.
    # p = .5: .5 (0 + .5 * 1 + .25 * 2/3) = 1/3; extrapolated: + .125 * 2/3 = 5/12.
    a, b = rows([0, 1, 2]), rows([1, 0, 3])
    assert rank_biased_overlap(a, b, 0.5)[0] == pytest.approx(1 / 3)
    assert rank_biased_overlap(a, b, 0.5, extrapolated=True)[0] == pytest.approx(5 / 12)


def test_disjoint_lists_have_no_overlap() -> None:
    a, b = rows([0, 1, 2]), rows([3, 4, 5])
    assert rank_biased_overlap(a, b)[0] == rank_biased_overlap(a, b, extrapolated=True)[0] == 0


@given(lists)
def test_rbo_equals_the_sum_that_defines_it(pair: tuple[list[int], list[int]]) -> None:
    a, b = pair
    agreement = [len(set(a[:d]) & set(b[:d])) / d for d in range(1, len(a) + 1)]
    truncated = 0.1 * sum(0.9**d * share for d, share in enumerate(agreement))
    assert rank_biased_overlap(rows(a), rows(b))[0] == pytest.approx(truncated)
    full = truncated + 0.9 ** len(a) * agreement[-1]
    assert rank_biased_overlap(rows(a), rows(b), extrapolated=True)[0] == pytest.approx(full)


def test_tau_of_two_by_hand() -> None:
    # Union 0, 1, 2; ranks in ab: 1, 2, 3; in ac: 1, 3, 2. Pairs: 01 and 02 agree, 12 does not: (2 - 1) / 3.
    assert kendall_tau(rows([0, 1]), rows([0, 2]))[0] == pytest.approx(1 / 3)


def test_tau_counts_missing_items_as_ties() -> None:
    # Union 0..3; ranks 1, 2, 3, 3 and 3, 3, 1, 2. Pairs: 01: tied in the second; 23: tied in the first;
    # 02, 03, 12, 13 disagree: -4 / sqrt(5 * 5).
    assert kendall_tau(rows([0, 1]), rows([2, 3]))[0] == pytest.approx(-0.8)


@given(lists)
def test_tau_equals_scipys_on_ranks_with_missing_last(pair: tuple[list[int], list[int]]) -> None:
    a, b = pair
    union = sorted({*a, *b})
    ranks = [[items.index(i) + 1 if i in items else len(items) + 1 for i in union] for items in (a, b)]
    wanted = 1.0 if a == b else kendalltau(*ranks).statistic
    assert kendall_tau(rows(a), rows(b))[0] == pytest.approx(wanted)
