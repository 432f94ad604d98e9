"""Membership as a number: three read-outs of an item, each ``p = sigmoid(w . features + b)``.

``logistic``: l2 logistic regression on all latents of the code. ``logistic_32``: non-negative weights on the 32
latents whose mean differs most between members and others, in standard deviations, so that it can be told in words.
``probe``: the same regression on the embedding, the control that knows nothing of the SAE (Alain and Bengio 2016,
arXiv 1610.01644).

    loss(w, b) = mean_v log(1 + exp(-y_v (w . f_v + b))) + l2 |w|^2

Features are scaled so that one ``l2`` fits all: a latent by the 90th percentile of its activations, an embedding to
norm sqrt(D). Centring would only move b. Legend: N items, L latents, D embedding, F features.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, minimize
from scipy.sparse import csr_array
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from bundle import SparseCodes
from offline.label.config import LabelConfig, ReadoutKind

FloatArray = npt.NDArray[np.float32]
Weights = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]

MOST_ITERATIONS = 1_000


@dataclass(frozen=True)
class Features:
    """What read-outs read: ``codes`` sparse [N, L] over ``scale`` [L], and ``vectors`` [N, D] at norm sqrt(D)."""

    codes: csr_array
    scale: FloatArray
    vectors: Weights

    @classmethod
    def of(cls, codes: SparseCodes, vectors: FloatArray) -> Features:
        """Scale item codes and item vectors."""
        scale = codes.latent_scale()
        scaled = (codes.values / scale[codes.indices]).astype(np.float64)
        table = csr_array((scaled, codes.indices, codes.indptr), shape=(len(codes), codes.latents))
        norm = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = vectors / np.where(norm > 0, norm, 1)
        return cls(table, scale, (unit * np.sqrt(vectors.shape[1])).astype(np.float64))

    def read_by(self, kind: ReadoutKind) -> Any:
        """The features [N, F] that a kind of read-out reads."""
        return self.vectors if kind == "probe" else self.codes


@dataclass(frozen=True)
class Readout:
    """A fitted read-out: ``weight`` [F] on the scaled features, ``bias``; ``converged`` within the iteration limit."""

    kind: ReadoutKind
    weight: Weights
    bias: float
    converged: bool

    def __call__(self, features: Features, rows: Rows | None = None) -> Weights:
        """Probabilities of the given items (all when None)."""
        table = features.read_by(self.kind)
        return np.asarray(expit((table if rows is None else table[rows]) @ self.weight + self.bias), np.float64)


def fit(kind: ReadoutKind, features: Features, members: BoolArray, rows: Rows, config: LabelConfig) -> Readout:
    """Fit one read-out on the items ``rows`` only; both members and others must be among them."""
    rows, weight = _sample(members, rows, config.fit_items, config.seed)
    table, labels = features.read_by(kind)[rows], members[rows]
    if kind == "logistic_32":
        return _fit_sparse(table, labels, weight, config)
    total = len(rows) if weight is None else float(weight.sum())
    model = LogisticRegression(C=1 / (2 * config.l2 * total), max_iter=MOST_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # told by `converged`
        model.fit(table, labels, sample_weight=weight)
    return Readout(kind, model.coef_[0], float(model.intercept_[0]), int(model.n_iter_[0]) < MOST_ITERATIONS)


def _fit_sparse(table: csr_array, labels: BoolArray, weight: Weights | None, config: LabelConfig) -> Readout:
    chosen = strongest_differences(table, labels, config.sparse_latents)
    dense = table[:, chosen].toarray()
    share = (np.ones(len(labels)) if weight is None else weight) / (len(labels) if weight is None else weight.sum())
    sign = np.where(labels, 1.0, -1.0)

    def loss(point: Weights) -> tuple[float, Weights]:
        margin = sign * (dense @ point[:-1] + point[-1])
        slope = -share * sign * expit(-margin)
        value = float(share @ np.logaddexp(0, -margin)) + config.l2 * float(point[:-1] @ point[:-1])
        return value, np.append(slope @ dense + 2 * config.l2 * point[:-1], slope.sum())

    rate = float(share @ labels)
    start = np.append(np.zeros(len(chosen)), np.log(rate / (1 - rate)))
    lowest = np.append(np.zeros(len(chosen)), -np.inf)
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=Bounds(lowest, np.inf), options={"maxiter": MOST_ITERATIONS}
    )
    full = np.zeros(table.shape[1])
    full[chosen] = found.x[:-1]
    return Readout("logistic_32", full, float(found.x[-1]), int(found.nit) < MOST_ITERATIONS)


def strongest_differences(table: csr_array, labels: BoolArray, count: int) -> Rows:
    """Latents of largest ``(mean of members - mean of others) / standard deviation``, only those above 0."""
    members = np.asarray(table[labels].mean(axis=0))
    others = np.asarray(table[~labels].mean(axis=0))
    mean = np.asarray(table.mean(axis=0))
    deviation = np.sqrt(np.maximum(np.asarray(table.multiply(table).mean(axis=0)) - mean**2, 0))
    difference = np.divide(members - others, deviation, out=np.zeros_like(mean), where=deviation > 0)
    order = np.argsort(-difference, kind="stable")[:count]
    return np.sort(order[difference[order] > 0])


def _sample(members: BoolArray, rows: Rows, most: int, seed: int) -> tuple[Rows, Weights | None]:
    """At most ``most`` of ``rows``: members first, up to half, then others; weights undo the unequal chances."""
    if len(rows) <= most:
        return rows, None
    rng = np.random.default_rng(seed)
    inside, outside = rows[members[rows]], rows[~members[rows]]
    from_inside = min(len(inside), max(most // 2, most - len(outside)))
    from_outside = min(len(outside), most - from_inside)
    picked = np.concatenate([rng.permutation(inside)[:from_inside], rng.permutation(outside)[:from_outside]])
    weight = np.where(members[picked], len(inside) / from_inside, len(outside) / from_outside)
    order = np.argsort(picked)
    return picked[order], weight[order]
