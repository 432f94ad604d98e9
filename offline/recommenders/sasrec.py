"""SASRec: a causal transformer that reads a user's history and ends in the user's embedding.

    x_t^0 = e_{v_t} + pos_t
    x^{l+1} = h + FFN(LN(h)),  h = x^l + Attention(LN(x^l)),  each position sees itself and what came before
    score(u, v) = LN(x_T^L) . e_v

Kang and McAuley 2018 (Self-Attentive Sequential Recommendation, arXiv 1808.09781), item embeddings tied to the output,
blocks in the pre-norm order. Trained with the cross entropy over all items at every position in place of one sampled
negative: Klenitskiy and Vasilev 2023 (Turning Dross Into Gold Loss, arXiv 2309.07602). Histories are padded with 0 on
the left and positions are counted from the newest item, so padding changes nothing and a shorter window is a shorter
table of positions. Legend: B users, T positions, D embedding, N items, P scored positions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from bundle.errors import TrainingError
from offline.datasets.types import Embeddings, Interactions
from offline.recommenders.base import Progress, TrainedRecommender, check_interactions
from offline.recommenders.epochs import EpochCheckpoint, one_cycle, set_learning_rates
from offline.recommenders.histories import Histories
from offline.recommenders.tied_loss import tied_cross_entropy


class SasRecConfig(BaseModel):
    """Hyper-parameters; docs/decisions/007 says how they were chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dim: int = Field(default=64, ge=1, description="size of an embedding and of the residual stream, D")
    blocks: int = Field(default=2, ge=1, description="transformer blocks")
    heads: int = Field(default=2, ge=1, description="attention heads; divides dim")
    max_length: int = Field(default=200, ge=1, description="newest items of a history that are read, T")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="on embeddings and on what each sublayer adds")
    epochs: int = Field(default=20, ge=1, description="passes over the users, one window of each")
    batch_positions: int = Field(default=6400, ge=1, description="positions per step, padding included")
    learning_rate: float = Field(default=0.004, gt=0, description="peak of the one-cycle schedule")
    weight_decay: float = Field(default=0.01, ge=0, description="of AdamW, on every weight")

    @model_validator(mode="after")
    def _heads_divide(self) -> SasRecConfig:
        if self.dim % self.heads:
            raise ValueError(f"heads {self.heads} do not divide dim {self.dim}")
        return self


class Block(nn.Module):
    """Self-attention and a feed-forward layer, each added to the residual stream."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_feed = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.feed = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(dim, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Residual stream [B, T, D] to the next; ``mask`` bool [B, 1, T, T] is true where a query may look."""
        batch, length, dim = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(batch, length, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = x + self.dropout(self.out(seen.transpose(1, 2).reshape(batch, length, dim)))
        y: Tensor = x + self.dropout(self.feed(self.norm_feed(x)))
        return y


class SasRecTower(nn.Module):
    """The user tower; its item table is the item tower. Row 0 of the table is the padding and stays zero."""

    causal: Tensor
    itself: Tensor

    def __init__(self, n_items: int, config: SasRecConfig) -> None:
        super().__init__()
        self.length = config.max_length
        self.items = nn.Embedding(n_items + 1, config.dim, padding_idx=0)
        self.positions = nn.Parameter(torch.empty(config.max_length, config.dim))
        self.blocks = nn.ModuleList(Block(config.dim, config.heads, config.dropout) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.dim)
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("causal", torch.ones(config.max_length, config.max_length).tril() > 0, persistent=False)
        self.register_buffer("itself", torch.eye(config.max_length) > 0, persistent=False)

    def initialise(self, generator: torch.Generator) -> None:
        """Normal of standard deviation 1/sqrt(D) for tables, 0.02 for layers; biases zero."""
        for name, weight in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(weight)
            elif "norm" in name:
                nn.init.ones_(weight)
            else:
                scale = 0.02 if name != "items.weight" else weight.shape[1] ** -0.5 / 2
                nn.init.normal_(weight, std=scale, generator=generator)
        with torch.no_grad():
            self.items.weight[0] = 0

    def residual(self, history: Tensor, after: int = 0) -> Tensor:
        """Residual stream [B, T, D] after block ``after`` (0 is the first), where Klenitskiy et al. 2025 put an SAE.

        ``history`` int64 [B, T], T at most ``length``; rows of padding are meaningless.
        """
        length = history.shape[1]
        x: Tensor = self.dropout(self.items(history) + self.positions[self.length - length :])
        return self._through(x, history, 0, after + 1)

    def resumed(self, x: Tensor, history: Tensor, after: int = 0) -> Tensor:
        """User embeddings [B, D] when the residual stream after block ``after`` is ``x`` [B, T, D]."""
        rest = self._through(x, history, after + 1, len(self.blocks))
        made: Tensor = self.norm(rest)[:, -1]
        return made

    def _through(self, x: Tensor, history: Tensor, first: int, end: int) -> Tensor:
        """The residual stream through the blocks ``first`` to ``end``, the latter not included."""
        length = history.shape[1]
        real = history > 0
        # A padded query looks at itself alone: a row of softmax without any key would be NaN.
        causal, itself = self.causal[:length, :length], self.itself[:length, :length]
        mask = ((causal & real[:, None, :]) | itself)[:, None]
        for block in self.blocks[first:end]:
            x = block(x, mask)
        return x

    def states(self, history: Tensor) -> Tensor:
        """What is multiplied with the items, at every position: [B, T, D]."""
        states: Tensor = self.norm(self.residual(history, len(self.blocks) - 1))
        return states

    def forward(self, history: Tensor) -> Tensor:
        """User embeddings [B, D] of ``history`` int64 [B, T]: item row + 1, 0 padding on the left, newest last."""
        return self.states(history)[:, -1]


class SasRec:
    """Recommender by history: ``score(u, v) = tower(history of u) . q_v``."""

    name = "sasrec"

    def fit(
        self,
        interactions: Interactions,
        n_users: int,
        n_items: int,
        config: SasRecConfig | None = None,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        device: str = "cpu",
        checkpoint: Path | None = None,
    ) -> TrainedRecommender:
        """Item table and the final states of the given histories, metric dot. ``progress`` gets ``loss``.

        An item that a user took several times stands in the history each time. Users without interactions get the
        mean user vector.

        Raises:
            DataError: no interactions, or a row out of range.
            TrainingError: the loss became NaN or infinite, or the checkpoint is another fit's.
        """
        config = config or SasRecConfig()
        check_interactions(interactions, n_users, n_items)
        started = time.perf_counter()
        histories = Histories.of(interactions, n_users)
        with torch.random.fork_rng(devices=[]):  # layers draw their first weights from the global generator
            tower = SasRecTower(n_items, config)
        tower.initialise(torch.Generator().manual_seed(seed))
        tower.to(device)
        optimiser = torch.optim.AdamW(
            [{"params": list(tower.parameters()), "peak": config.learning_rate}],
            betas=(0.9, 0.98),
            weight_decay=config.weight_decay,
        )
        facts = {"config": config.model_dump(), "seed": seed, "data": histories.fingerprint(), "items": n_items}
        kept = EpochCheckpoint(checkpoint, facts)
        for epoch in range(kept.load(tower, optimiser), config.epochs):
            loss = _epoch(tower, optimiser, histories, config, epoch=epoch, seed=seed)
            kept.save(epoch + 1, tower, optimiser)
            if progress is not None:
                progress(epoch + 1, config.epochs, {"loss": loss})
        tower.eval()
        made = Embeddings(
            items=tower.items.weight[1:].detach().cpu().numpy().copy(),
            users=encode_histories(tower, histories),
            item_bias=None,
            metric="dot",
        )
        kept.drop()
        told = {"config": config.model_dump(), "seed": seed, "epochs": config.epochs}
        told["seconds"] = round(time.perf_counter() - started, 1)
        return TrainedRecommender(self.name, made, None, tower.cpu(), config.max_length, told)


def encode_histories(tower: SasRecTower, histories: Histories, batch: int = 128) -> npt.NDArray[np.float32]:
    """Final states [U, D] of all users; those without a history get the mean of the others."""
    device = tower.positions.device
    out = np.zeros((len(histories), tower.positions.shape[1]), np.float32)
    lengths = histories.lengths()
    known = np.flatnonzero(lengths)
    known = known[np.argsort(lengths[known], kind="stable")]
    with torch.no_grad():
        for start in range(0, len(known), batch):
            users = known[start : start + batch]
            out[users] = tower(torch.from_numpy(histories.newest(users, tower.length)).to(device)).cpu().numpy()
    out[lengths == 0] = out[known].mean(0)
    return out


def _epoch(
    tower: SasRecTower,
    optimiser: torch.optim.Optimizer,
    histories: Histories,
    config: SasRecConfig,
    *,
    epoch: int,
    seed: int,
) -> float:
    """One pass over the users; the mean loss per position."""
    tower.train()
    total, count = 0.0, 0
    batches = list(_windows(histories, config, np.random.default_rng([seed, epoch])))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed * 1_000_003 + epoch)  # dropout
        for place, window in enumerate(batches):
            set_learning_rates(optimiser, one_cycle(epoch * len(batches) + place, config.epochs * len(batches)))
            rows = torch.from_numpy(window).to(tower.positions.device)
            history, target = rows[:, :-1], rows[:, 1:]
            real = history > 0
            optimiser.zero_grad(set_to_none=True)
            loss = tied_cross_entropy(tower.states(history)[real], tower.items.weight[1:], target[real] - 1)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            scored = int(real.sum())
            total, count = total + float(loss.detach()) * scored, count + scored
    if not np.isfinite(total):
        raise TrainingError(
            f"sasrec: loss at epoch {epoch + 1}",
            found=total,
            expected="a finite number",
            hint=f"Lower the learning rate (now {config.learning_rate}).",
        )
    return total / max(count, 1)


def _windows(histories: Histories, config: SasRecConfig, rng: np.random.Generator) -> Iterator[npt.NDArray[np.int64]]:
    """One window of T + 1 items of each user, longer histories cut at random; batches of users of similar length."""
    lengths = histories.lengths()
    size = np.minimum(lengths, config.max_length + 1)
    users = np.flatnonzero(size > 1)
    end = lengths[users] - rng.integers(0, lengths[users] - size[users] + 1)
    order = np.argsort(size[users] + rng.random(len(users)), kind="stable")
    batches, first = [], 0
    while first < len(order):
        # The last of a batch is its longest: as many as fit with that one.
        count = 1
        while (
            first + count < len(order)
            and (count + 1) * (size[users[order[first + count]]] - 1) <= config.batch_positions
        ):
            count += 1
        batches.append(order[first : first + count])
        first += count
    for index in rng.permutation(len(batches)):
        rows = batches[index]
        yield histories.windows(users[rows], end[rows], int(size[users[rows]].max()))
