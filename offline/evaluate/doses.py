"""The units that doses are measured in, for every user of the panel: bundle.dose, called as the server calls it.

Legend: U users, N items, K list length, R ranks kept (bundle.dose.depth(K)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bundle import dose
from offline.evaluate.panel import FloatArray, IntArray, best_lists


@dataclass(frozen=True)
class Base:
    """The panel before steering.

    ``scores`` [U, N] (seen: -inf); the best ``items`` [U, R] (-1: none) with their ``values``.
    """

    scores: FloatArray
    items: IntArray
    values: FloatArray
    k: int

    @classmethod
    def of(cls, scores: FloatArray, k: int) -> Base:
        """Rank every user's items once, as deep as the units need."""
        items = best_lists(scores, max(k, dose.depth(k)))
        return cls(scores, items, np.take_along_axis(scores, np.maximum(items, 0), 1), k)

    @property
    def lists(self) -> IntArray:
        """The unsteered lists, [U, K]."""
        return self.items[:, : self.k]

    def _best(self, user: int) -> FloatArray:
        best: FloatArray = self.values[user][self.items[user] >= 0]
        return best

    def demote_units(self, gain: FloatArray) -> FloatArray:
        """Dose of demote 1 by the read-out ``gain`` [N], [U]."""
        inside = (gain[np.maximum(self.items, 0)] >= dose.MEMBER_READOUT) & (self.items >= 0)
        first = np.where(inside.any(1), inside.argmax(1), -1)
        return np.array(
            [
                dose.demote_unit(self._best(user), float(self.values[user, at]) if at >= 0 else None, self.k)
                for user, at in enumerate(first)
            ],
            np.float32,
        )

    def promote_units(self, gain: FloatArray) -> FloatArray:
        """Dose of promote 1 by the read-out ``gain`` [N], [U]."""
        members = np.flatnonzero(gain >= dose.MEMBER_READOUT)
        half = min(max(1, self.k // 2), len(members))
        scores = self.scores[:, members]
        if half:
            best = np.partition(scores, len(members) - half, axis=1)[:, len(members) - half :]
            scores = np.sort(best, axis=1)[:, ::-1]
        return np.array(
            [dose.promote_unit(self._best(user), row[np.isfinite(row)], self.k) for user, row in enumerate(scores)],
            np.float32,
        )
