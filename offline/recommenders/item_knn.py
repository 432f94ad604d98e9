"""Item-kNN: the items most like those that the user took; the baseline that papers forget.

    s(i, j) = |U_i & U_j| / (sqrt(|U_i| |U_j|) + shrink),   the ``neighbours`` largest of each row i are kept
    score(u, j) = sum_{i in I_u} s(i, j)

Cosine on the binarised interactions: Sarwar et al. 2001 (Item-based collaborative filtering), with the shrinkage and
neighbourhood of Dacrema et al. 2019 (Are We Really Making Much Progress?, arXiv 1907.06902), where it beats most deep
models. It has no embeddings, so no SAE reads it: it stands beside, like popularity. Legend: U users, N items.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from scipy.sparse import csr_array, vstack

from offline.datasets.types import FloatArray, Interactions
from offline.recommenders.base import check_interactions

ROWS = 512


class ItemKnnConfig(BaseModel):
    """Hyper-parameters; docs/decisions/007 says how they were chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    neighbours: int = Field(default=100, ge=1, description="similar items kept of each item")
    shrink: float = Field(default=10.0, ge=0, description="added to the norm: rare pairs count less")


class ItemKnn:
    """Fitted similarities and the histories that they are asked about."""

    name = "item_knn"

    def __init__(
        self, interactions: Interactions, n_users: int, n_items: int, config: ItemKnnConfig | None = None
    ) -> None:
        """Repeated interactions count once.

        Raises:
            DataError: no interactions, or a row out of range.
        """
        self.config = config or ItemKnnConfig()
        check_interactions(interactions, n_users, n_items)
        ones = np.ones(len(interactions), np.float32)
        taken = csr_array((ones, (interactions.user, interactions.item)), shape=(n_users, n_items))
        taken.sum_duplicates()
        taken.data[:] = 1
        self._taken = taken
        self.similarities = _similarities(taken, self.config)

    def scores(self, users: npt.NDArray[np.intp]) -> FloatArray:
        """Scores [B, N] of every item for the given user rows."""
        return np.asarray((self._taken[users] @ self.similarities).toarray(), np.float32)


def _similarities(taken: csr_array, config: ItemKnnConfig) -> csr_array:
    """[N, N], a row's largest ones; no item is like itself."""
    by_item = csr_array(taken.T)
    norm = np.sqrt(np.diff(by_item.indptr)).astype(np.float32)
    blocks = []
    for start in range(0, by_item.shape[0], ROWS):
        both = (by_item[start : start + ROWS] @ taken).toarray()
        rows = np.arange(len(both))
        both[rows, start + rows] = 0
        alike = both / (norm[start : start + ROWS, None] * norm[None] + config.shrink + np.float32(1e-9))
        keep = min(config.neighbours, alike.shape[1])
        best = np.argpartition(-alike, keep - 1, axis=1)[:, :keep]
        values = np.take_along_axis(alike, best, 1)
        block = csr_array((values.ravel(), (np.repeat(rows, keep), best.ravel())), shape=alike.shape)
        block.eliminate_zeros()
        blocks.append(block)
    return csr_array(vstack(blocks, format="csr"))
