"""Numbers to intervals that a person would name: decades, shares of a mass, thirds. Legend: N items.

Which rule a column gets (docs/concepts.md says it in words):

1. at most ``FEW`` different values: each value is its own interval (``stars:4``);
2. the name has ``year`` in it and every value is a whole number in 1800..2100: decades (``year:1980s``);
3. no value is negative and the largest tenth of the items holds at least ``HEAVY`` of the sum: bands of the mass,
   from the largest down: ``head`` (items that together hold 50 %), ``torso`` (the next 30 %), ``tail`` (the rest);
4. otherwise thirds by quantile: ``low``, ``mid``, ``high``.

Equal values always share a band; items without a value are in none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

FEW = 5
HEAVY = 0.3
HEAD_MASS, TORSO_MASS = 0.5, 0.8
FIRST_YEAR, LAST_YEAR = 1800, 2100


class Interval(NamedTuple):
    """``slug`` goes into the concept id, ``display`` says the bounds, ``members`` bool [N]."""

    slug: str
    display: str
    members: BoolArray


def intervals(name: str, values: Values) -> list[Interval]:
    """Intervals of a numeric column; ``values`` [N] with NaN where there is none. Constant or empty: no interval."""
    known = values[np.isfinite(values)]
    different = np.unique(known)
    if len(different) < 2:
        return []
    if len(different) <= FEW:
        return [Interval(_plain(value), _plain(value), values == value) for value in different]
    if _is_year(name, known):
        return _decades(values)
    if known.min() >= 0 and known.sum() > 0 and _top_tenth(known) >= HEAVY:
        return _mass_bands(values, known)
    return _thirds(values, known)


def _is_year(name: str, known: Values) -> bool:
    in_range = known.min() >= FIRST_YEAR and known.max() <= LAST_YEAR
    return "year" in name.lower() and bool(in_range) and bool((known == np.round(known)).all())


def _decades(values: Values) -> list[Interval]:
    decade = np.floor(values / 10) * 10
    found = np.unique(decade[np.isfinite(decade)]).astype(int)
    return [Interval(f"{start}s", f"{start}s", decade == start) for start in found]


def _top_tenth(known: Values) -> float:
    largest = np.sort(known)[::-1][: -(-len(known) // 10)]
    return float(largest.sum() / known.sum())


def _mass_bands(values: Values, known: Values) -> list[Interval]:
    descending = np.sort(known)[::-1]
    mass = np.cumsum(descending) / descending.sum()
    head = descending[np.searchsorted(mass, HEAD_MASS)]
    torso = descending[np.searchsorted(mass, TORSO_MASS)]
    bands = [
        Interval("head", f"head (at least {_plain(head)})", values >= head),
        Interval("torso", f"torso ({_plain(torso)} to below {_plain(head)})", (values >= torso) & (values < head)),
        Interval("tail", f"tail (below {_plain(torso)})", values < torso),
    ]
    return [band for band in bands if band.members.any()]


def _thirds(values: Values, known: Values) -> list[Interval]:
    low, high = np.quantile(known, [1 / 3, 2 / 3], method="higher")
    bands = [
        Interval("low", f"low (below {_plain(low)})", values < low),
        Interval("mid", f"mid ({_plain(low)} to below {_plain(high)})", (values >= low) & (values < high)),
        Interval("high", f"high (at least {_plain(high)})", values >= high),
    ]
    return [band for band in bands if band.members.any()]


def _plain(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"
