"""Three ways to hold out interactions: the end of each user's time, random ones, or the very last.

``temporal``: the last ``floor(share * n)`` interactions of each user by ``order`` are the test; the honest one, because
a service predicts what comes next. ``paper``: every interaction counts the same (binarised, each user-item pair once),
5 random held-out positives per user. ``leave_last_out``: the last interaction of each user, the protocol of the
sequential literature (Kang and McAuley 2018, arXiv 1808.09781). A user keeps at least one interaction for training.
Ties in ``order`` keep the order of the rows.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from bundle.errors import DataError
from offline.datasets.types import Interactions

Protocol = Literal["temporal", "paper", "leave_last_out"]

TEST_SHARE = 0.2
PAPER_COUNT = 5

SENTENCES: dict[str, str] = {
    "temporal": f"temporal: the last {TEST_SHARE:.0%} of each user's interactions, seen items masked, full ranking",
    "paper": f"paper: binarised, {PAPER_COUNT} random positives of each user, seen items masked, full ranking",
    "leave_last_out": "leave_last_out: the last interaction of each user, seen items masked, full ranking",
}
"""What a report says of each protocol."""


class Split(NamedTuple):
    """Train and test, with the rows of the original interactions they came from (ascending)."""

    train: Interactions
    test: Interactions
    train_rows: npt.NDArray[np.intp]
    test_rows: npt.NDArray[np.intp]


def hold_out(interactions: Interactions, protocol: Protocol = "temporal", *, seed: int = 0) -> Split:
    """The split of a protocol by name; ``seed`` draws the test of ``paper``.

    Raises:
        DataError: no such protocol.
    """
    if protocol == "temporal":
        return temporal(interactions, TEST_SHARE)
    if protocol == "paper":
        return paper(interactions, seed=seed)
    if protocol == "leave_last_out":
        return leave_last_out(interactions)
    raise DataError("protocol", found=repr(protocol), expected=f"one of {', '.join(get_args(Protocol))}")


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


def paper(interactions: Interactions, count: int = PAPER_COUNT, *, seed: int) -> Split:
    """``leave_random`` of the distinct user-item pairs (the first of each pair stays), every weight 1."""
    order = np.lexsort((interactions.order, interactions.item, interactions.user))
    user, item = interactions.user[order], interactions.item[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (user[1:] != user[:-1]) | (item[1:] != item[:-1])
    kept = np.sort(order[first])
    taken = interactions.take(kept)
    split = leave_random(
        Interactions(taken.user, taken.item, taken.order, np.ones(len(kept), np.float32)), count, seed=seed
    )
    return split._replace(train_rows=kept[split.train_rows], test_rows=kept[split.test_rows])


def leave_last_out(interactions: Interactions) -> Split:
    """The last interaction of each user is the test; of a user with one interaction, none."""
    rank_from_end, owned = _rank_from_end(interactions.user, interactions.order)
    return _split(interactions, (rank_from_end == 0) & (owned > 1))


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
