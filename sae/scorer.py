"""The frozen recommender's score as torch sees it: gradients pass through, nothing in it moves.

``dot``: ``p . q + b_v``; ``cosine``: ``p . q / (|p| |q|)``. The item bias takes part wherever there is one: it shifts
whole lists towards popular items, and a reconstruction judged without it would be judged on lists that nobody is shown.
Legend: U users and N items of a block, D embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from bundle import Metric

SAMPLE_USERS, SAMPLE_ITEMS = 1024, 8192


class FrozenScorer:
    """Scores of embeddings, original or reconstructed.

    ``variance``: of the scores of all pairs; ``spread``: standard deviation of one user's scores over the items, root
    mean square over users. Both on an evenly spaced sample of at most 1,024 users and 8,192 items.
    """

    def __init__(self, metric: Metric, users: Tensor, items: Tensor, bias: Tensor | None) -> None:
        self.metric = metric
        self.bias = bias
        some_users = _spaced(len(users), SAMPLE_USERS, users.device)
        some_items = _spaced(len(items), SAMPLE_ITEMS, items.device)
        with torch.no_grad():
            scores = self.block(users[some_users], items[some_items], some_items)
            floor = torch.finfo(scores.dtype).tiny
            self.variance = max(float(scores.var(correction=0)), floor)
            self.spread = max(float(scores.var(1, correction=0).mean().sqrt()), floor**0.5)

    def block(self, users: Tensor, items: Tensor, rows: Tensor) -> Tensor:
        """Scores [U, N] of every user [U, D] for every item [N, D]; ``rows`` [N] are the items' row numbers."""
        if self.metric == "cosine":
            return functional.normalize(users, dim=1) @ functional.normalize(items, dim=1).T
        if self.bias is None:
            return users @ items.T
        return torch.addmm(self.bias[rows], users, items.T)

    def pairs(self, users: Tensor, items: Tensor, rows: Tensor) -> Tensor:
        """Scores [B] of pair j = (users[j], items[j]), item rows ``rows`` [B]."""
        if self.metric == "cosine":
            return functional.cosine_similarity(users, items)
        score = (users * items).sum(1)
        return score if self.bias is None else score + self.bias[rows]


def _spaced(count: int, most: int, device: torch.device) -> Tensor:
    return torch.linspace(0, count - 1, min(count, most), device=device).round().long()
