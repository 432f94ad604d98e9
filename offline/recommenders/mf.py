"""Matrix factorisation with item biases under the full-softmax multinomial likelihood.

For user u with distinct items I_u, over all N items:

    logits  = p_u . Q^T + b
    loss    = mean_u [ -1/|I_u| sum_{v in I_u} log softmax(logits)_v ] + l2 (mean_u |p_u|^2 + mean_v |q_v|^2)

The multinomial likelihood of Liang et al. 2018 (Variational Autoencoders for Collaborative Filtering, arXiv
1802.05814) with a free vector per user in place of the encoder. It has no sampled negatives, and its gradient with
respect to the logits is ``softmax - target``, so one pass over the users is three matrix products and an epoch of
MovieLens-1M takes a third of a second. Biases start at log popularity and are not regularised; the penalty on both
factors is a nuclear-norm penalty on their product. Optimiser: Adam (Kingma & Ba 2014, arXiv 1412.6980), one-cycle
learning rate; a user's moments move once per epoch, when the user is seen.

Legend: U users, N items, B users of a batch, D embedding.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from scipy.sparse import csr_array

from bundle.errors import TrainingError
from offline.datasets.types import Embeddings, Interactions
from offline.recommenders.base import Progress, TrainedRecommender, check_interactions

BETA1, BETA2, EPSILON = 0.9, 0.99, 1e-8


class MfConfig(BaseModel):
    """Hyper-parameters, chosen on a validation split of the training part of MovieLens-1M (docs/decisions/003)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dim: int = Field(default=64, ge=1, description="size of an embedding, D")
    epochs: int = Field(default=20, ge=1, description="passes over the users")
    batch_users: int = Field(default=512, ge=1, description="users per step, B")
    learning_rate: float = Field(default=0.05, gt=0, description="peak of the one-cycle schedule")
    l2: float = Field(default=0.12, ge=0, description="penalty on the mean squared norm of user and of item vectors")
    init_scale: float = Field(default=0.1, gt=0, description="standard deviation of the initial vectors")


class Histories(NamedTuple):
    """Distinct items of each user as compressed rows, on the training device."""

    indptr: torch.Tensor
    items: torch.Tensor

    @classmethod
    def of(cls, interactions: Interactions, n_users: int, n_items: int, device: torch.device) -> Histories:
        """Repeated interactions count once."""
        ones = np.ones(len(interactions), np.float32)
        table = csr_array((ones, (interactions.user, interactions.item)), shape=(n_users, n_items))
        table.sum_duplicates()
        return cls(
            torch.as_tensor(table.indptr, dtype=torch.int64, device=device),
            torch.as_tensor(table.indices, dtype=torch.int64, device=device),
        )

    def lengths(self) -> torch.Tensor:
        """Number of distinct items of each user, [U]."""
        return self.indptr[1:] - self.indptr[:-1]

    def batch(self, users: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Row in the batch and item of every interaction of ``users``, and the users' lengths."""
        start, length = self.indptr[users], self.lengths()[users]
        row = torch.repeat_interleave(torch.arange(len(users), device=users.device), length)
        first = torch.cumsum(length, 0) - length
        place = torch.arange(len(row), device=users.device) - first[row] + start[row]
        return row, self.items[place], length


def multinomial_gradient(
    logits: torch.Tensor, row: torch.Tensor, item: torch.Tensor, length: torch.Tensor
) -> tuple[float, torch.Tensor]:
    """Mean multinomial loss of a batch and its gradient by the logits [B, N], which are overwritten.

    ``row``, ``item`` name the observed pairs; ``length`` [B] is how many each user has (at least one).
    """
    weight = 1 / length.to(logits.dtype)
    log_total = torch.logsumexp(logits, 1)
    loss = ((log_total[row] - logits[row, item]) * weight[row]).sum() / len(length)
    gradient = logits.sub_(log_total[:, None]).exp_()
    gradient.index_put_((row, item), -weight[row], accumulate=True)
    return float(loss), gradient.div_(len(length))


class MatrixFactorization:
    """Two-tower recommender without side information: ``score(u, v) = p_u . q_v + b_v``."""

    name = "mf"

    def fit(
        self,
        interactions: Interactions,
        n_users: int,
        n_items: int,
        config: MfConfig | None = None,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        device: str = "cpu",
        checkpoint: Path | None = None,  # noqa: ARG002  done in seconds
    ) -> TrainedRecommender:
        """Embeddings with metric dot and an item bias. ``progress`` gets ``loss``, the mean multinomial loss.

        Users without interactions get the mean user vector, so that they are served what is liked on average.

        Raises:
            DataError: no interactions, or a row out of range.
            TrainingError: the loss became NaN or infinite.
        """
        config = config or MfConfig()
        started = time.perf_counter()
        check_interactions(interactions, n_users, n_items)
        place = torch.device(device)
        generator = torch.Generator().manual_seed(seed)
        histories = Histories.of(interactions, n_users, n_items, place)
        seen = histories.lengths() > 0
        active = torch.nonzero(seen).squeeze(1)

        users = (torch.randn(n_users, config.dim, generator=generator) * config.init_scale).to(place)
        items = (torch.randn(n_items, config.dim, generator=generator) * config.init_scale).to(place)
        popularity = torch.bincount(histories.items, minlength=n_items).to(torch.float32) + 1
        bias = torch.log(popularity / popularity.sum())
        moments = torch.zeros_like(users), torch.zeros_like(users)
        steps = -(-len(active) // config.batch_users)
        items.requires_grad_()
        bias.requires_grad_()
        optimiser = torch.optim.Adam([items, bias], lr=config.learning_rate, betas=(BETA1, BETA2), eps=EPSILON)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, config.learning_rate, total_steps=max(2, steps * config.epochs), cycle_momentum=False
        )
        with torch.no_grad():
            for epoch in range(1, config.epochs + 1):
                order = active[torch.randperm(len(active), generator=generator).to(place)]
                total = 0.0
                for batch in torch.split(order, config.batch_users):
                    p = users[batch]
                    logits = torch.addmm(bias, p, items.T)
                    loss, gradient = multinomial_gradient(logits, *histories.batch(batch))
                    items.grad = torch.addmm(items, gradient.T, p, beta=2 * config.l2 / n_items)
                    bias.grad = gradient.sum(0)
                    # Per user, not per batch: the step must not depend on how many users share it.
                    slope = torch.addmm(p, gradient, items, beta=2 * config.l2, alpha=len(batch))
                    users[batch] = p - schedule.get_last_lr()[0] * _adam(moments, batch, slope, epoch)
                    optimiser.step()
                    schedule.step()
                    total += loss * len(batch)
                if not np.isfinite(total):
                    raise TrainingError(
                        f"matrix factorisation: loss at epoch {epoch}",
                        found=total,
                        expected="a finite number",
                        hint=f"Lower the learning rate (now {config.learning_rate}).",
                    )
                if progress is not None:
                    progress(epoch, config.epochs, {"loss": total / len(active)})
            users[~seen] = users[seen].mean(0)
        embeddings = Embeddings(
            items=items.detach().cpu().numpy(),
            users=users.cpu().numpy(),
            item_bias=bias.detach().cpu().numpy(),
            metric="dot",
        )
        seconds = round(time.perf_counter() - started, 1)
        facts = {"config": config.model_dump(), "seed": seed, "epochs": config.epochs, "seconds": seconds}
        return TrainedRecommender(self.name, embeddings, facts=facts)


def _adam(
    moments: tuple[torch.Tensor, torch.Tensor], rows: torch.Tensor, slope: torch.Tensor, count: int
) -> torch.Tensor:
    """Adam's direction for some rows, whose moments are updated for the ``count``-th time."""
    first = moments[0][rows].lerp_(slope, 1 - BETA1)
    second = moments[1][rows].lerp_(slope.square(), 1 - BETA2)
    moments[0][rows], moments[1][rows] = first, second
    return (first / (1 - BETA1**count)) / ((second / (1 - BETA2**count)).sqrt() + EPSILON)
