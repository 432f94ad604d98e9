"""Read-outs in which no item is scored by a model that has seen it, for the comparison of ways to steer.

offline.label fits them while it measures a concept and offline.evaluate steers with them; the two do not import each
other and meet here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bundle import Concept, SparseCodes
from offline.evaluate.panel import BoolArray, FloatArray
from offline.evaluate.subject import HeldOutScores
from offline.label.config import KINDS, LabelConfig, ReadoutKind
from offline.label.halves import cross_fit, stratified_halves
from offline.label.readouts import Features


def held_out_scores(
    codes: SparseCodes, vectors: FloatArray, config: LabelConfig, kinds: Sequence[ReadoutKind] = KINDS
) -> HeldOutScores:
    """Two-fold read-outs of item ``codes`` [N, L] and ``vectors`` [N, D].

    The halves are those that the concepts' own quality was measured on.
    """
    features = Features.of(codes, vectors)

    def scores(concept: Concept, members: BoolArray) -> Mapping[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
        rng = np.random.default_rng([config.seed, *concept.id.encode()])
        halves = stratified_halves(members, np.arange(len(members)), rng)
        return {kind: cross_fit(kind, features, members, halves, config).scores for kind in kinds}

    return scores
