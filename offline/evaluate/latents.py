"""The one latent that stands for a concept: the largest ROC-AUC of its activation against the label.

An item that does not activate the latent has activation 0, tied with all such items. With ``a`` members and ``b``
others, and midranks ``R`` of the activations (Mann & Whitney 1947):

    AUC = (sum_{members} R - a (a + 1) / 2) / (a b)

Chosen on one half of the items where it is scored on the other. Legend: N items, L latents.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bundle import SparseCodes
from offline.evaluate.panel import BoolArray


def latent_auc(codes: SparseCodes, members: BoolArray, among: BoolArray | None = None) -> npt.NDArray[np.float64]:
    """AUC of every latent for ``members`` [N] over the items ``among`` [N] (all when None), [L]; .5 where one class."""
    among = np.ones(len(codes), np.bool_) if among is None else among
    inside, total = int((members & among).sum()), int(among.sum())
    outside = total - inside
    if not inside or not outside:
        return np.full(codes.latents, 0.5)
    row = np.repeat(np.arange(len(codes)), np.diff(codes.indptr))
    kept = among[row]
    row, latent, value = row[kept], codes.indices[kept].astype(np.int64), codes.values[kept]
    order = np.lexsort((value, latent))
    row, latent, value = row[order], latent[order], value[order]
    active = np.bincount(latent, minlength=codes.latents)
    place = np.arange(len(row)) - np.repeat(np.cumsum(active) - active, active) + 1.0
    # Ties share the mean of their places.
    group = np.cumsum(np.append(True, (np.diff(latent) != 0) | (np.diff(value) != 0))) - 1 if len(row) else row
    place = (np.bincount(group, place) / np.maximum(np.bincount(group), 1))[group]
    silent = total - active
    rank = place + silent[latent]
    member = members[row]
    hits = np.bincount(latent, member, minlength=codes.latents)
    total_rank = np.bincount(latent, rank * member, minlength=codes.latents) + (inside - hits) * (silent + 1) / 2
    return np.asarray((total_rank - inside * (inside + 1) / 2) / (inside * outside), np.float64)


def best_latent(codes: SparseCodes, members: BoolArray, among: BoolArray | None = None) -> int:
    """The latent of largest AUC; ties to the lower."""
    return int(np.argmax(latent_auc(codes, members, among)))


def halves(members: BoolArray, seed: int) -> tuple[BoolArray, BoolArray]:
    """Two random halves of the items, members and others halved separately, bool [N] each."""
    rng = np.random.default_rng(seed)
    first = np.zeros(len(members), np.bool_)
    for rows in (np.flatnonzero(members), np.flatnonzero(~members)):
        first[rng.permutation(rows)[: len(rows) // 2]] = True
    return first, ~first
