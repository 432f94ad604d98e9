"""Fit on one half, score on the other: no item is scored by a model, or at a threshold, that has seen it.

AUC and average precision are the means over the two halves (scores of two models are not on one scale). The threshold
of a half is the one of best F1 on *out-of-fold* scores inside the fitting half: it is chosen from two inner fits and
never sees the scored half. Legend: N items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from offline.label.config import LabelConfig, ReadoutKind
from offline.label.readouts import BoolArray, Features, Rows, Weights, fit


@dataclass(frozen=True)
class HeldOut:
    """``scores`` [N]: every item by the model of the half it is not in. ``converged``: both fits."""

    scores: Weights
    auc: float
    average_precision: float
    converged: bool


def stratified_halves(members: BoolArray, rows: Rows, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Two random halves of ``rows``, members and others halved separately; of an odd count the first gets one more."""
    order = rng.permutation(rows)
    inside, outside = order[members[order]], order[~members[order]]
    first = np.concatenate([inside[: -(-len(inside) // 2)], outside[: len(outside) // 2]])
    second = np.concatenate([inside[-(-len(inside) // 2) :], outside[len(outside) // 2 :]])
    return np.sort(first), np.sort(second)


def cross_fit(
    kind: ReadoutKind,
    features: Features,
    members: BoolArray,
    halves: tuple[Rows, Rows],
    config: LabelConfig,
) -> HeldOut:
    """Fit on each half, score the other. Items outside both halves keep NaN."""
    scores = np.full(len(members), np.nan)
    auc, precision, converged = [], [], True
    for fitted, scored in (halves, halves[::-1]):
        readout = fit(kind, features, members, fitted, config)
        scores[scored] = readout(features, scored)
        auc.append(float(roc_auc_score(members[scored], scores[scored])))
        precision.append(float(average_precision_score(members[scored], scores[scored])))
        converged &= readout.converged
    return HeldOut(scores, float(np.mean(auc)), float(np.mean(precision)), converged)


def precision_recall(
    kind: ReadoutKind,
    features: Features,
    members: BoolArray,
    halves: tuple[Rows, Rows],
    *,
    held_out: HeldOut,
    config: LabelConfig,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Precision and recall over both scored halves, each at the threshold of its fitting half."""
    taken = np.zeros(len(members), np.bool_)
    for fitted, scored in (halves, halves[::-1]):
        inner = cross_fit(kind, features, members, stratified_halves(members, fitted, rng), config)
        taken[scored] = held_out.scores[scored] >= best_threshold(members[fitted], inner.scores[fitted])
    hits = int((taken & members).sum())
    return hits / max(1, int(taken.sum())), hits / max(1, int(members.sum()))


def precision_recall_at(scores: Weights, members: BoolArray, halves: tuple[Rows, Rows]) -> tuple[float, float]:
    """The same for scores [N] of which each is held out by itself: the threshold of a half comes from the other."""
    taken = np.zeros(len(members), np.bool_)
    for fitted, scored in (halves, halves[::-1]):
        taken[scored] = scores[scored] >= best_threshold(members[fitted], scores[fitted])
    hits = int((taken & members).sum())
    return hits / max(1, int(taken.sum())), hits / max(1, int(members.sum()))


def best_threshold(labels: BoolArray, scores: Weights) -> float:
    """The score at or above which F1 = 2 hits / (taken + members) is largest; halfway to the next lower score."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    hits = np.cumsum(labels[order])
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + labels.sum())
    # Items of equal score are taken together: a cut can only be where the score falls.
    cuts = np.append(ranked[:-1] > ranked[1:], True)
    best = int(np.argmax(np.where(cuts, f1, -1)))
    below = ranked[best + 1] if best + 1 < len(ranked) else ranked[best]
    return float((ranked[best] + below) / 2)


def chance_deviation(members: int, items: int) -> float:
    """Standard deviation of the two-fold AUC when the labels are permuted: Mann-Whitney's for one half.

    ``sqrt((a + b + 1) / (12 a b))`` with a members and b others in a half. The mean of two halves does not make it
    smaller: where the labels of both halves agree by chance, both read-outs gain. Permutations show .8 to 1.1 of it
    (tests/offline/label/test_halves.py, docs/decisions/004).
    """
    inside, outside = members / 2, (items - members) / 2
    return float(np.sqrt((inside + outside + 1) / (12 * inside * outside)))
