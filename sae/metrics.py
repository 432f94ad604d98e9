"""How good an SAE is, measured on the form that is served. Legend: N items, U users, D embedding, L latents.

Explained variance = 1 - sum |x - x^|^2 / sum |x - mean(x)|^2, over all rows of a side, in the embeddings' own units.
L0 = mean number of active latents of a row. Dead share = share of latents that no item and no user activates.
Agreement: a latent must mean the same in both towers, or steering with it fails (docs/decisions/003).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from bundle import Metric, SaeWeights, search_vectors

FloatArray = npt.NDArray[np.float32]

CHUNK_ENTRIES = 4_000_000


class SideFacts(NamedTuple):
    """One tower on all of its rows; ``uses`` [L] is how many rows activate a latent."""

    explained_variance: float
    l0: float
    uses: npt.NDArray[np.int64]


def measure_side(weights: SaeWeights, x: FloatArray, side: Literal["user", "item"]) -> SideFacts:
    """Explained variance, L0 and use of every latent over the rows ``x`` [., D], in chunks."""
    error, count = 0.0, np.zeros(weights.latents, np.int64)
    step = max(1, CHUNK_ENTRIES // weights.latents)
    for start in range(0, len(x), step):
        part = x[start : start + step]
        code = weights.encode(part, side)
        decoded = weights.decode(code, weights.scale(part), side)
        error += float(np.square(part - decoded, dtype=np.float64).sum())
        count += (code > 0).sum(0)
    spread = float(np.square(x - x.mean(0, dtype=np.float64)).sum())
    return SideFacts(1 - error / spread if spread > 0 else 0.0, float(count.sum() / len(x)), count)


def measure(weights: SaeWeights, users: FloatArray, items: FloatArray) -> dict[str, float]:
    """``explained_variance_users``, ``explained_variance_items``, ``l0_users``, ``l0_items``, ``dead_share``."""
    user, item = measure_side(weights, users, "user"), measure_side(weights, items, "item")
    return {
        "explained_variance_users": user.explained_variance,
        "explained_variance_items": item.explained_variance,
        "l0_users": user.l0,
        "l0_items": item.l0,
        "dead_share": float(((user.uses + item.uses) == 0).mean()),
    }


def agreement(weights: SaeWeights, items: FloatArray, metric: Metric) -> FloatArray:
    """Does adding a latent to a user raise the items of that latent? Per latent [L]; NaN where no item is active.

    The displacement that the user tower decodes from latent j, against the items as the search sees them: mean effect
    over the items that activate j, weighted by activation, minus the mean over all items, in standard deviations of the
    effect. Above 0: agreement; near 0: the latent means nothing for users; below 0: steering goes backwards.
    """
    effect = weights.user.w_dec @ search_vectors(items, None, metric).T
    code = weights.encode(items, "item").T
    mass = code.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        lift = (effect * code).sum(1) / mass - effect.mean(1)
        return np.asarray(lift / effect.std(1), np.float32)
