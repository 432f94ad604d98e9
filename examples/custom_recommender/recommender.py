"""A recommender that Tiller has never seen, handed over as files: two tables, a scorer and a user tower.

    python examples/custom_recommender/recommender.py mine
    python -m offline.train_sae --items mine/items.parquet --users mine/users.parquet \
        --interactions mine/interactions.parquet --scorer mine/scorer.onnx --user-tower mine/user_tower.onnx \
        --out mine/bundle

Replace ``train`` by your own training; what counts are the two forward methods and the four files.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

from offline.datasets.synthetic import SyntheticConfig, make_synthetic
from offline.export_torch import export_scorer, export_user_tower
from offline.recommenders.histories import Histories

DIM, LENGTH, BATCH = 24, 20, 64


class Scorer(nn.Module):
    """An inner product, and what a small network adds to it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3 * DIM, 32), nn.GELU(), nn.Linear(32, 1))

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Users [B, D] and items [n, D] to scores [B, n]."""
        shape = (users.shape[0], items.shape[0], DIM)
        p, q = users[:, None].expand(shape), items[None].expand(shape)
        return users @ items.T + self.layers(torch.cat([p, q, p * q], dim=2)).squeeze(2)


class Tower(nn.Module):
    """A user is a mean of the items, newer ones weighing more."""

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.items = nn.Embedding(n_items + 1, DIM, padding_idx=0)
        self.recency = nn.Parameter(torch.linspace(-1, 0, LENGTH))
        self.out = nn.Linear(DIM, DIM)

    def forward(self, history: Tensor) -> Tensor:
        """History int64 [B, T], item row + 1, 0 = padding on the left, newest last, to users [B, D]."""
        weight = self.recency.exp() * (history > 0)
        mean = (self.items(history) * weight[..., None]).sum(1) / weight.sum(1, keepdim=True).clamp(min=1e-6)
        return self.out(mean)


def train(tower: Tower, scorer: Scorer, history: Tensor, taken: Tensor, *, steps: int = 200) -> None:
    """Softmax over all items; half of a user's items at random are the history, the others are to be found."""
    optimiser = torch.optim.Adam([*tower.parameters(), *scorer.parameters()], lr=0.01)
    for _ in range(steps):
        some = torch.randperm(len(history))[:BATCH]
        kept = history[some] * (torch.rand(BATCH, LENGTH) < 0.5)
        logits = scorer(tower(kept), tower.items.weight[1:])
        loss = -(logits.log_softmax(1) * taken[some]).sum(1).div(taken[some].sum(1)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def main(out: Path) -> None:
    """Train, and write the four files and the interactions."""
    torch.manual_seed(0)
    data = make_synthetic(SyntheticConfig(items=400, users=300, mean_interactions=30), seed=0)
    taken, n_items = data.interactions, data.items.num_rows
    known = Histories.of(taken, len(data.user_ids))
    history = torch.from_numpy(known.windows(np.arange(len(known)), known.lengths(), LENGTH))
    matrix = torch.zeros(len(known), n_items)
    matrix[torch.from_numpy(taken.user.astype(np.int64)), torch.from_numpy(taken.item.astype(np.int64))] = 1

    tower, scorer = Tower(n_items), Scorer()
    train(tower, scorer, history, matrix)
    tower.eval()
    scorer.eval()

    out.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        users, items = tower(history).numpy(), tower.items.weight[1:].numpy()
    pq.write_table(data.items.append_column("embedding", pa.array(list(items))), out / "items.parquet")
    pq.write_table(pa.table({"user_id": data.user_ids, "embedding": list(users)}), out / "users.parquet")
    ids = np.array(data.items["item_id"].to_pylist())
    rows = {"user_id": np.array(data.user_ids)[taken.user], "item_id": ids[taken.item], "order": taken.order}
    pq.write_table(pa.table(rows), out / "interactions.parquet")
    export_scorer(scorer, out / "scorer.onnx", dim=DIM)
    export_user_tower(tower, out / "user_tower.onnx", history_length=LENGTH, n_items=n_items)
    print(f"{n_items} items and {len(users)} users with their scorer and tower in {out}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
