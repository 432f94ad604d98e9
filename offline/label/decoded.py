"""Membership read from the *decoded* code: kernel ridge regression, every item scored as if it had not been labelled.

Items of one code mean one place in embedding space, ``r = decode(z)`` at unit length; two items are as alike as their
places are. A label is spread by that likeness:

    k(v, w)  = exp(g (r_v . r_w - 1))                                        Gaussian on the sphere, g = 2
    f        = argmin sum_v o_v (y_v - f_v)^2 + l |f|_k^2                     kernel ridge with an intercept, l = 1
    f_{-v}   = (f_v - h_v y_v) / (1 - h_v)                                   what the fit without v says of v

with ``o_v`` the weight of an item, ``1 + its popularity / the mean``, scaled to mean 1: an error on an item that many
are shown costs most. ``h_v`` is the leverage of v in the whole fit (Allen 1974, the PRESS statistic; exact). The codes
are all it reads: an item's label never enters its own score, neither where it is present nor where the metadata lacks
it. So the same scores are measured *and* shipped. The kernel is that of at most ``decoded_landmarks`` random items
(Williams & Seeger 2000, Nystrom), which is exact where there are no more items; one factorisation serves all concepts,
in ``N M^2 + N M C`` operations. The score becomes a membership by a soft step below the threshold t of best F1, with a
tail that is never flat, so that a large enough dose moves every item:

    p = (1 - e) sigmoid(5 (f - .8 t) / t) + e sigmoid(1.5 (f - .8 t) / t),   e = .1

Legend: N items, L latents, D embedding, M landmarks, C concepts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.special import expit

from bundle import Metric, SaeWeights, SparseCodes
from offline.label.config import LabelConfig
from offline.label.halves import best_threshold

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]

CHUNK = 4096
JITTER = 1e-6
CONSTANT = 10.0
"""Feature of the intercept: large, so that the penalty hardly touches it."""

STEP_AT, STEEP, TAIL, TAIL_STEEP = 0.8, 5.0, 0.1, 1.5
"""Of the soft step; chosen on users that no reported figure is measured on (docs/decisions/010)."""

RIDGE = 0.01
"""Penalty of a direction's regression, in units of the mean variance of a dimension."""

SMALLEST = 1e-3
"""Of thresholds: a concept of few members far apart has scores near 0."""


@dataclass(frozen=True)
class Decoded:
    """Decoded items: ``rows`` [N, D] at their size, ``places`` at unit length; and what the kernel needs.

    Made once, asked for every concept.
    """

    rows: Array
    places: Array
    landmarks: Array
    factor: Array
    weight: Array
    config: LabelConfig

    @classmethod
    def of(
        cls,
        codes: SparseCodes,
        sae: SaeWeights,
        config: LabelConfig,
        popularity: npt.NDArray[Any] | None = None,
        scale: FloatArray | None = None,
    ) -> Decoded:
        """Decode every code by the item tower and draw the landmarks.

        ``popularity`` [N]: None counts items alike. ``scale`` [N, 1]: input scale of the items (None: 1), which only
        the directions of the query channel ask for.
        """
        parts = []
        for start in range(0, len(codes), CHUNK):
            stop = min(start + CHUNK, len(codes))
            size = np.ones((stop - start, 1), np.float32) if scale is None else scale[start:stop]
            parts.append(sae.decode(_dense(codes, start, stop), size, "item").astype(np.float64))
        rows = np.concatenate(parts) if parts else np.zeros((0, sae.dim))
        norm = np.linalg.norm(rows, axis=1, keepdims=True)
        places = rows / np.where(norm > 0, norm, 1)
        order = np.random.default_rng(config.seed).permutation(len(places))
        landmarks = places[np.sort(order[: config.decoded_landmarks])]
        gram = _kernel(landmarks, landmarks, config.decoded_width)
        gram[np.diag_indices_from(gram)] += JITTER
        return cls(rows, places, landmarks, cholesky(gram, lower=True), importance(popularity, len(places)), config)

    def scores(self, members: BoolArray) -> Array:
        """Leave-one-out scores of every item for each row of ``members`` [C, N], [C, N]."""
        labels = members.T.astype(np.float64)
        gram_factor, leverage = self._solved
        target = np.zeros((len(self.landmarks), len(members)))
        for rows, near in self._near():
            target += near.T @ (self.weight[rows, None] * labels[rows])
        target = solve_triangular(self.factor, target, lower=True)
        weights = cho_solve(gram_factor, np.vstack([target, CONSTANT * (self.weight @ labels)]))
        on_kernel = solve_triangular(self.factor, weights[:-1], lower=True, trans=1)
        out = np.empty(labels.shape)
        for rows, near in self._near():
            seen = near @ on_kernel + CONSTANT * weights[-1]
            h = leverage[rows, None]
            out[rows] = (seen - h * labels[rows]) / (1 - h)
        return np.ascontiguousarray(out.T)

    def direction(self, members: BoolArray, user_decoder: FloatArray, metric: Metric) -> Array:
        """Direction [L] in code space that moves a query towards ``members`` [N], at unit length (or 0).

        The weighted ridge regression of the label on the decoded items gives a move in embedding space, ``w``; of the
        codes that the user tower ([L, D]) decodes to it the smallest is taken: ``min |a|`` with ``a @ W_dec = w``.
        """
        x = self.places if metric == "cosine" else self.rows
        share = self.weight / self.weight.sum()
        x = x - share @ x
        gram = x.T @ (share[:, None] * x)
        gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram) / len(gram) + 1e-12
        move = np.linalg.solve(gram, x.T @ (share * (members - share @ members)))
        code = np.linalg.lstsq(user_decoder.T.astype(np.float64), move, rcond=None)[0]
        norm = np.linalg.norm(code)
        return np.asarray(code / norm if norm > 0 else code, np.float64)

    @cached_property
    def _solved(self) -> tuple[tuple[Array, bool], Array]:
        """The factorised Gram matrix of the features and every item's leverage [N]: the same for all concepts."""
        width = len(self.landmarks) + 1
        gram = np.zeros((width, width))
        for rows, near in self._near():
            features = self._features(near)
            gram += features.T @ (self.weight[rows, None] * features)
        gram[np.diag_indices_from(gram)] += self.config.decoded_ridge
        factor = cho_factor(gram, lower=True)
        leverage = np.empty(len(self.places))
        for rows, near in self._near():
            half = solve_triangular(factor[0], self._features(near).T, lower=True)
            leverage[rows] = np.minimum(self.weight[rows] * (half**2).sum(0), 1 - 1e-9)
        return factor, leverage

    def _near(self) -> Iterator[tuple[slice, Array]]:
        """Chunks of the items with their likeness to the landmarks, [n, M]."""
        for start in range(0, len(self.places), CHUNK):
            rows = slice(start, min(start + CHUNK, len(self.places)))
            yield rows, _kernel(self.places[rows], self.landmarks, self.config.decoded_width)

    def _features(self, near: Array) -> Array:
        """Features [n, M + 1] whose inner products are the kernel's, and the constant."""
        return np.column_stack([solve_triangular(self.factor, near.T, lower=True).T, np.full(len(near), CONSTANT)])


def importance(popularity: npt.NDArray[Any] | None, items: int) -> Array:
    """Weight of every item in the fit, mean 1, [N]."""
    if popularity is None or not items or not popularity.sum():
        return np.ones(items)
    weight = 1 + popularity.astype(np.float64) / popularity.mean()
    return np.asarray(weight / weight.mean(), np.float64)


def membership(scores: Array, threshold: float) -> Array:
    """The soft step of the module's text: scores [N] as a number in (0, 1), monotone and never flat."""
    unit = max(threshold, SMALLEST)
    past = (scores - STEP_AT * unit) / unit
    return np.asarray((1 - TAIL) * expit(STEEP * past) + TAIL * expit(TAIL_STEEP * past), np.float64)


def step(scores: Array, members: BoolArray) -> Array:
    """``membership`` at the threshold of best F1 of these scores, [N]."""
    return membership(scores, best_threshold(members, scores))


def _kernel(a: Array, b: Array, width: float) -> Array:
    return np.asarray(np.exp(width * (a @ b.T - 1)), np.float64)


def _dense(codes: SparseCodes, start: int, stop: int) -> FloatArray:
    first, last = codes.indptr[start], codes.indptr[stop]
    out = np.zeros((stop - start, codes.latents), np.float32)
    row = np.repeat(np.arange(stop - start), np.diff(codes.indptr[start : stop + 1]))
    out[row, codes.indices[first:last]] = codes.values[first:last]
    return out
