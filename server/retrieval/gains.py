"""What soft rules add to items' scores. Legend: N items, P posting list, G rules, R rows looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from server.types import FloatArray, IntArray, Ranking

ScoreArray = npt.NDArray[np.floating]


class Shield:
    """What demotions leave of every promotion's gain: the product of ``1 - read-out`` over ``demoted``, each [N].

    Worked out for the rows that are looked at and never for the catalogue; all promotions of a request look at the same
    rows one after the other, so the last answer is kept.
    """

    def __init__(self, demoted: Sequence[FloatArray]) -> None:
        self._demoted = demoted
        self._last: tuple[IntArray, FloatArray] | None = None

    def of(self, rows: IntArray) -> FloatArray:
        """The part that each row keeps, in [0, 1], [R]."""
        if self._last is not None and self._last[0] is rows:
            return self._last[1]
        left = np.ones(len(rows), np.float32)
        for readout in self._demoted:
            left *= 1 - readout.take(rows)
        self._last = rows, left
        return left


@dataclass(frozen=True, slots=True)
class Posting:
    """The items a promotion can touch: rows, read-outs and unsteered scores for the query; each [P], in one order."""

    items: IntArray
    readout: FloatArray
    scores: FloatArray


@dataclass(frozen=True, slots=True)
class Gain:
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
    total = np.zeros(len(rows), np.float64)
    values = np.empty(len(rows), np.float32)
    part = np.empty(len(rows), np.float64)
    for gain in gains:
        gain.readout.take(rows, out=values, mode="clip")  # any other mode works in a copy
        np.multiply(values, gain.dose, out=part, dtype=np.float64)
        if gain.floor > 0:
            part *= values >= np.float32(gain.floor)
        if gain.shield is not None:
            part *= gain.shield.of(rows)
        total += part
    return total


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
