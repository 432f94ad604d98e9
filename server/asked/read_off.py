"""Every item scored once, and whatever is asked read off the scores. Legend: N items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from server import bits
from server.bits import BitArray
from server.retrieval import Gain, Scored
from server.steerable import Steerable
from server.types import FloatArray, Ranking


class ReadOff(ABC):
    """Every item is scored once, and whatever is asked is read off the scores."""

    @property
    @abstractmethod
    def scored(self) -> Scored:
        """The scores, made when they are first asked for."""

    def search(self, n: int, allowed: BitArray | None) -> Ranking:
        """See Asked."""
        return self.scored.search(n, allowed)

    def best_members(self, steerables: Sequence[Steerable], n: int, allowed: BitArray | None) -> list[FloatArray]:
        """See Asked."""
        found: dict[int, FloatArray] = {}
        left = list(range(len(steerables)))
        for deep in (False, True):
            # Of few members it takes less to look at them all.
            if deep and sum(len(steerables[place].members_by_readout) for place in left) <= self.scored.deep_looks:
                break
            looked = self.scored.best_of_each([steerables[place].gain for place in left], n, allowed, deep=deep)
            found.update((place, scores) for place, scores in zip(left, looked, strict=True) if scores is not None)
            left = [place for place in left if place not in found]
        found.update((place, self._best_of_all(steerables[place], n, allowed)) for place in left)
        return [found[place] for place in range(len(steerables))]

    def _best_of_all(self, steerable: Steerable, n: int, allowed: BitArray | None) -> FloatArray:
        rows = steerable.members_by_readout
        return best_of_scores(self.scored.values[rows if allowed is None else rows[bits.has_each(allowed, rows)]], n)

    def posting(self, steerable: Steerable) -> None:  # noqa: B027 - what is read off needs no list
        """See Asked."""

    def steered(self, k: int, gains: Sequence[Gain], allowed: BitArray | None, base: Ranking | None) -> Ranking:  # noqa: ARG002
        """See Asked."""
        return self.scored.steered(k, gains, allowed)


def best_of_scores(scores: FloatArray, n: int) -> FloatArray:
    """The best ``n``, descending."""
    if len(scores) > n:
        scores = np.partition(scores, len(scores) - n)[-n:]
    return np.sort(scores)[::-1]
