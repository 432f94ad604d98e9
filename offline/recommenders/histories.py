"""Interactions as one sequence per user, oldest first, and padded windows of them.

Legend: U users, M interactions, B users of a batch, T positions of a window.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from offline.datasets.types import Interactions


class Histories(NamedTuple):
    """``items`` [M] by user and then by order; user u's are ``items[indptr[u] : indptr[u + 1]]``."""

    indptr: npt.NDArray[np.int64]
    items: npt.NDArray[np.int64]

    @classmethod
    def of(cls, interactions: Interactions, n_users: int) -> Histories:
        """Ties in ``order`` keep the order of the rows."""
        by_user = np.lexsort((interactions.order, interactions.user))
        counts = np.bincount(interactions.user, minlength=n_users)
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(indptr, interactions.item[by_user].astype(np.int64))

    def __len__(self) -> int:
        """Number of users."""
        return len(self.indptr) - 1

    def lengths(self) -> npt.NDArray[np.int64]:
        """Interactions of each user, [U]."""
        return np.diff(self.indptr)

    def windows(self, users: npt.NDArray[np.intp], end: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
        """The ``length`` items before place ``end`` [B] of each history: item row + 1, 0 on the left: int64 [B, T]."""
        place = end[:, None] - length + np.arange(length)
        padding = place < 0
        rows = np.where(padding, 0, self.indptr[users][:, None] + place)
        return np.where(padding, 0, self.items[rows] + 1)

    def newest(self, users: npt.NDArray[np.intp], most: int) -> npt.NDArray[np.int64]:
        """The newest items of each of ``users``, as wide as the longest history, at most ``most``."""
        lengths = self.lengths()[users]
        return self.windows(users, lengths, int(min(most, max(1, lengths.max(initial=1)))))

    def fingerprint(self) -> str:
        """SHA-256 of who took what in which order."""
        return hashlib.sha256(self.indptr.tobytes() + self.items.tobytes()).hexdigest()
