"""The scores of a frozen recommender for any user and item vectors, edited or not, and lists from them.

Metric recommenders score by inner product or cosine, NCF by its network. Legend: B users, N items, D embedding, K list
length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from bundle import search_vectors
from offline.evaluate.panel import FloatArray
from offline.recommenders.base import TrainedRecommender

BLOCK_PAIRS = 500_000
"""Pairs that go through a network at a time."""


@dataclass(frozen=True)
class Ranker:
    """Scores by the recommender ``trained``; ``device`` is where its network runs."""

    trained: TrainedRecommender
    device: str = "cpu"

    def __call__(
        self, users: FloatArray, items: FloatArray | None = None, rows: npt.NDArray[np.intp] | None = None
    ) -> FloatArray:
        """Scores [B, N] of user vectors [B, D] for item vectors [N, D] (the recommender's own when None).

        ``rows`` [N]: which items they are, for their bias; all in order when None.
        """
        embeddings = self.trained.embeddings
        items = embeddings.items if items is None else items
        if self.trained.scorer is not None:
            return self._network(users, items)
        queries = search_vectors(users, None, embeddings.metric)
        scores = queries @ search_vectors(items, None, embeddings.metric).T
        bias = embeddings.item_bias
        if bias is not None:
            scores += bias if rows is None else bias[rows]
        return np.asarray(scores, np.float32)

    @torch.no_grad()
    def _network(self, users: FloatArray, items: FloatArray) -> FloatArray:
        network = self.trained.scorer
        assert network is not None
        network.to(self.device)
        catalogue = torch.as_tensor(items, device=self.device)
        step = max(1, BLOCK_PAIRS // len(items))
        parts = [
            network(torch.as_tensor(users[start : start + step], device=self.device), catalogue).float().cpu().numpy()
            for start in range(0, len(users), step)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, len(items)), np.float32)
