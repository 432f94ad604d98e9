"""A leave-one-out score becomes a membership: a soft step below the threshold t of best F1.

It has a tail that is never flat, so that a large enough dose moves every item:

    p = (1 - e) sigmoid(8 (f - .8 t) / t) + e sigmoid(1.5 (f - .8 t) / t),   e = .1

Legend: N items.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from offline.label.halves import best_threshold
from offline.label.kernel import Array, BoolArray

STEP = STEP_AT, STEEP, TAIL, TAIL_STEEP = 0.8, 8.0, 0.1, 1.5
"""Of the soft step; chosen on users that no reported figure is measured on (docs/decisions/010)."""

SMALLEST = 1e-3
"""Of thresholds: a concept of few members far apart has scores near 0."""


def membership(scores: Array, threshold: float) -> Array:
    """Scores [N] as a number in (0, 1), monotone and never flat."""
    unit = max(threshold, SMALLEST)
    past = (scores - STEP_AT * unit) / unit
    return np.asarray((1 - TAIL) * expit(STEEP * past) + TAIL * expit(TAIL_STEEP * past), np.float64)


def step(scores: Array, members: BoolArray) -> Array:
    """``membership`` at the threshold of best F1 of these scores, [N]."""
    return membership(scores, best_threshold(members, scores))
