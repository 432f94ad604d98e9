"""The unit of a dose, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bundle import dose

# s(r) = 100 - r: s(10) = 90, s(100) = 0, so the gap is 90, its quarter 22.5 and twelve of it 1080.
SCORES = np.arange(99, -101, -1, dtype=np.float64)


def test_the_gap_is_between_the_tenth_and_the_hundredth() -> None:
    assert dose.gap(SCORES) == 90
    assert dose.gap(SCORES[:20]) == 10  # a short list ends at its last: 90 - 80


def test_a_flat_list_still_has_a_gap() -> None:
    assert dose.gap(np.full(200, 5.0)) == pytest.approx(0.005)
    assert dose.gap(np.zeros(3)) == 1e-6


def test_one_unit_up_brings_the_half_kth_member_to_half_k() -> None:
    members = np.array([50.0, 40.0, 30.0, 20.0, 10.0, 0.0])
    # k = 10: s(5) = 95, m(5) = 10, so 85.
    assert dose.promote_unit(SCORES, members, 10) == 85
    # k = 1: the best member to the top: 99 - 50.
    assert dose.promote_unit(SCORES, members, 1) == 49
    # Fewer members than k/2: the last of them counts: s(10) = 90, m(6) = 0.
    assert dose.promote_unit(SCORES, members, 20) == 90


def test_promote_is_clipped_at_both_ends() -> None:
    assert dose.promote_unit(SCORES, np.full(5, 99.0), 10) == 22.5
    assert dose.promote_unit(SCORES, np.full(5, -5000.0), 10) == 1080
    assert dose.promote_unit(SCORES, np.empty(0), 10) == 0


def test_one_unit_down_takes_the_best_member_below_twice_k() -> None:
    # k = 10: m(1) = 97, s(20) = 80, so 17, which the floor of a quarter gap (22.5) lifts; k = 30: s(60) = 40, so 57.
    assert dose.demote_unit(SCORES, 97.0, 10) == 22.5
    assert dose.demote_unit(SCORES, 97.0, 30) == 57
    assert dose.demote_unit(SCORES, None, 10) == 22.5


def test_the_uncalibrated_curves() -> None:
    assert [dose.promote_dose(s, 10.0) for s in (0, 0.25, 0.5, 1)] == [0, 5, 10, 20]
    assert [dose.demote_dose(s, 10.0) for s in (0, 0.25, 0.5, 1)] == [0, 1.25, 5, 20]


def test_depth_covers_every_rank_the_units_read() -> None:
    assert [dose.depth(k) for k in (1, 10, 50, 51, 500)] == [100, 100, 100, 102, 1000]
