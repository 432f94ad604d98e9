"""The loss of one step: what a batch of users and items costs under a stage's weights. Legend: B batch, L latents."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sae import losses
from sae.autoencoder import Side, TwoTowerSae
from sae.config import SaeConfig, StageConfig
from sae.rows import TrainingRows
from sae.scorer import FrozenScorer
from sae.shown import Hidden

NOT_SHOWN = -1e9
"""Score of a hidden pair in the list-wise terms: no share of any softmax, and finite, so that 0 x it is 0."""


class Facts(NamedTuple):
    """What a step showed, for reports; ``active`` bool [L]: latents active on any row of the batch."""

    loss: Tensor
    unexplained_users: Tensor
    unexplained_items: Tensor
    l0_users: Tensor
    l0_items: Tensor
    active: Tensor


class _Read(NamedTuple):
    """One side's batch, read and written back: the terms of its own, and what the scorer is asked about."""

    loss: Tensor
    code: Tensor
    decoded: Tensor
    unexplained: Tensor


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
    hidden: Hidden | None = None,
) -> tuple[Tensor, Facts]:
    """Loss of the users and items of the given rows, and the facts of the step.

    Users and items weigh the same in every term, however many of each a batch holds: each half in relative units, each
    in full in raw ones, as the papers add them up. ``dead`` bool [L] names the latents that the auxiliary term may
    revive; ``hidden`` pairs take no part in the list-wise terms.
    """
    item = _read(sae, data, "item", items, config, stage, dead=dead)
    if data.one_sided:
        user, loss = item, item.loss
    else:
        user = _read(sae, data, "user", users, config, stage, dead=dead)
        loss = (user.loss + item.loss) / (2 if config.units == "relative" else 1)
    if stage.predicts:
        loss = loss + _prediction(
            data,
            scorer,
            config,
            stage,
            users=users,
            items=items,
            decoded_users=user.decoded,
            decoded_items=item.decoded,
            hidden=hidden,
        )
    active = [side.code > 0 for side in (user, item)]
    l0 = [on.sum(1, dtype=torch.float32).mean() for on in active]
    seen = active[0].any(0) | active[1].any(0)
    return loss, Facts(loss.detach(), user.unexplained, item.unexplained, l0[0], l0[1], seen)


def _read(  # noqa: PLR0917  as step_loss, for one side
    sae: TwoTowerSae,
    data: TrainingRows,
    name: Side,
    rows: Tensor,
    config: SaeConfig,
    stage: StageConfig,
    *,
    dead: Tensor,
) -> _Read:
    """Reconstruction and sparsity terms of one side."""
    tower = sae.tower(name)
    side, k = (data.users, stage.k_users) if name == "user" else (data.items, stage.k_items)
    x = side.rows[rows]
    pre = tower.pre(x)
    code = sae.activate(pre, k)
    out = tower.decode(code)
    variance = side.variance if config.units == "relative" else x.shape[1]
    loss = torch.zeros((), device=x.device)
    fraction = losses.reconstruction(x, out, variance)
    if stage.reconstruction:
        # Every prefix of a Matryoshka SAE must reconstruct by itself (Bussmann et al. 2025, arXiv 2503.17547).
        nested = [losses.reconstruction(x, tower.decode_prefix(code, width), variance) for width in config.matryoshka]
        loss = loss + stage.reconstruction * torch.stack([fraction, *nested]).mean()
    if stage.l1:
        loss = loss + stage.l1 * losses.l1(code)
    if stage.kl_sparsity:
        loss = loss + stage.kl_sparsity * losses.kl_sparsity(code, config.kl_target, squash=config.kl_squash)
    if stage.auxiliary:
        k_dead = max(1, x.shape[1] // 2)
        loss = loss + stage.auxiliary * losses.auxiliary(x - out, pre, tower.w_dec, dead, k=k_dead, variance=variance)
    return _Read(
        loss, code.detach(), (out @ data.colour) * side.scale[rows], fraction.detach() * (variance / side.variance)
    )


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
    hidden: Hidden | None,
) -> Tensor:
    """Prediction-aware terms: the frozen scorer on originals and on reconstructions."""
    loss = torch.zeros((), device=users.device)
    p, q = data.raw_users[users], data.raw_items[items]
    variance = scorer.variance if config.units == "relative" else 1.0
    if config.renormalise_items:
        length = q.norm(dim=1, keepdim=True)
        decoded_items = decoded_items * (length / decoded_items.norm(dim=1, keepdim=True).clamp_min(1e-8))
    if stage.by_pairs:
        n = min(len(users), len(items))
        given = scorer.pairs(p[:n], q[:n], items[:n])
        made = scorer.pairs(decoded_users[:n], decoded_items[:n], items[:n])
        if stage.prediction_mse:
            loss = loss + stage.prediction_mse * losses.mean_square(given, made, variance)
        if stage.prediction_cross_entropy:
            loss = loss + stage.prediction_cross_entropy * losses.cross_entropy(given, made)
    if stage.by_block:
        some_users, some_items = _some(users, config.block_users), _some(items, config.block_items)
        users, items = users[some_users], items[some_items]
        given = scorer.block(p[some_users], q[some_items], items)
        made = scorer.block(decoded_users[some_users], decoded_items[some_items], items)
        if stage.prediction_block:
            loss = loss + stage.prediction_block * losses.mean_square(given, made, variance)
        if hidden is not None:
            mask = hidden.mask(users, items)
            given, made = given.masked_fill(mask, NOT_SHOWN), made.masked_fill(mask, NOT_SHOWN)
        temperature = config.temperature * scorer.spread
        if stage.prediction_listwise:
            loss = loss + stage.prediction_listwise * losses.listwise(given, made, temperature)
        if stage.prediction_plackett_luce:
            term = losses.plackett_luce(given, made, temperature, config.top_items)
            loss = loss + stage.prediction_plackett_luce * term
    return loss


def _some(rows: Tensor, most: int | None) -> Tensor:
    """Places of at most ``most`` rows of a batch, evenly spaced."""
    count = len(rows) if most is None else min(most, len(rows))
    return torch.linspace(0, len(rows) - 1, count, device=rows.device).round().long()
