"""Two ways to hold out interactions: the end of each user's time, or random ones.

``temporal``: the last ``floor(share * n)`` interactions of each user by ``order`` are the test; the honest one, because
a service predicts what comes next. ``leave_random``: ``count`` random interactions of each user (the
protocol ``paper``). A user keeps at least one interaction for training. Ties in ``order`` keep the order of the rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from offline.datasets.types import Interactions


class Split(NamedTuple):
    """Train and test, with the rows of the original interactions they came from (ascending)."""

    train: Interactions
    test: Interactions
    train_rows: npt.NDArray[np.intp]
    test_rows: npt.NDArray[np.intp]


def temporal(interactions: Interactions, share: float = 0.2) -> Split:
    """The last ``floor(share * n)`` of each user's n interactions are the test."""
    if not 0 < share < 1:
        raise ValueError(f"share {share} is not between 0 and 1")
    rank_from_end, count = _rank_from_end(interactions.user, interactions.order)
    # 1e-9: .2 * 5 must count as 1 in floating point too.
    held = np.floor(count * share + 1e-9).astype(np.int64)
    return _split(interactions, rank_from_end < held)


def leave_random(interactions: Interactions, count: int = 5, *, seed: int) -> Split:
    """``count`` random interactions of each user are the test; of a user with fewer than count + 1, all but one."""
    if count < 1:
        raise ValueError(f"count {count} is below 1")
    shuffled = np.random.default_rng(seed).permutation(len(interactions)).astype(np.int64)
    rank_from_end, owned = _rank_from_end(interactions.user, shuffled)
    return _split(interactions, rank_from_end < np.minimum(count, owned - 1))


def _rank_from_end(
    user: npt.NDArray[np.int32], key: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each row: how many later rows its user has, and how many rows in all."""
    by_user = np.lexsort((key, user))
    counts = np.bincount(user)
    ends = np.cumsum(counts)
    later = np.empty(len(user), np.int64)
    later[by_user] = ends[user[by_user]] - 1 - np.arange(len(user))
    return later, counts[user].astype(np.int64)


def _split(interactions: Interactions, test: npt.NDArray[np.bool_]) -> Split:
    train_rows, test_rows = np.flatnonzero(~test), np.flatnonzero(test)
    return Split(interactions.take(train_rows), interactions.take(test_rows), train_rows, test_rows)
