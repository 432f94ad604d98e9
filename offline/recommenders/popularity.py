"""Popularity: everybody gets the items that most users took. The floor that a recommender has to clear.

As embeddings: ``item_bias = log(count + 1)``, where count is the number of distinct users of an item, and vectors of
one dimension that carry nothing (``score(u, v) = 0 * 0 + b_v``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from offline.datasets.types import Embeddings, Interactions
from offline.recommenders.base import Progress, TrainedRecommender, check_interactions


class PopularityConfig(BaseModel):
    """Nothing to choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Popularity:
    """Counts; not personal, and not something to train an SAE on (its vectors are zero)."""

    name = "popularity"

    def fit(
        self,
        interactions: Interactions,
        n_users: int,
        n_items: int,
        config: PopularityConfig | None = None,  # noqa: ARG002  the contract's argument
        *,
        seed: int = 0,
        progress: Progress | None = None,
        device: str = "cpu",  # noqa: ARG002  the contract's argument
        checkpoint: Path | None = None,  # noqa: ARG002  the contract's argument
    ) -> TrainedRecommender:
        """Zero vectors of one dimension, and the log count as bias."""
        check_interactions(interactions, n_users, n_items)
        pairs = np.unique(interactions.user.astype(np.int64) * n_items + interactions.item)
        count = np.bincount(pairs % n_items, minlength=n_items)
        if progress is not None:
            progress(1, 1, {})
        embeddings = Embeddings(
            items=np.zeros((n_items, 1), np.float32),
            users=np.zeros((n_users, 1), np.float32),
            item_bias=np.log1p(count).astype(np.float32),
            metric="dot",
        )
        return TrainedRecommender(self.name, embeddings, facts={"config": {}, "seed": seed})
