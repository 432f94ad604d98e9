"""The loss of one step: what a batch of users and items costs under a stage's weights. Legend: B batch, L latents."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sae import losses
from sae.autoencoder import TwoTowerSae
from sae.config import SaeConfig, StageConfig
from sae.rows import TrainingRows
from sae.scorer import FrozenScorer


class Facts(NamedTuple):
    """What a step showed, for reports; ``active`` bool [L]: latents active on any row of the batch."""

    loss: Tensor
    unexplained_users: Tensor
    unexplained_items: Tensor
    l0_users: Tensor
    l0_items: Tensor
    active: Tensor


def step_loss(
    sae: TwoTowerSae,
    data: TrainingRows,
    scorer: FrozenScorer,
    config: SaeConfig,
    stage: StageConfig,
    *,
    users: Tensor,
    items: Tensor,
    dead: Tensor,
) -> tuple[Tensor, Facts]:
    """Loss of the users and items of the given rows, and the facts of the step.

    Users and items weigh the same in every term, however many of each a batch holds. ``dead`` bool [L] names
    the latents that the auxiliary term may revive.
    """
    loss = torch.zeros((), device=users.device)
    codes, decoded, unexplained = [], [], []
    for tower, side, rows, k in (
        (sae.user, data.users, users, stage.k_users),
        (sae.item, data.items, items, stage.k_items),
    ):
        x = side.rows[rows]
        pre = tower.pre(x)
        code = sae.activate(pre, k)
        out = tower.decode(code)
        fraction = losses.reconstruction(x, out, side.variance)
        if stage.reconstruction:
            loss = loss + stage.reconstruction * fraction / 2
        if stage.l1:
            loss = loss + stage.l1 * losses.l1(code) / 2
        if stage.kl_sparsity:
            loss = loss + stage.kl_sparsity * losses.kl_sparsity(code, config.kl_target) / 2
        if stage.auxiliary:
            revived = losses.auxiliary(
                x - out, pre, tower.w_dec, dead, k=max(1, x.shape[1] // 2), variance=side.variance
            )
            loss = loss + stage.auxiliary * revived / 2
        codes.append(code.detach())
        decoded.append((out @ data.colour) * side.scale[rows])
        unexplained.append(fraction.detach())
    if stage.prediction_mse or stage.prediction_listwise:
        loss = loss + _prediction(
            data, scorer, config, stage, users=users, items=items, decoded_users=decoded[0], decoded_items=decoded[1]
        )
    active = [code > 0 for code in codes]
    l0 = [on.sum(1, dtype=torch.float32).mean() for on in active]
    seen = active[0].any(0) | active[1].any(0)
    return loss, Facts(loss.detach(), unexplained[0], unexplained[1], l0[0], l0[1], seen)


def _prediction(
    data: TrainingRows,
    scorer: FrozenScorer,
    config: SaeConfig,
    stage: StageConfig,
    *,
    users: Tensor,
    items: Tensor,
    decoded_users: Tensor,
    decoded_items: Tensor,
) -> Tensor:
    """Prediction-aware terms: the frozen scorer on originals and on reconstructions."""
    loss = torch.zeros((), device=users.device)
    p, q = data.raw_users[users], data.raw_items[items]
    if config.renormalise_items:
        length = q.norm(dim=1, keepdim=True)
        decoded_items = decoded_items * (length / decoded_items.norm(dim=1, keepdim=True).clamp_min(1e-8))
    if stage.prediction_listwise:
        given = scorer.block(p, q, items)
        made = scorer.block(decoded_users, decoded_items, items)
        term = losses.listwise(given, made, config.temperature * scorer.spread)
        loss = loss + stage.prediction_listwise * term
    if stage.prediction_mse:
        n = min(len(users), len(items))
        given = scorer.pairs(p[:n], q[:n], items[:n])
        made = scorer.pairs(decoded_users[:n], decoded_items[:n], items[:n])
        loss = loss + stage.prediction_mse * losses.pairs_mean_square(given, made, scorer.variance)
    return loss
