"""What a perfect soft rule would show: the lists that overlap is measured against.

Suppression: the hard filter, the best items without the label. Promotion to a share of the list: the quota re-rank, for
every user the fewest changes that bring the share up: the ``ceil(share K)`` best members and the best of the others,
and the unsteered list where it has as many members already. Legend: U users, N items, K list length.
"""

from __future__ import annotations

import numpy as np

from offline.evaluate.doses import Base
from offline.evaluate.panel import BoolArray, FloatArray, IntArray, best_lists


def hard_filter(base: Base, members: BoolArray) -> IntArray:
    """The K best items that are not members, [U, K]."""
    return best_of(base.scores, ~members, base.k)


def quota(base: Base, members: BoolArray, share: float) -> IntArray:
    """Lists of which at least ``share`` are members, changed no more than needed, best first, [U, K]."""
    need = int(np.ceil(share * base.k - 1e-9))
    inside, outside = best_of(base.scores, members, need), best_of(base.scores, ~members, base.k)
    lists = base.lists.copy()
    have = (members[np.maximum(lists, 0)] & (lists >= 0)).sum(1)
    for user in np.flatnonzero(have < need):
        own = inside[user][inside[user] >= 0]
        rest = outside[user][outside[user] >= 0][: base.k - len(own)]
        both = np.concatenate([own, rest])
        order = np.lexsort((both, -base.scores[user, both]))
        lists[user] = -1
        lists[user, : len(both)] = both[order]
    return lists


def best_of(scores: FloatArray, among: BoolArray, k: int) -> IntArray:
    """The k best items of each row of ``scores`` [U, N] among the given ones [N]; -1 where there are fewer, [U, k]."""
    items = np.flatnonzero(among)
    out = np.full((len(scores), k), -1, np.intp)
    best = best_lists(scores[:, items], k) if len(items) else out[:, :0]
    out[:, : best.shape[1]] = np.where(best >= 0, items[np.maximum(best, 0)] if len(items) else best, -1)
    return out
