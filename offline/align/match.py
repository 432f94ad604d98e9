"""Which latent of one bundle is which of another: the one that the same items activate.

    r(i, j) = Pearson correlation of z_old[:, i] and z_new[:, j] over the items that both bundles hold
    m       = the one-to-one assignment of largest sum of r(i, m(i))

Codes are all that two recommenders have in common: their embeddings may be rotated against each other at will, and the
latents of two SAEs come in any order. The assignment is the Hungarian method's (Kuhn 1955; scipy's
linear_sum_assignment), as is usual for SAEs of different seeds (Paulo and Belrose 2025, arXiv 2501.16615).

Legend: N items in common, L and M latents of the old and the new bundle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array

from bundle import SparseCodes

Correlation = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NOBODY = -1

HALVINGS = 5
"""Averaged, because a latent of few items may have most of them in one half."""


@dataclass(frozen=True)
class Common:
    """Rows of the items that two bundles share, in the order of the new bundle; both [N]."""

    old: IntArray
    new: IntArray

    @classmethod
    def of(cls, old_ids: list[str], new_ids: list[str]) -> Common:
        """Match items by their id."""
        rows = {item_id: row for row, item_id in enumerate(old_ids)}
        pairs = [(rows[item_id], row) for row, item_id in enumerate(new_ids) if item_id in rows]
        table = np.array(pairs, np.int64).reshape(-1, 2)
        return cls(table[:, 0], table[:, 1])

    def __len__(self) -> int:
        return len(self.old)


@dataclass(frozen=True)
class LatentMatch:
    """Where each latent of the old bundle went, all [L].

    ``to``: latent of the new bundle, -1 where none is left or none correlates. ``correlation``: with it, on all common
    items. ``held_out``: matched on one random half of the items, correlated on the other, both ways, mean of HALVINGS;
    what a match is worth without the luck of having chosen among many.
    """

    to: IntArray
    correlation: Correlation
    held_out: Correlation


def match_latents(old: SparseCodes, new: SparseCodes, common: Common, *, seed: int = 0) -> LatentMatch:
    """Match by item codes; latents that no common item activates match nobody."""
    before, after = _rows(old, common.old), _rows(new, common.new)
    to, correlation = assign(correlate(before, after))
    rng = np.random.default_rng(seed)
    held_out = np.zeros(old.latents)
    for _ in range(HALVINGS):
        order = rng.permutation(len(common))
        halves = order[: len(order) // 2], order[len(order) // 2 :]
        tables = [correlate(before[half], after[half]) for half in halves]
        for fitted, scored in (tables, tables[::-1]):
            chosen, _ = assign(fitted)
            there = chosen != NOBODY
            held_out[there] += scored[there, chosen[there]] / (2 * HALVINGS)
    return LatentMatch(to, correlation, held_out)


def correlate(old: csr_array, new: csr_array) -> Correlation:
    """Pearson correlation of every pair of latents, [L, M]; 0 where one of the two is constant."""
    rows = old.shape[0]
    if rows == 0:
        return np.zeros((old.shape[1], new.shape[1]))
    means = [np.asarray(codes.mean(axis=0)).ravel() for codes in (old, new)]
    squares = [np.asarray(codes.multiply(codes).mean(axis=0)).ravel() for codes in (old, new)]
    spread = [np.sqrt(np.maximum(square - mean**2, 0)) for square, mean in zip(squares, means, strict=True)]
    covariance = (old.T @ new).toarray() / rows - np.outer(*means)
    size = np.outer(*spread)
    found: Correlation = np.divide(covariance, size, out=np.zeros_like(covariance), where=size > 1e-12)
    return found


def assign(correlation: Correlation) -> tuple[IntArray, Correlation]:
    """The best one-to-one assignment of old latents to new, [L], with its correlations, [L]."""
    to = np.full(len(correlation), NOBODY, np.int64)
    quality = np.zeros(len(correlation))
    # Below zero two latents are not alike at all; clipped, such pairs cannot outweigh a real one.
    rows, columns = linear_sum_assignment(np.maximum(correlation, 0), maximize=True)
    real = correlation[rows, columns] > 0
    to[rows[real]] = columns[real]
    quality[rows[real]] = correlation[rows[real], columns[real]]
    return to, quality


def _rows(codes: SparseCodes, rows: IntArray) -> csr_array:
    table = csr_array((codes.values.astype(np.float64), codes.indices, codes.indptr), shape=(len(codes), codes.latents))
    return table[rows]
