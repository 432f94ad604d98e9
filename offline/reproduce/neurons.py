"""What a latent stands for beside genres: popularity, decades, and how it fires over genres.

*Popularity neurons*: of a latent's K strongest items, the mean popularity percentile (1: the most popular item). The
highest latent is the popular one, the lowest the niche one; chosen on one half of the items and scored on the other,
because the best of many is lucky. *Decade neurons*: purity for the decades, as for genres (offline.label.purity).
*Mean activation*: of every latent over the items of a genre. Legend: N items, L latents, C concepts, K depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from bundle import SparseCodes
from offline.label.purity import top_items

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]


def percentiles(values: npt.NDArray[np.number]) -> Scores:
    """Rank of every value between 0 (least) and 1 (largest), ties at their mean rank, [N]."""
    return np.asarray((rankdata(values) - 1) / max(1, len(values) - 1), np.float64)


def mean_activation(codes: FloatArray, members: BoolArray) -> FloatArray:
    """Mean activation of every latent over the items of every concept, [C, L]; ``codes`` [N, L], ``members`` "
    "[C, N].
    """
    count = np.maximum(members.sum(1), 1)[:, None]
    return np.asarray(members.astype(np.float32) @ codes / count, np.float32)


def top_means(values: Scores, top: npt.NDArray[np.int64]) -> Scores:
    """Mean of ``values`` [N] over every latent's items ``top`` [L, K] (-1: none); NaN where places are empty."""
    full = (top >= 0).all(1)
    return np.where(full, values[np.maximum(top, 0)].mean(1), np.nan)


def popularity_neurons(
    codes: SparseCodes, popularity: npt.NDArray[np.number], at: Sequence[int], *, halvings: int, seed: int
) -> list[dict[str, Any]]:
    """Per depth: the most popular and the most niche latent, its mean percentile on all items and held out.

    A row: ``k``, ``end`` (popular | niche), ``latent``, ``all_items``, ``held_out`` (None where no latent fills its
    K places in a half); chance is .5.
    """
    share = percentiles(popularity)
    rng = np.random.default_rng(seed)
    halves = []
    for _ in range(halvings):
        first = np.zeros(len(codes), np.bool_)
        first[rng.permutation(len(codes))[: len(codes) // 2]] = True
        halves.append((first, ~first))
    strongest = top_items(codes, max(at))
    within = [(top_items(codes, max(at), a), top_items(codes, max(at), b)) for a, b in halves]
    rows: list[dict[str, Any]] = []
    for k in at:
        whole = top_means(share, strongest[:, :k])
        parts = [(top_means(share, a[:, :k]), top_means(share, b[:, :k])) for a, b in within]
        for end, sign in (("popular", 1.0), ("niche", -1.0)):
            if not np.isfinite(whole).any():
                continue
            latent = int(np.nanargmax(sign * whole))
            both = [pair for a, b in parts for pair in ((a, b), (b, a))]
            held = [float(scored[np.nanargmax(sign * chosen)]) for chosen, scored in both if np.isfinite(chosen).any()]
            known = [value for value in held if np.isfinite(value)]
            rows.append(
                {
                    "k": k,
                    "end": end,
                    "latent": latent,
                    "all_items": float(whole[latent]),
                    "held_out": float(np.mean(known)) if known else None,
                }
            )
    return rows


def decades(years: npt.NDArray[np.floating], fewest: int = 20) -> tuple[list[str], BoolArray]:
    """Decades with at least ``fewest`` items: their names, and members bool [decades, N]; NaN: no year."""
    decade = np.floor(years / 10) * 10
    found = [int(d) for d in np.unique(decade[np.isfinite(decade)]) if (decade == d).sum() >= fewest]
    return [f"{d}s" for d in found], np.array([decade == d for d in found], np.bool_).reshape(len(found), len(years))


def decade_histogram(years: npt.NDArray[np.floating], items: npt.NDArray[np.int64]) -> dict[str, float]:
    """Share of every decade among the given items that have a year, in order."""
    known = years[items[items >= 0]]
    known = known[np.isfinite(known)]
    decade, count = np.unique((known // 10 * 10).astype(int), return_counts=True)
    return {f"{d}s": float(c / count.sum()) for d, c in zip(decade, count, strict=True)}
