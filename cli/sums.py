"""Sums that hold as they are printed: parts rounded so that their digits add up to the digits of the total."""

from __future__ import annotations

import math
from collections.abc import Sequence

DIGITS = 5
"""Of the largest number of a picture."""


def decimals(numbers: Sequence[float], digits: int = DIGITS) -> int:
    """Places after the point that give the largest of ``numbers`` so many ``digits``; at most 8."""
    largest = max((abs(number) for number in numbers), default=0.0)
    if largest == 0:
        return 2
    return min(8, max(0, digits - 1 - math.floor(math.log10(largest))))


def rounded(total: float, parts: Sequence[float], places: int) -> tuple[int, list[int]]:
    """``total`` and its ``parts`` in units of ``10 ** -places``; the parts add up to the total exactly.

    Each part is off by less than one unit (largest remainder, Hamilton 1792). What the parts lack of the total by more
    than rounding is not hidden in them: it comes as one more part at the end.
    """
    unit = 10**places
    whole = round(total * unit)
    exact = [part * unit for part in parts]
    rest = round(total * unit - sum(exact))
    floors = [math.floor(value) for value in exact]
    missing = whole - rest - sum(floors)
    by_fraction = sorted(range(len(exact)), key=lambda place: (floors[place] - exact[place], place))
    for place in by_fraction[: max(0, missing)]:
        floors[place] += 1
    left = whole - sum(floors)
    return whole, [*floors, left] if left else floors


def told(units: int, places: int, *, sign: bool = False) -> str:
    """Units as a number with so many places."""
    return f"{units / 10**places:{'+' if sign else ''}.{places}f}"
