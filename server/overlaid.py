"""The same question while some items stand elsewhere: what a rule does that moves items toward an audience.

Whatever scores, the items that moved are scored where they stand now and compete with the others as ever; gains add to
either. Legend: N items, E moved items, D embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from server.asked import Asked, ByDifferences, ScoreArray
from server.bits import BitArray
from server.retrieval import Gain, Posting, total_gain
from server.retrieval.overlay import Overlay
from server.steerable import Steerable
from server.types import FloatArray, IntArray, Ranking


@dataclass(frozen=True, eq=False)
class Push:
    """Items that move: ``rows`` [E] of ``items``, ascending, each by ``deltas`` [E, D] of its embedding.

    ``short``: how many of them do not get where they should.
    """

    rows: IntArray
    deltas: FloatArray
    items: int
    short: int = 0

    def times(self, part: float) -> Push:
        """The same, so far."""
        return replace(self, deltas=self.deltas * np.float32(part))


def together(pushes: Sequence[Push]) -> Push:
    """Several at once: an item that is in more than one moves by their sum."""
    rows = np.unique(np.concatenate([push.rows for push in pushes]))
    deltas = np.zeros((len(rows), pushes[0].deltas.shape[1]), np.float32)
    for push in pushes:
        deltas[np.searchsorted(rows, push.rows)] += push.deltas
    return Push(rows, deltas, pushes[0].items)


class OverlaidAsked(ByDifferences):
    """An Asked whose items in ``push`` stand elsewhere."""

    def __init__(self, inner: Asked, push: Push) -> None:
        self._inner = inner
        self._push = push
        self._overlay = Overlay(push.rows, push.items)

    @cached_property
    def _moved(self) -> ScoreArray:
        """Scores of the items that moved, [E]."""
        return self._inner.elsewhere(self._push.rows, self._push.deltas)

    def search(self, n: int, allowed: BitArray | None) -> Ranking:
        """See Asked."""
        return self._overlay.merged(self._inner.search(n, self._overlay.masked(allowed)), self._moved, allowed, n)

    def best_members(self, steerables: Sequence[Steerable], n: int, allowed: BitArray | None) -> list[FloatArray]:
        """See Asked."""
        found = self._inner.best_members(steerables, n, self._overlay.masked(allowed))
        return [self._with_own(steerable, rest, n, allowed) for steerable, rest in zip(steerables, found, strict=True)]

    def _with_own(self, steerable: Steerable, rest: FloatArray, n: int, allowed: BitArray | None) -> FloatArray:
        core = np.isin(self._push.rows, steerable.posting[: steerable.core])
        own = self._overlay.merged(_NOBODY, np.where(core, self._moved, -np.inf), allowed, n).scores
        return np.sort(np.concatenate([rest, own[np.isfinite(own)]]))[::-1][:n]

    def posting(self, steerable: Steerable) -> Posting | None:
        """See Asked; of items that moved the old scores, because ``steered`` masks them there."""
        return self._inner.posting(steerable)

    def steered(self, k: int, gains: Sequence[Gain], allowed: BitArray | None, base: Ranking | None) -> Ranking:  # noqa: ARG002
        """See Asked."""
        rest = self._inner.steered(k, gains, self._overlay.masked(allowed), None)
        own = self._moved + total_gain(gains, self._push.rows)
        return self._overlay.merged(rest, own, allowed, k)

    def scores(self, rows: IntArray) -> ScoreArray:
        """See Asked."""
        out = self._inner.scores(rows)
        moved, place = self._overlay.places(rows)
        out[moved] = self._moved[place]
        return out

    def elsewhere(self, rows: IntArray, deltas: FloatArray) -> ScoreArray:
        """See Asked."""
        return self._inner.elsewhere(rows, deltas)

    def moved(self, displacements: Sequence[FloatArray]) -> OverlaidAsked:
        """See Asked."""
        return OverlaidAsked(self._inner.moved(displacements), self._push)


_NOBODY = Ranking(np.empty(0, np.int64), np.empty(0, np.float32))


def rises(asked: Asked, pushes: Sequence[Push], rows: IntArray) -> ScoreArray:
    """What each push adds to some items' scores when it joins those before it, [pushes, len(rows)]."""
    out = np.empty((len(pushes), len(rows)), np.float64)
    if pushes:
        before = asked.scores(rows)
    for place in range(len(pushes)):
        after = OverlaidAsked(asked, together(pushes[: place + 1])).scores(rows)
        out[place] = after - before
        before = after
    return out
