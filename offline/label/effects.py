"""What a unit of a direction does on the query channel, in score units. Legend: C concepts, N items, D, L.

One unit of code delta ``a`` moves the query by ``a @ W_dec`` (user tower; times the user's input scale, which the
server applies), so it raises the score of item v by ``s_v . (a @ W_dec)`` with ``s_v`` its search vector. The effect is
that rise for a member over that for an average item:

    effect = (mean_{v in members} s_v - mean_v s_v) . (a @ W_dec)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from bundle import Metric, SaeWeights, SparseCodes, search_vectors

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


def direction_effects(
    direction: FloatArray, members: BoolArray, vectors: FloatArray, sae: SaeWeights, metric: Metric
) -> FloatArray:
    """Effect of each direction [C, L] on its ``members`` [C, N], float32 [C]."""
    search = search_vectors(vectors, None, metric).astype(np.float64)
    lift = _mean_rows(csr_array(members.astype(np.float64)), search) - search.mean(0)
    moved = direction.astype(np.float64) @ sae.user.w_dec
    return np.asarray(np.einsum("cd,cd->c", lift, moved), np.float32)


def latent_effects(codes: SparseCodes, vectors: FloatArray, sae: SaeWeights, metric: Metric) -> FloatArray:
    """Effect of one unit of every latent on the items that activate it, float32 [L]; 0 where no item does."""
    search = search_vectors(vectors, None, metric).astype(np.float64)
    active = csr_array((np.ones(len(codes.values)), codes.indices, codes.indptr), shape=(len(codes), codes.latents))
    lift = _mean_rows(active.T.tocsr(), search) - search.mean(0)
    effect = np.einsum("ld,ld->l", lift, sae.user.w_dec.astype(np.float64))
    used = np.bincount(codes.indices, minlength=codes.latents) > 0
    return np.asarray(np.where(used, effect, 0), np.float32)


def _mean_rows(membership: csr_array, search: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    count = np.asarray(membership.sum(axis=1)).reshape(-1, 1)
    return np.asarray(membership @ search / np.maximum(count, 1))
