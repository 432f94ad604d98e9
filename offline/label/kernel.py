"""A label spread by likeness: kernel ridge regression, every item scored as if it had not been labelled.

Items are places at unit length, ``r_v``; two items are as alike as their places are:

    k(v, w)  = exp(g (r_v . r_w - 1))                                        Gaussian on the sphere
    f        = argmin sum_v o_v (y_v - f_v)^2 + l |f|_k^2                     kernel ridge with an intercept
    f_{-v}   = (f_v - h_v y_v) / (1 - h_v)                                   what the fit without v says of v

with ``o_v`` the weight of an item, ``1 + its popularity / the mean``, scaled to mean 1: an error on an item that many
are shown costs most. ``h_v`` is the leverage of v in the whole fit (Allen 1974, the PRESS statistic; exact). An item's
label never enters its own score, neither where it is present nor where the metadata lacks it, so the same scores are
measured *and* shipped. The kernel is that of at most M random items (Williams & Seeger 2000, Nystrom), which is exact
where there are no more items; one factorisation serves all concepts, in ``N M^2 + N M C`` operations.

Legend: N items, P size of a place, M landmarks, C concepts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

CHUNK = 4096
JITTER = 1e-6
CONSTANT = 10.0
"""Feature of the intercept: large, so that the penalty hardly touches it."""


@dataclass(frozen=True)
class KernelRidge:
    """What all concepts share: ``places`` [N, P], ``landmarks`` [M, P], the kernel's ``factor``, the items' ``weight``.

    ``width`` is g, ``ridge`` is l. Made once, asked for every concept.
    """

    places: npt.NDArray[np.floating]
    landmarks: Array
    factor: Array
    weight: Array
    width: float
    ridge: float

    @classmethod
    def of(
        cls,
        places: npt.NDArray[np.floating],
        weight: Array,
        *,
        width: float,
        ridge: float,
        landmarks: int,
        seed: int,
    ) -> Self:
        """Draw the landmarks. ``places`` [N, P] of length 1 (or 0: as unlike all others), ``weight`` [N]."""
        order = np.random.default_rng(seed).permutation(len(places))
        drawn = places[np.sort(order[:landmarks])].astype(np.float64)
        gram = _kernel(drawn, drawn, width)
        gram[np.diag_indices_from(gram)] += JITTER
        return cls(places, drawn, cholesky(gram, lower=True), weight, width, ridge)

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

    @cached_property
    def _solved(self) -> tuple[tuple[Array, bool], Array]:
        """The factorised Gram matrix of the features and every item's leverage [N]: the same for all concepts."""
        width = len(self.landmarks) + 1
        gram = np.zeros((width, width))
        for rows, near in self._near():
            features = self._features(near)
            gram += features.T @ (self.weight[rows, None] * features)
        gram[np.diag_indices_from(gram)] += self.ridge
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
            yield rows, _kernel(self.places[rows].astype(np.float64), self.landmarks, self.width)

    def _features(self, near: Array) -> Array:
        """Features [n, M + 1] whose inner products are the kernel's, and the constant."""
        return np.column_stack([solve_triangular(self.factor, near.T, lower=True).T, np.full(len(near), CONSTANT)])


def importance(popularity: npt.NDArray[Any] | None, items: int) -> Array:
    """Weight of every item in the fit, mean 1, [N]."""
    if popularity is None or not items or not popularity.sum():
        return np.ones(items)
    weight = 1 + popularity.astype(np.float64) / popularity.mean()
    return np.asarray(weight / weight.mean(), np.float64)


def unit_rows(rows: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Rows [N, P] at length 1; a zero row stays zero."""
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norm > 0, norm, 1))


def _kernel(a: Array, b: Array, width: float) -> Array:
    return np.asarray(np.exp(width * (a @ b.T - 1)), np.float64)
