"""What a dose of 1 means: the user's own *concept gap*, in score units (part of the contract: both sides compute it).

Raw doses, norms and score deviations mean something else for every user; a gap in the user's own score list does not
(docs/decisions/005). With ``s(r)`` the user's r-th best score, ``m(r)`` the r-th best among the concept's members,
``k`` the list length and ``gap = s(10) - s(100)``:

    up   = clip(s(k/2) - m(k/2), 0.25 gap, 12 gap)      one unit up: the (k/2)-th best member reaches rank k/2
    down = clip(m(1) - s(2k),    0.25 gap, 12 gap)      one unit down: the best member falls below rank 2k

Ranks are 1-based and stop at the end of the list. The dose of a rule is ``curve(strength) x unit``. Until a bundle is
calibrated the curve is the same for every concept, ``2 s`` up and ``2 s^2`` down, chosen on ML-1M so that strength 0.5
is about half: half of the list promoted, half of the exposure left demoted (docs/decisions/005 has the table).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MEMBER_READOUT = 0.5
"""Items whose read-out is at least this count as members when a unit is computed."""

LOWER, UPPER = 0.25, 12.0

STEEPEST = 2.0
"""Units at strength 1 until a bundle is calibrated."""

ScoreArray = npt.NDArray[np.floating]


def depth(k: int) -> int:
    """How many of the best base scores the units need."""
    return max(2 * k, 100)


def promote_dose(strength: float, unit: float) -> float:
    """Score units added to a full member (read-out 1) by a promotion of the given strength in [0, 1]."""
    return STEEPEST * strength * unit


def demote_dose(strength: float, unit: float) -> float:
    """Score units taken from a full member by a demotion of the given strength in [0, 1]; positive."""
    return STEEPEST * strength * strength * unit


def _at(scores: ScoreArray, rank: int) -> float:
    return float(scores[min(rank, len(scores)) - 1])


def _between(value: float, lower: float, upper: float) -> float:
    return min(max(value, lower), upper)  # numpy's clip takes ten times as long for one number


def gap(best: ScoreArray) -> float:
    """``s(10) - s(100)`` of descending scores; never below a tiny share of their size, so that a unit is never 0."""
    last = _at(best, 100)
    return max(_at(best, 10) - last, 1e-3 * max(abs(float(best[0])), abs(last)), 1e-6)


class Units:
    """What one unit is worth to a user, for any number of rules. ``best``: the user's scores, descending; not empty."""

    def __init__(self, best: ScoreArray, k: int) -> None:
        self._half = max(1, k // 2)
        self._at_half = _at(best, self._half)
        self._below = _at(best, 2 * k)
        self.gap = gap(best)
        self._least, self._most = LOWER * self.gap, UPPER * self.gap

    def up(self, members_best: ScoreArray) -> float:
        """One unit up; ``members_best``: the members' scores, descending, k/2 of them where there are so many."""
        if not len(members_best):
            return 0.0
        return _between(self._at_half - _at(members_best, self._half), self._least, self._most)

    def down(self, best_member: float | None) -> float:
        """One unit down; ``best_member``: ``m(1)``, None when no member is among the best (the unit is its floor)."""
        if best_member is None:
            return self._least
        return _between(best_member - self._below, self._least, self._most)


def promote_unit(best: ScoreArray, members_best: ScoreArray, k: int) -> float:
    """One unit up. ``best``: the user's scores, descending; ``members_best``: the members', descending."""
    return Units(best, k).up(members_best)


def demote_unit(best: ScoreArray, best_member: float | None, k: int) -> float:
    """One unit down. ``best_member``: ``m(1)``, or None when no member is among ``best`` (the unit is its floor)."""
    return Units(best, k).down(best_member)
