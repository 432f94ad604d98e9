"""One candidate: look for it, measure it on held-out items, decide, and fit what is shipped. Legend: N items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.label.candidates import Candidate
from offline.label.config import KINDS, ON_CODES, LabelConfig, ReadoutKind
from offline.label.halves import (
    HeldOut,
    best_threshold,
    chance_deviation,
    cross_fit,
    precision_recall,
    stratified_halves,
)
from offline.label.readouts import Features, Readout, Weights, fit

SMALLEST_SCALE = 1e-6


@dataclass(frozen=True)
class Measured:
    """Held-out figures of a candidate: per kind of read-out, and of the chosen one at its threshold."""

    by_kind: dict[ReadoutKind, HeldOut]
    chosen: ReadoutKind
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
    """

    readout: Readout
    on_codes: Readout
    scale: float
    threshold: float
    values: Weights


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


def measure(candidate: Candidate, features: Features, config: LabelConfig, rng: np.random.Generator) -> Measured:
    """Fit every kind on halves, choose one, and take its precision and recall."""
    members = candidate.members
    halves = stratified_halves(members, np.arange(len(members)), rng)
    by_kind = {kind: cross_fit(kind, features, members, halves, config) for kind in KINDS}
    chosen = choose(by_kind, config)
    precision, recall = precision_recall(
        chosen, features, members, halves, held_out=by_kind[chosen], config=config, rng=rng
    )
    chance = config.chance_deviations * chance_deviation(int(members.sum()), len(members))
    return Measured(by_kind, chosen, precision, recall, bound=max(config.min_auc, min(0.5 + chance, 0.95)))


def choose(by_kind: dict[ReadoutKind, HeldOut], config: LabelConfig) -> ReadoutKind:
    """The configured read-out; with ``auto`` the one on codes of best held-out average precision, then AUC."""
    if config.readout != "auto":
        return config.readout
    return max(ON_CODES, key=lambda kind: (by_kind[kind].average_precision, by_kind[kind].auc))


def fit_whole(candidate: Candidate, measured: Measured, features: Features, config: LabelConfig) -> Fitted:
    """The chosen read-out on all items; its threshold comes from the held-out scores of all items."""
    members = candidate.members
    everything = np.arange(len(members))
    readout = fit(measured.chosen, features, members, everything, config)
    on_codes = readout
    if measured.chosen not in ON_CODES:
        on_codes = fit("logistic", features, members, everything, config)
    probability = readout(features)
    scale = max(float(np.quantile(probability[members], 0.9)), SMALLEST_SCALE)
    threshold = best_threshold(members, measured.by_kind[measured.chosen].scores)
    return Fitted(readout, on_codes, scale, min(1.0, threshold / scale), np.clip(probability / scale, 0, 1))
