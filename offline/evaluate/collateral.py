"""What a steered list does besides the rule: other concepts, the catalogue that is shown, variety, popularity.

    off target      mean over the other concepts of the family of |share after - share before|
    coverage        share of the catalogue that is in anybody's list
    diversity       1 - mean cosine of two items of a list, mean over users (Ziegler et al. 2005, intra-list similarity)
    popularity      mean over shown items of the part of interactions that less popular items have, after - before

Legend: U users, N items, K list length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from bundle import Concept
from offline.evaluate.panel import BoolArray, FloatArray, IntArray
from offline.evaluate.window import share_of


@dataclass(frozen=True)
class Collateral:
    """``labels`` [N] of concepts by id; ``vectors`` [N, D] at unit length; ``popularity`` [N] in [0, 1] or None."""

    labels: Mapping[str, BoolArray]
    vectors: FloatArray
    popularity: npt.NDArray[np.float64] | None

    @classmethod
    def of(
        cls, labels: Mapping[str, BoolArray], vectors: FloatArray, taken: npt.NDArray[np.integer] | None
    ) -> Collateral:
        """``taken`` [N]: interactions of each item, None without interactions."""
        norm = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = (vectors / np.where(norm > 0, norm, 1)).astype(np.float32)
        return cls(labels, unit, None if taken is None else _percentile(taken))

    def measure(self, before: IntArray, after: IntArray, concept: Concept) -> dict[str, float | None]:
        """Figures of the lists ``after`` [U, K] beside ``before``, of a rule on ``concept``."""
        prefix = f"{concept.family}:"
        others = [own for name, own in self.labels.items() if name != concept.id and name.startswith(prefix)]
        shifts = [abs(share_of(after, own) - share_of(before, own)) for own in others]
        return {
            "off_target": float(np.mean(shifts)) if shifts else None,
            "coverage": self._coverage(after),
            "coverage_base": self._coverage(before),
            "diversity": self._diversity(after),
            "diversity_base": self._diversity(before),
            "popularity_shift": None
            if self.popularity is None
            else self._mean_popularity(after) - self._mean_popularity(before),
        }

    def _coverage(self, lists: IntArray) -> float:
        return len(np.unique(lists[lists >= 0])) / len(self.vectors)

    def _diversity(self, lists: IntArray) -> float:
        there = lists >= 0
        rows = self.vectors[np.maximum(lists, 0)] * there[:, :, None]
        count = there.sum(1)
        # |sum of unit vectors|^2 is the sum of all cosines, the own ones included.
        pairs = (rows.sum(1) ** 2).sum(1) - (rows**2).sum((1, 2))
        able = count > 1
        return float((1 - pairs[able] / (count * (count - 1))[able]).mean()) if able.any() else 0.0

    def _mean_popularity(self, lists: IntArray) -> float:
        assert self.popularity is not None
        return float(self.popularity[lists[lists >= 0]].mean())


def _percentile(taken: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Part of all interactions that went to less popular items, ties halved, [N]."""
    order = rankdata(taken, method="dense")
    mass = np.bincount(order, weights=taken)
    below = np.cumsum(mass) - mass / 2
    return np.asarray(below[order] / max(1, taken.sum()), np.float64)
