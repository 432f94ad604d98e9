"""Are directions of a hidden state about genres? Max |Pearson| and ROC-AUC per genre, over candidate directions.

The comparison of Klenitskiy et al. 2025: for every genre the best candidate (a latent, or a raw dimension), mean over
genres. The best of more candidates is better by luck alone, so raw dimensions are given as many: the raw space is
rotated at random until there are as many candidates as latents. And the best is chosen on the states of one half of the
items and scored on the other half, both ways, beside the papers' way (chosen and scored on all). A direction may point
away from its genre: |Pearson| and max(AUC, 1 - AUC) count. The linear probe, one logistic regression per genre, is what
any direction could reach. Legend: P positions (states), F candidates, C genres, D state size.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]

PROBE_L2 = 1e-3


def pearson(features: FloatArray, members: BoolArray) -> Scores:
    """Correlation of every genre with every candidate, [C, F]; 0 where either is constant.

    ``features`` [P, F], ``members`` [C, P].
    """
    centred = features - features.mean(0, dtype=np.float64)
    labels = members - members.mean(1, keepdims=True)
    scale = np.linalg.norm(labels, axis=1)[:, None] * np.linalg.norm(centred, axis=0)
    return np.asarray(labels @ centred / np.where(scale > 1e-12, scale, np.inf), np.float64)


def auc(features: FloatArray, members: BoolArray) -> Scores:
    """ROC-AUC of every candidate for every genre, [C, F], ties at their mean rank; .5 where a genre has one class."""
    ranks = rankdata(features, axis=0)
    inside = members.sum(1)[:, None].astype(np.float64)
    outside = members.shape[1] - inside
    hits = members.astype(np.float64) @ ranks - inside * (inside + 1) / 2
    return np.where((inside > 0) & (outside > 0), hits / np.where(inside * outside > 0, inside * outside, 1), 0.5)


def signed(features: FloatArray, members: BoolArray) -> dict[str, Scores]:
    """``pearson`` and ``auc`` - .5, each [C, F]: how strong is the size, where to is the sign."""
    return {"pearson": pearson(features, members), "auc": auc(features, members) - 0.5}


def compare(
    candidates: Mapping[str, FloatArray], members: BoolArray, halves: tuple[BoolArray, BoolArray]
) -> dict[str, dict[str, list[float]]]:
    """Per kind of candidate [P, F] and genre: ``pearson``, ``auc`` (all positions), ``*_held_out``.

    ``halves``: bool [P] each, divided by item, so that no item is in both.
    """
    out: dict[str, dict[str, list[float]]] = {}
    for name, features in candidates.items():
        whole = signed(features, members)
        parts = [signed(features[half], members[:, half]) for half in halves]
        figures: dict[str, list[float]] = {}
        for measure, table in whole.items():
            zero = 0.5 if measure == "auc" else 0.0
            figures[measure] = (zero + np.abs(table).max(1)).tolist()
            held = [_scored(parts[a][measure], parts[b][measure]) for a, b in ((0, 1), (1, 0))]
            figures[f"{measure}_held_out"] = (zero + (held[0] + held[1]) / 2).tolist()
        out[name] = figures
    return out


def rotations(states: FloatArray, count: int, seed: int) -> FloatArray:
    """``count`` directions of the raw space: the space itself and random rotations of it, [P, count]."""
    dim = states.shape[1]
    rng = np.random.default_rng(seed)
    parts = [states]
    while sum(part.shape[1] for part in parts) < count:
        turn, _ = np.linalg.qr(rng.standard_normal((dim, dim)))
        parts.append((states @ turn).astype(np.float32))
    return np.concatenate(parts, axis=1)[:, :count]


def probe(states: FloatArray, members: BoolArray, halves: tuple[BoolArray, BoolArray]) -> dict[str, list[float]]:
    """A logistic regression per genre, fitted on one half and scored on the other: ``pearson_held_out``, "
    "``auc_...``.
    """
    scaled = (states - states.mean(0)) / np.maximum(states.std(0), 1e-6)
    figures: dict[str, list[float]] = {"pearson_held_out": [], "auc_held_out": []}
    for labels in members:
        found: list[tuple[float, float]] = []
        for fitted, scored in (halves, halves[::-1]):
            if len(np.unique(labels[fitted])) < 2:
                found.append((0.0, 0.5))
                continue
            model = LogisticRegression(C=1 / (2 * PROBE_L2 * int(fitted.sum())), max_iter=1_000)
            model.fit(scaled[fitted], labels[fitted])
            score = model.decision_function(scaled[scored])[:, None].astype(np.float32)
            one = labels[None, scored]
            found.append((float(abs(pearson(score, one)[0, 0])), float(auc(score, one)[0, 0])))
        figures["pearson_held_out"].append(float(np.mean([r for r, _ in found])))
        figures["auc_held_out"].append(float(np.mean([a for _, a in found])))
    return figures


def _scored(chosen: Scores, scored: Scores) -> Scores:
    """Of the strongest on one half, what it is on the other; the wrong way round counts against it."""
    rows, best = np.arange(len(chosen)), np.abs(chosen).argmax(1)
    return np.asarray(np.sign(chosen[rows, best]) * scored[rows, best], np.float64)
