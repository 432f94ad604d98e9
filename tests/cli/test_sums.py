from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cli.sums import decimals, rounded, told

PARTS = st.lists(st.floats(-100, 100), min_size=1, max_size=8)


def test_by_hand() -> None:
    assert rounded(1.0, [1 / 3, 1 / 3, 1 / 3], 2) == (100, [34, 33, 33])
    assert rounded(0.75, [1.004, -0.254], 2) == (75, [100, -25])
    assert rounded(2.5, [1.0, 1.0], 1) == (25, [10, 10, 5])  # what the parts lack is a part of its own
    assert told(-25, 2) == "-0.25"
    assert told(75, 2, sign=True) == "+0.75"
    assert told(7, 0) == "7"


def test_places_follow_the_largest_number() -> None:
    assert [decimals([number]) for number in (0.0, 0.00123, 0.5, 3.2, -31.0, 12345.6, 1e9)] == [2, 7, 5, 4, 3, 0, 0]


@given(PARTS, st.integers(0, 6))
def test_parts_always_add_up_and_are_off_by_less_than_one_unit(parts: list[float], places: int) -> None:
    whole, units = rounded(sum(parts), parts, places)
    assert sum(units) == whole
    assert len(units) == len(parts)
    for unit, part in zip(units, parts, strict=True):
        assert abs(unit - part * 10**places) < 1 + 1e-6


@given(PARTS, st.floats(-50, 50))
def test_a_total_that_is_not_their_sum_adds_up_all_the_same(parts: list[float], off: float) -> None:
    whole, units = rounded(sum(parts) + off, parts, 3)
    assert sum(units) == whole
    assert len(units) <= len(parts) + 1
