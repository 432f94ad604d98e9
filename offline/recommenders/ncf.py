"""NCF: a multi-layer perceptron 64-32-16 over both embeddings in place of their inner product.

    h_1 = relu(W_u p_u + W_v q_v + b_1),  h_2 = relu(W_2 h_1 + b_2),  h_3 = relu(W_3 h_2 + b_3)
    score(u, v) = w . h_3 + b

The MLP of He et al. 2017 (Neural Collaborative Filtering, arXiv 1708.05031) on the concatenation [p_u; q_v], whose
first layer is split (W [p; q] = W_u p + W_v q): a block of B users and n items costs B + n products of that layer, not
B * n. Trained with the multinomial likelihood of ``mf`` over a fresh sample of items at every step in place of
sampled pairs, started from trained factors, as their section 3.4.1 does, and with a share of the loss asking for the
lists of those factors (distillation, Hinton et al. 2015, arXiv 1503.02531): an MLP learns a product from pairs alone
slowly and overfits on the way (Rendle et al. 2020, arXiv 2005.09683).

    loss = (1 - a) CE(taken, softmax(score)) + a CE(softmax(factors' score), softmax(score)) + l2 (|p_u|^2 + |q_v|^2)

Legend: U users, N items, B users of a block, n items of a block, D embedding.
"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from bundle.errors import TrainingError
from offline.datasets.types import Embeddings, Interactions
from offline.recommenders.base import Progress, TrainedRecommender, check_interactions
from offline.recommenders.epochs import EpochCheckpoint, one_cycle, set_learning_rates
from offline.recommenders.histories import Histories
from offline.recommenders.mf import Histories as ItemSets
from offline.recommenders.mf import MatrixFactorization, MfConfig

USERS_AT_ONCE = 8
"""Users whose scores are differentiated at a time: what 8 x 1,024 pairs need stays in the cache (4 x faster)."""


class NcfConfig(BaseModel):
    """Hyper-parameters; docs/decisions/007 says how they were chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dim: int = Field(default=64, ge=1, description="size of an embedding, D")
    hidden: tuple[int, ...] = Field(default=(64, 32, 16), min_length=1, description="widths of the hidden layers")
    pretrained: bool = Field(default=True, description="embeddings start as matrix factorisation's, rescaled")
    init_scale: float = Field(default=0.3, gt=0, description="standard deviation of the initial embeddings' entries")
    distil: float = Field(default=0.7, ge=0, le=1, description="share of the loss that asks for the factors' lists, a")
    epochs: int = Field(default=10, ge=1, description="passes over the users")
    batch_users: int = Field(default=32, ge=1, description="users per step")
    sampled_items: int = Field(default=1024, ge=2, description="items that a step's likelihood is taken over")
    learning_rate: float = Field(default=0.003, gt=0, description="peak of the one-cycle schedule, of the layers")
    embedding_rate: float = Field(default=0.003, gt=0, description="the same of the embeddings")
    l2: float = Field(default=0.02, ge=0, description="penalty on the mean squared norm of user and of item vectors")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="on the embeddings that enter the layers")


class NcfScorer(nn.Module):
    """The frozen network of a trained NCF: raw logits of all pairs of a block."""

    def __init__(self, dim: int, hidden: tuple[int, ...] = (64, 32, 16)) -> None:
        super().__init__()
        self.user = nn.Linear(dim, hidden[0], bias=False)
        self.item = nn.Linear(dim, hidden[0])
        self.layers = nn.ModuleList(nn.Linear(wide, narrow) for wide, narrow in pairwise(hidden))
        self.out = nn.Linear(hidden[-1], 1)

    def initialise(self, generator: torch.Generator) -> None:
        """Normal, He et al. 2015 (arXiv 1502.01852); biases zero."""
        for name, weight in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(weight)
            else:
                nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """``users`` [B, D] and ``items`` [n, D] to logits [B, n]."""
        return self._logits(self.user(users)[:, None] + self.item(items)[None])

    def pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """Logits [B] of the pairs (users[j], items[j]); what ``sae.scorer.FrozenScorer`` asks for observed pairs."""
        return self._logits(self.user(users) + self.item(items))

    def _logits(self, first: Tensor) -> Tensor:
        x = functional.relu(first)
        for layer in self.layers:
            x = functional.relu(layer(x))
        logits: Tensor = self.out(x).squeeze(-1)
        return logits


class _Model(nn.Module):
    """What is trained: both tables and the network."""

    def __init__(self, tables: list[Tensor], scale: float, scorer: NcfScorer) -> None:
        super().__init__()
        self.users, self.items = (nn.Parameter(table * (scale / table.std())) for table in tables)
        self.scorer = scorer


class Ncf:
    """Two towers of plain embeddings under a network."""

    name = "ncf"

    def fit(
        self,
        interactions: Interactions,
        n_users: int,
        n_items: int,
        config: NcfConfig | None = None,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        device: str = "cpu",
        checkpoint: Path | None = None,
    ) -> TrainedRecommender:
        """Embeddings without a bias, and the scorer. ``progress`` gets ``loss``, the mean multinomial loss.

        Users without interactions get the mean user vector. Where no embeddings' own metric is asked for, ask the
        scorer: the inner product of these embeddings means nothing.

        Raises:
            DataError: no interactions, or a row out of range.
            TrainingError: the loss became NaN or infinite, or the checkpoint is another fit's.
        """
        config = config or NcfConfig()
        check_interactions(interactions, n_users, n_items)
        started = time.perf_counter()
        place = torch.device(device)
        sets = ItemSets.of(interactions, n_users, n_items, place)
        facts = {"config": config.model_dump(), "seed": seed, "users": n_users, "items": n_items}
        kept = EpochCheckpoint(checkpoint, facts | {"data": Histories.of(interactions, n_users).fingerprint()})
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):  # layers draw their first weights from the global generator
            scorer = NcfScorer(config.dim, config.hidden)
        scorer.initialise(generator)
        factors = None
        if config.pretrained or config.distil:
            factors = _factors(interactions, n_users, n_items, MfConfig(dim=config.dim), seed=seed, device=device)
        if factors is not None and config.pretrained:
            tables = [factors.users, factors.items]
        else:
            tables = [torch.randn(count, config.dim, generator=generator) for count in (n_users, n_items)]
        model = _Model(tables, config.init_scale, scorer).to(place)
        optimiser = torch.optim.Adam(
            [
                {"params": [model.users, model.items], "peak": config.embedding_rate},
                {"params": list(scorer.parameters()), "peak": config.learning_rate},
            ],
            betas=(0.9, 0.99),
        )
        for epoch in range(kept.load(model, optimiser), config.epochs):
            loss = _epoch(model, optimiser, sets, factors, config, epoch=epoch, seed=seed)
            kept.save(epoch + 1, model, optimiser)
            if progress is not None:
                progress(epoch + 1, config.epochs, {"loss": loss})
        users = model.users.detach().cpu()
        seen = (sets.lengths() > 0).cpu()
        users[~seen] = users[seen].mean(0)
        made = Embeddings(model.items.detach().cpu().numpy(), users.numpy(), None, "dot")
        kept.drop()
        told = {"config": config.model_dump(mode="json"), "seed": seed, "epochs": config.epochs}
        told["seconds"] = round(time.perf_counter() - started, 1)
        return TrainedRecommender(self.name, made, scorer.cpu(), facts=told)


class _Factors(NamedTuple):
    """Matrix factorisation's tables and bias, on the training device."""

    users: Tensor
    items: Tensor
    bias: Tensor


def _factors(
    interactions: Interactions, n_users: int, n_items: int, config: MfConfig, *, seed: int, device: str
) -> _Factors:
    made = MatrixFactorization().fit(interactions, n_users, n_items, config, seed=seed, device=device).embeddings
    assert made.item_bias is not None
    return _Factors(*(torch.from_numpy(array).to(device) for array in (made.users, made.items, made.item_bias)))


def _epoch(
    model: _Model,
    optimiser: torch.optim.Optimizer,
    sets: ItemSets,
    factors: _Factors | None,
    config: NcfConfig,
    *,
    epoch: int,
    seed: int,
) -> float:
    """One pass over the users; the mean loss."""
    place, n_items = model.items.device, len(model.items)
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch + 1)
    active = torch.nonzero(sets.lengths() > 0).squeeze(1)
    order = active[torch.randperm(len(active), generator=generator).to(place)]
    batches = torch.split(order, config.batch_users)
    total = 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed * 1_000_003 + epoch + 1)  # dropout
        for index, batch in enumerate(batches):
            set_learning_rates(optimiser, one_cycle(epoch * len(batches) + index, config.epochs * len(batches)))
            sample = torch.randperm(n_items, generator=generator)[: config.sampled_items].to(place)
            optimiser.zero_grad(set_to_none=True)
            total += _backward(model, sets, batch, sample, factors, config=config) * len(batch)
            optimiser.step()
    if not np.isfinite(total):
        raise TrainingError(
            f"ncf: loss at epoch {epoch + 1}",
            found=total,
            expected="a finite number",
            hint=f"Lower the learning rates (now {config.learning_rate} and {config.embedding_rate}).",
        )
    return total / len(active)


def _backward(
    model: _Model, sets: ItemSets, batch: Tensor, sample: Tensor, factors: _Factors | None, *, config: NcfConfig
) -> float:
    """Gradients of a batch of users under the softmax over ``sample``; the loss without the penalty.

    A user's positives outside the sample are left out, and the weight of the others is raised by as much on average.
    """
    n_items, share = len(model.items), len(sample) / len(model.items)
    column = torch.full((n_items,), -1, device=sample.device)
    column[sample] = torch.arange(len(sample), device=sample.device)
    row, item, length = sets.batch(batch)
    inside = column[item] >= 0
    row, place = row[inside], column[item[inside]]
    weight = 1 / (length.to(torch.float32) * share * len(batch))
    p, q = (table.detach().requires_grad_() for table in (model.users[batch], model.items[sample]))
    bounds = torch.searchsorted(row, torch.arange(0, len(batch) + USERS_AT_ONCE, USERS_AT_ONCE, device=row.device))
    total = 0.0
    for chunk, start in enumerate(range(0, len(batch), USERS_AT_ONCE)):
        logits = model.scorer(
            functional.dropout(p[start : start + USERS_AT_ONCE], config.dropout), functional.dropout(q, config.dropout)
        )
        own, of = row[bounds[chunk] : bounds[chunk + 1]], place[bounds[chunk] : bounds[chunk + 1]]
        norm = logits.logsumexp(1)
        loss = ((norm[own - start] - logits[own - start, of]) * weight[own]).sum()
        if factors is not None and config.distil:
            users = batch[start : start + USERS_AT_ONCE]
            wanted = torch.addmm(factors.bias[sample], factors.users[users], factors.items[sample].T).softmax(1)
            asked = (norm.sum() - (wanted * logits).sum()) / len(batch)
            loss = (1 - config.distil) * loss + config.distil * asked
        loss.backward()
        total += float(loss.detach())
    # The penalty reaches a row once per step in which it takes part.
    assert p.grad is not None
    assert q.grad is not None
    p_slope = p.grad.add(p.detach(), alpha=2 * config.l2 / len(batch))
    q_slope = q.grad.add(q.detach(), alpha=2 * config.l2 / len(sample))
    model.users.grad = torch.zeros_like(model.users).index_copy_(0, batch, p_slope)
    model.items.grad = torch.zeros_like(model.items).index_copy_(0, sample, q_slope)
    return total
