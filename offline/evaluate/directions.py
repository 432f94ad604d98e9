"""Directions in embedding space that need no SAE: what a query can be moved along instead. The frontier's controls.

A move ``m`` [D] raises the score of item v for a user by about ``slope_v``, the mean over users of the derivative; its
*effect* is the rise of a member over that of an average item, so that a dose means the same for every direction:

    slope   = s_v . m                                                   inner products (s_v: the item's search vector)
            = E_u [(f(x_u + h m, v) - f(x_u - h m, v)) / 2h]            a network; h |m| is a tenth of the users' norm
    effect  = mean_{v in members} slope_v - mean_v slope_v

Linear probes are ridge regressions of a centred target on centred vectors, ``w = (X'X + l n I)^-1 X'y``: on items the
label, on users the concept's share of what they took (Alain and Bengio 2016, arXiv 1610.01644; ridge for logistic as in
least-squares classifiers, because only the direction is used). Legend: N items, U users, D embedding.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from offline.evaluate.panel import BoolArray, FloatArray
from offline.evaluate.subject import Subject

RIDGE = 0.01
"""Penalty, in units of the mean squared length of a centred vector."""

STEP = 0.1
"""Of the users' median norm: a step that a network's slope is taken over."""

SLOPE_USERS = 32
"""Users that a network's slope is averaged over."""


def effect(subject: Subject, move: FloatArray, members: BoolArray, users: FloatArray) -> float:
    """Score units by which one unit of ``move`` [D] raises a member over an average item; ``users`` [U, D]."""
    if not members.any():
        return 0.0
    if not subject.is_network:
        slope = subject.item_vectors @ move
    else:
        length = float(np.linalg.norm(move))
        some = users[:SLOPE_USERS]
        if not length or not len(some):
            return 0.0
        step = np.float32(STEP * float(np.median(np.linalg.norm(some, axis=1))) / length)
        slope = (subject.scores(some + step * move) - subject.scores(some - step * move)).mean(0) / (2 * step)
    return float(slope[members].mean() - slope.mean())


def ridge(vectors: npt.NDArray[np.floating], target: npt.NDArray[np.floating]) -> FloatArray:
    """Weights [D] of the ridge regression of ``target`` [N] on ``vectors`` [N, D], both centred."""
    x = vectors.astype(np.float64) - vectors.mean(0)
    y = target.astype(np.float64) - target.mean()
    gram = x.T @ x
    gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram) / len(gram) + 1e-12
    return np.asarray(np.linalg.solve(gram, x.T @ y), np.float32)


def taste(taken: npt.NDArray[np.floating] | BoolArray, members: BoolArray) -> npt.NDArray[np.float64]:
    """Share of ``members`` [N] among what each user took, bool [U, N]; 0 for who took nothing, [U]."""
    counts = taken.sum(1)
    return np.asarray((taken @ members.astype(np.float32)) / np.maximum(counts, 1), np.float64)


def centroid(vectors: FloatArray, members: BoolArray) -> FloatArray:
    """Mean member minus mean item, [D]."""
    return np.asarray(vectors[members].mean(0) - vectors.mean(0), np.float32)


def best_dimension(vectors: FloatArray, members: BoolArray) -> tuple[int, float]:
    """The raw dimension whose values tell members best (largest AUC either way), and the sign that members have."""
    inside = int(members.sum())
    outside = len(members) - inside
    ranks = rankdata(vectors, axis=0)[members].sum(0) - inside * (inside + 1) / 2
    auc = ranks / max(1, inside * outside)
    place = int(np.argmax(np.abs(auc - 0.5)))
    return place, 1.0 if auc[place] >= 0.5 else -1.0
