"""How alike two ranked lists are. Lists are rows of item numbers without repeats; B users, K length.

Rank-biased overlap (Webber, Moffat & Zobel 2010, A Similarity Measure for Indefinite Rankings) with ``A_d`` the overlap
of the first d places over d:

    truncated     (1 - p) sum_{d=1}^K p^(d-1) A_d                 identical lists: 1 - p^K (.958 for p = .9, K = 30)
    extrapolated  truncated + p^K A_K                             identical lists: 1

Kendall's tau-b (Kendall 1945) over the union of both lists; an item that a list lacks has rank K + 1 there.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau, rankdata

IntArray = npt.NDArray[np.intp]
Scores = npt.NDArray[np.float64]


def overlap(a: IntArray, b: IntArray) -> Scores:
    """Share of the items of ``a`` [B, K] that are in ``b`` [B, K], per row; places filled with -1 never match."""
    return np.asarray(((a[:, :, None] == b[:, None, :]) & (a[:, :, None] >= 0)).any(2).mean(1), np.float64)


def rank_biased_overlap(a: IntArray, b: IntArray, p: float = 0.9, *, extrapolated: bool = False) -> Scores:
    """RBO of the rows of ``a`` and ``b`` [B, K], truncated or extrapolated, [B]."""
    length = a.shape[1]
    same = a[:, :, None] == b[:, None, :]
    # A pair of equal items counts from the depth at which both lists have reached it.
    reached = np.maximum(np.arange(length)[:, None], np.arange(length)[None, :])
    first_at = np.zeros((len(a), length))
    for depth in range(length):
        first_at[:, depth] = same[:, reached == depth].sum(1)
    agreement = np.cumsum(first_at, axis=1) / np.arange(1, length + 1)
    truncated = (1 - p) * (agreement @ p ** np.arange(length))
    return np.asarray(truncated + p**length * agreement[:, -1] if extrapolated else truncated, np.float64)


def kendall_tau(a: IntArray, b: IntArray) -> Scores:
    """Tau-b of the rows of ``a`` and ``b`` [B, K] over the union of their items, missing = rank K + 1, [B].

    1 for identical lists, also where tau-b has nothing to compare (one shared item).
    """
    return np.array([_tau(left, right) for left, right in zip(a, b, strict=True)], np.float64)


def _tau(left: IntArray, right: IntArray) -> float:
    if np.array_equal(left, right):
        return 1.0
    union = np.union1d(left, right)
    ranks = []
    for items in (left, right):
        rank = np.full(len(union), len(items) + 1)
        rank[np.searchsorted(union, items)] = np.arange(1, len(items) + 1)
        ranks.append(rankdata(rank, method="dense"))
    return float(kendalltau(*ranks).statistic)
