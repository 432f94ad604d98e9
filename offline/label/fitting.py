"""One candidate: look for it, measure it on held-out items, decide, and fit what is shipped. Legend: N items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from offline.label.candidates import Candidate
from offline.label.config import KINDS, LEFT_OUT, ON_CODES, LabelConfig, LeftOutKind, MeasuredKind, regression
from offline.label.halves import (
    HeldOut,
    best_threshold,
    chance_deviation,
    cross_fit,
    precision_recall,
    precision_recall_at,
    stratified_halves,
)
from offline.label.kernel import Array
from offline.label.readouts import Features, Readout, Weights, fit
from offline.label.soft_step import step

SMALLEST_SCALE = 1e-6


@dataclass(frozen=True)
class Measured:
    """Held-out figures of a candidate: per kind of read-out, and of the chosen one at its threshold."""

    by_kind: dict[MeasuredKind, HeldOut]
    chosen: MeasuredKind
    precision: float
    recall: float
    bound: float

    @property
    def auc(self) -> float:
        """Of the chosen read-out."""
        return self.by_kind[self.chosen].auc


@dataclass(frozen=True)
class Fitted:
    """What is shipped: ``values`` [N] = clip(p / scale, 0, 1), ``threshold`` in the same units, and the read-outs.

    ``on_codes`` is the read-out whose weights are the concept's direction; ``readout`` the chosen one, often the same.
    ``left_out``: the values are a kernel's, and ``on_codes`` with ``linear_scale`` speaks for items that come later.
    """

    readout: Readout
    on_codes: Readout
    scale: float
    threshold: float
    values: Weights
    left_out: bool
    linear_scale: float


def refused_unseen(candidate: Candidate, items: int, config: LabelConfig) -> str:
    """Why a candidate is not even fitted; empty when it is."""
    count = int(candidate.members.sum())
    needed = f"at least {config.min_members} are needed to fit and score a read-out"
    if count < config.min_members:
        return f"{count} {'item carries' if count == 1 else 'items carry'} it; {needed}"
    if items - count < config.min_members:
        return f"only {items - count} items do not carry it; {needed}"
    if count > config.max_share * items:
        return f"{count / items:.0%} of the items carry it; a rule on nearly all of them steers nothing"
    return ""


def refused_weak(measured: Measured) -> str:
    """Why a measured candidate is not offered; empty when it is."""
    if measured.auc >= measured.bound:
        return ""
    where = "embeddings" if measured.chosen == "probe" else "codes"
    return (
        f"not found in the {where}: AUC {measured.auc:.2f} on held-out items, at least {measured.bound:.2f} is needed "
        "(chance gives 0.50)"
    )


def measure(
    candidate: Candidate,
    features: Features,
    config: LabelConfig,
    rng: np.random.Generator,
    left_out: Mapping[LeftOutKind, Array] | None = None,
) -> Measured:
    """Fit every kind on halves, choose one, and take its precision and recall.

    ``left_out``: leave-one-out scores [N] by kind, where there are an SAE and interactions to make them.
    """
    members = candidate.members
    halves = stratified_halves(members, np.arange(len(members)), rng)
    by_kind: dict[MeasuredKind, HeldOut] = {kind: cross_fit(kind, features, members, halves, config) for kind in KINDS}
    for kind, scores in (left_out or {}).items():
        auc, precise = float(roc_auc_score(members, scores)), float(average_precision_score(members, scores))
        by_kind[kind] = HeldOut(scores, auc, precise, True)
    chosen = choose(by_kind, config)
    fitted = regression(chosen)
    if fitted is None:
        precision, recall = precision_recall_at(by_kind[chosen].scores, members, halves)
    else:
        precision, recall = precision_recall(
            fitted, features, members, halves, held_out=by_kind[chosen], config=config, rng=rng
        )
    chance = config.chance_deviations * chance_deviation(int(members.sum()), len(members))
    return Measured(by_kind, chosen, precision, recall, bound=max(config.min_auc, min(0.5 + chance, 0.95)))


def choose(by_kind: dict[MeasuredKind, HeldOut], config: LabelConfig) -> MeasuredKind:
    """The configured read-out where it was measured; else the one on codes of best average precision, then AUC."""
    if config.readout != "auto" and config.readout in by_kind:
        return config.readout
    on_codes = [kind for kind in by_kind if kind in LEFT_OUT or kind in ON_CODES]
    return max(on_codes, key=lambda kind: (by_kind[kind].average_precision, by_kind[kind].auc))


def fit_whole(candidate: Candidate, measured: Measured, features: Features, config: LabelConfig) -> Fitted:
    """The chosen read-out on all items; its threshold comes from the held-out scores of all items.

    A read-out that leaves items out ships those values: they are what was measured, and an item whose label the
    metadata lacks was not fitted as a non-member.
    """
    members, chosen = candidate.members, measured.chosen
    everything = np.arange(len(members))
    fitted = regression(chosen)
    readout = fit(fitted or "logistic", features, members, everything, config)
    on_codes = readout
    if readout.kind not in ON_CODES:
        on_codes = fit("logistic", features, members, everything, config)
    probability = readout(features)
    linear_scale = max(float(np.quantile(probability[members], 0.9)), SMALLEST_SCALE)
    values, held_out, scale = probability, measured.by_kind[chosen].scores, linear_scale
    if fitted is None:
        values = held_out = step(held_out, members)
        scale = max(float(np.quantile(values[members], 0.9)), SMALLEST_SCALE)
    threshold = best_threshold(members, held_out)
    return Fitted(
        readout=readout,
        on_codes=on_codes,
        scale=scale,
        threshold=min(1.0, threshold / scale),
        values=np.clip(values / scale, 0, 1),
        left_out=fitted is None,
        linear_scale=linear_scale,
    )
