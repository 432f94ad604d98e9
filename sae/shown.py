"""What the recommender shows: which items stand in users' current top lists, and which pairs never do.

Random blocks weigh the bulk of a catalogue that nobody is shown; a prediction term that is to keep the lists should
look at the items they are made of, and not at those that a user has had already. Legend: U users, N items.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sae.rows import IntArray, TrainingRows
from sae.scorer import FrozenScorer

MOST_USERS, MOST_ITEMS, CHUNK = 2048, 65_536, 500_000


class Hidden:
    """Observed pairs as compressed rows: an item a user has had is not shown again."""

    def __init__(self, pairs: tuple[IntArray, IntArray], n_users: int, n_items: int, device: torch.device) -> None:
        user, item = pairs
        order = np.argsort(user, kind="stable")
        counts = np.bincount(user, minlength=n_users)
        self.starts = torch.as_tensor(np.concatenate([[0], np.cumsum(counts)]), device=device)
        self.items = torch.as_tensor(item[order], device=device)
        self.n_items = n_items

    def mask(self, users: Tensor, items: Tensor) -> Tensor:
        """Bool [U, N]: user ``users[i]`` has had item ``items[j]``; ``items`` are different rows."""
        place = torch.full((self.n_items,), -1, dtype=torch.int64, device=items.device)
        place[items] = torch.arange(len(items), device=items.device)
        length = self.starts[users + 1] - self.starts[users]
        row = torch.repeat_interleave(torch.arange(len(users), device=users.device), length)
        inside = torch.arange(len(row), device=users.device) - (torch.cumsum(length, 0) - length)[row]
        column = place[self.items[self.starts[users][row] + inside]]
        mask = torch.zeros(len(users), len(items), dtype=torch.bool, device=items.device)
        mask[row[column >= 0], column[column >= 0]] = True
        return mask


@torch.no_grad()
def shown_weights(
    data: TrainingRows, scorer: FrozenScorer, depth: int, hidden: Hidden | None
) -> npt.NDArray[np.float64]:
    """Share of users in whose top ``depth`` an item stands, [N]; without what ``hidden`` knows they have had.

    Over at most 2,048 users and 65,536 items, evenly spaced; items beyond them get weight 0 and come uniformly.
    """
    place = data.raw_items.device
    users = _spaced(len(data.raw_users), MOST_USERS, place)
    items = _spaced(len(data.raw_items), MOST_ITEMS, place)
    count = torch.zeros(len(data.raw_items), dtype=torch.float64, device=place)
    for part in torch.split(users, max(1, CHUNK // len(items))):
        scores = scorer.block(data.raw_users[part], data.raw_items[items], items)
        if hidden is not None:
            scores = scores.masked_fill(hidden.mask(part, items), -torch.inf)
        best = torch.topk(scores, min(depth, len(items)), dim=1).indices
        count += torch.bincount(items[best].flatten(), minlength=len(count))
    weights: npt.NDArray[np.float64] = (count / len(users)).cpu().numpy()
    return weights


def _spaced(count: int, most: int, device: torch.device) -> Tensor:
    return torch.linspace(0, count - 1, min(count, most), device=device, dtype=torch.float64).round().long()
