"""Does a latent fire on things that are alike? Monosemanticity score of Pach et al. 2025 (arXiv 2504.02821).

For a latent with activations a_v, brought to [0, 1] by its least and largest value, and items as unit vectors e_v:

    MS = sum_{v != w} a_v a_w (e_v . e_w) / sum_{v != w} a_v a_w

The vectors must come from elsewhere than the model that the SAE reads (here: item-tag vectors); measured in the
recommender's own embeddings, as Arviv et al. 2025 do with the 30 strongest items, a latent that follows any direction
of that space scores high, so that form stands beside for comparison only. Without pairs being listed:
``sum_{v != w} a_v a_w e_v . e_w = |sum_v a_v e_v|^2 - sum_v a_v^2``. Legend: N items, L latents, E vector size.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]

TOP_OF_THE_PAPER = 30


def unit_rows(vectors: npt.NDArray[np.floating]) -> Scores:
    """Rows [N, E] at length 1; a zero row stays zero."""
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norm > 0, norm, 1), np.float64)


def monosemanticity(activations: FloatArray, vectors: npt.NDArray[np.floating], top: int | None = None) -> Scores:
    """Score of every latent, [L]; NaN where fewer than two items activate it.

    ``activations`` [N, L]. Items whose vector is zero (no tag) say nothing and are left out. ``top``: only a latent's
    strongest items count.
    """
    unit = unit_rows(vectors)
    known = np.linalg.norm(unit, axis=1) > 0
    unit, weight = unit[known], activations[known].astype(np.float64)
    lowest = weight.min(0) if len(weight) else np.zeros(weight.shape[1])
    highest = weight.max(0) if len(weight) else np.ones(weight.shape[1])
    weight = (weight - lowest) / np.where(highest > lowest, highest - lowest, 1)
    if top is not None and top < len(weight):
        kth = np.partition(weight, len(weight) - top, axis=0)[len(weight) - top]
        weight = np.where(weight >= kth, weight, 0)
    own = np.square(weight).sum(0)
    pairs = np.square(weight.sum(0)) - own
    alike = np.square(weight.T @ unit).sum(1) - own
    enough = (weight > 0).sum(0) >= 2
    return np.where(enough, alike / np.where(pairs > 0, pairs, 1), np.nan)


def chance(vectors: npt.NDArray[np.floating]) -> float:
    """Score of a latent that fires on all items alike: the mean cosine of two items that have a vector."""
    unit = unit_rows(vectors)
    unit = unit[np.linalg.norm(unit, axis=1) > 0]
    count = len(unit)
    if count < 2:
        return float("nan")
    return float((np.square(unit.sum(0)).sum() - count) / (count * (count - 1)))
