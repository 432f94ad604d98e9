"""The users an evaluation looks at: their base scores with seen items masked, and what they took later.

A user of the panel has at least one *relevant* item: a test item outside their training items. Without interactions
(own embeddings alone) the panel is any users, nothing is masked, and there is no NDCG. Legend: U users of the panel,
N items, K list length.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from offline.datasets.types import Embeddings, Interactions
from offline.recommenders.ranking import scorer, top_items

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Panel:
    """``users`` [U] rows of the embeddings; ``seen``, ``relevant`` bool [U, N], None without interactions."""

    users: IntArray
    seen: BoolArray | None
    relevant: BoolArray | None

    @classmethod
    def sample(
        cls, embeddings: Embeddings, train: Interactions | None, test: Interactions | None, most: int, seed: int
    ) -> Panel:
        """At most ``most`` users, drawn without replacement, ascending."""
        n_users, n_items = len(embeddings.users), len(embeddings.items)
        rng = np.random.default_rng(seed)
        if train is None or test is None:
            return cls(np.sort(rng.permutation(n_users)[:most]), None, None)
        seen = incidence(train, n_users, n_items)
        relevant = incidence(test, n_users, n_items)
        relevant = relevant - relevant.multiply(seen)
        able = np.flatnonzero(np.asarray(relevant.sum(axis=1)).ravel() > 0)
        users = np.sort(rng.permutation(able)[:most])
        return cls(users, seen[users].toarray() > 0, relevant[users].toarray() > 0)

    def masked(self, scores: FloatArray) -> FloatArray:
        """``scores`` [U, N] with -inf where the user has seen the item."""
        return scores if self.seen is None else np.where(self.seen, np.float32(-np.inf), scores)

    def base_scores(self, embeddings: Embeddings) -> FloatArray:
        """The recommender's own scores [U, N], seen items masked."""
        return self.masked(scorer(embeddings)(self.users))

    @cached_property
    def _wanted(self) -> npt.NDArray[np.int64]:
        assert self.relevant is not None
        return np.asarray(self.relevant.sum(1), np.int64)

    def ndcg(self, lists: IntArray) -> npt.NDArray[np.float64] | None:
        """NDCG of every user's list [U, K] against the relevant items, [U]; None without interactions."""
        if self.relevant is None:
            return None
        discount = 1 / np.log2(np.arange(2, lists.shape[1] + 2))
        ideal = np.concatenate([[0.0], np.cumsum(discount)])
        return np.asarray(self._hits(lists) @ discount / ideal[np.minimum(self._wanted, lists.shape[1])], np.float64)

    def recall(self, lists: IntArray) -> npt.NDArray[np.float64] | None:
        """Share of every user's relevant items that is in the list, [U]; None without interactions."""
        if self.relevant is None:
            return None
        return np.asarray(self._hits(lists).sum(1) / self._wanted, np.float64)

    def _hits(self, lists: IntArray) -> BoolArray:
        assert self.relevant is not None
        return np.take_along_axis(self.relevant, np.maximum(lists, 0), 1) & (lists >= 0)


def best_lists(scores: FloatArray, k: int) -> IntArray:
    """The k best items of each row of ``scores``, best first; -1 where only masked items are left, [U, K]."""
    lists = top_items(scores, k)
    return np.where(np.isfinite(np.take_along_axis(scores, lists, 1)), lists, -1)


def incidence(interactions: Interactions, n_users: int, n_items: int) -> csr_array:
    """1 where a user took an item, however often, [U, N]."""
    values = np.ones(len(interactions), np.int32)
    table = csr_array((values, (interactions.user, interactions.item)), shape=(n_users, n_items))
    table.sum_duplicates()
    table.data[:] = 1
    return table
