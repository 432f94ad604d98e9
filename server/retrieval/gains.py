"""What soft rules add to items' scores. Legend: N items, P posting list, G rules, R rows looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from server.columns import FEW, Columns, Look
from server.types import FloatArray, IntArray, Ranking

ScoreArray = npt.NDArray[np.floating]

SLICE = 8192
"""Rows that rules are added up for at once, so that a large catalogue's do not fill the memory."""


class Shield:
    """What demotions leave of every promotion's gain: the product of ``1 - read-out`` over ``demoted``, each [N].

    Worked out for the rows that are looked at and never for the catalogue; the last answer is kept, for those who ask
    for the same rows promotion by promotion.
    """

    def __init__(self, demoted: Sequence[FloatArray]) -> None:
        self.demoted = demoted
        self._last: tuple[IntArray, FloatArray] | None = None

    def of(self, rows: IntArray) -> FloatArray:
        """The part that each row keeps, in [0, 1], [R]."""
        if self._last is None or self._last[0] is not rows:
            self._last = rows, self.among(Look(rows))
        return self._last[1]

    def among(self, look: Look) -> FloatArray:
        """The same for rows at which other rules look, too."""
        left = look.at(self.demoted)
        np.subtract(1, left, out=left)
        kept: FloatArray = np.multiply.reduce(left, axis=0)
        return kept


@dataclass(frozen=True, slots=True)
class Posting:
    """The items a promotion can touch: rows, read-outs and unsteered scores for the query; each [P], in one order."""

    items: IntArray
    readout: FloatArray
    scores: FloatArray


class Gain(NamedTuple):
    """One soft rule on the item channel: ``dose * readout[v]`` is added to the score of item v.

    ``dose`` is negative for a demotion. ``readout`` [N], in [0, 1]; below ``floor`` it adds nothing. ``shield``: the
    part of it that each item gets (None: all of it). ``posting``: of a promotion, where posting lists are merged; it
    has the shield in its read-outs already.
    """

    dose: float
    readout: FloatArray
    posting: Posting | None = None
    floor: float = 0.0
    shield: Shield | None = None


def total_gain(gains: Sequence[Gain], rows: IntArray) -> ScoreArray:
    """What all rules add to each item's score, [R]; an item's bits do not depend on the others."""
    return Mix(gains).total(rows)


class Mix:
    """Rules that are added up for some rows, and for some more; ``columns``: of the catalogue, where it has them."""

    def __init__(self, gains: Sequence[Gain], columns: Columns | None = None) -> None:
        self._gains = gains
        self._columns = columns

    def total(self, rows: IntArray) -> ScoreArray:
        """What they add to each item's score, [R]; an item's bits do not depend on the others."""
        total = np.zeros(len(rows), np.float64)
        # A single row would be summed in another order.
        if len(self._gains) <= FEW or len(rows) == 1:
            for gain in self._gains:
                total += _added(gain, rows)
            return total
        for first in range(0, len(rows), SLICE):
            part = total[first : first + SLICE]
            part[:] = self._summed(rows[max(0, min(first, len(rows) - 2)) : first + SLICE])[-len(part) :]
        return total

    def _summed(self, rows: IntArray) -> ScoreArray:
        look = Look(rows, self._columns)
        readouts, doses, floored, floors, shielded = self._arrays
        found = look.at(readouts)
        reached = found[floored]
        reached *= reached >= floors
        found[floored] = reached
        values = found.astype(np.float64)
        for shield, span in shielded:
            values[span] *= shield.among(look)
        return np.asarray(np.einsum("gr,g->r", values, doses))

    @cached_property
    def _arrays(self) -> _Arrays:
        gains = self._gains
        shields = {id(gain.shield): gain.shield for gain in gains if gain.shield is not None}
        floored = [place for place, gain in enumerate(gains) if gain.floor > 0]
        return (
            [gain.readout for gain in gains],
            np.array([gain.dose for gain in gains]),
            _span(floored),
            np.array([gains[place].floor for place in floored], np.float32)[:, None],
            [
                (shield, _span([place for place, gain in enumerate(gains) if gain.shield is shield]))
                for shield in shields.values()
            ],
        )


_Span = slice | list[int]
_Arrays = tuple[list[FloatArray], ScoreArray, _Span, FloatArray, list[tuple[Shield, _Span]]]


def _added(gain: Gain, rows: IntArray) -> ScoreArray:
    """What one rule adds, [R]; the bits are those of many at once."""
    values = gain.readout.take(rows, mode="clip")
    if gain.floor > 0:
        values *= values >= np.float32(gain.floor)
    if gain.shield is None:
        return np.multiply(values, gain.dose, dtype=np.float64)
    return np.multiply(values, gain.shield.of(rows), dtype=np.float64) * gain.dose


def _span(places: list[int]) -> _Span:
    """The places, as a slice where they follow each other: that makes a view and no copy."""
    if places and places[-1] - places[0] == len(places) - 1:
        return slice(places[0], places[-1] + 1)
    return places


def best_of(items: IntArray, scores: ScoreArray, k: int) -> Ranking:
    """The k best, by score, ties to the lower row."""
    if len(items) > 4 * k:
        lowest = np.partition(scores, len(scores) - k)[len(scores) - k]
        # Everything tied with the k-th stays in, so that the tie rule decides and not the partition.
        keep = np.flatnonzero(scores >= lowest)
        items, scores = items[keep], scores[keep]
    order = np.lexsort((items, -scores))[:k]
    return Ranking(items[order], scores[order].astype(np.float32))


def places_of_best(scores: ScoreArray, k: int) -> IntArray:
    """Places of the ``k`` best, best first, ties to the earlier place."""
    return best_of(np.arange(len(scores)), scores, k).items
