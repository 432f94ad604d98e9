"""Trains an SAE on the embeddings of a frozen two-tower recommender, in one or two stages.

Stage 1, shared weights: reconstruction fixes what the latents mean. Stage 2, untied towers: from there each tower goes
on alone, with its encoder biases frozen, so that the recommender's own lists come out of the reconstructions. Why two:
docs/decisions/003. Without users it is an SAE of a plain row matrix, such as the token states of a transformer.
Legend: N items, U users, D embedding, L latents.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import nn

from bundle import Metric, SaeWeights
from bundle.errors import TrainingError
from sae import checkpoint
from sae.autoencoder import TwoTowerSae, drop_radial_gradient, unit_rows
from sae.config import SaeConfig, StageConfig
from sae.metrics import measure
from sae.objective import Facts, step_loss
from sae.rows import FloatArray, TrainingRows
from sae.sampling import Sampler
from sae.scorer import FrozenScorer
from sae.shown import Hidden, shown_weights
from sae.to_inference import to_inference

Progress = Callable[[str, int, int, dict[str, float]], None]
"""Called as ``progress(stage, step, total, metrics)``; stage is ``stage1`` or ``stage2``, step counts from 1."""


@dataclass(frozen=True)
class TrainResult:
    """Serving weights, the reports of the run (``stage``, ``step`` and the progress metrics) and final figures.

    ``metrics``: ``explained_variance_users``, ``explained_variance_items``, ``l0_users``, ``l0_items``, ``dead_share``
    of the served form on all rows, and ``seconds`` of training (over all sittings of a resumed run).
    """

    weights: SaeWeights
    history: list[dict[str, Any]]
    metrics: dict[str, float]
    config: SaeConfig


def train_sae(  # noqa: PLR0917  the first six are the experiment, the rest how it is run
    items: FloatArray,
    users: FloatArray | None,
    item_bias: FloatArray | None,
    metric: Metric,
    pairs: tuple[npt.ArrayLike, npt.ArrayLike] | None,
    config: SaeConfig,
    *,
    scorer: nn.Module | None = None,
    device: str = "cpu",
    checkpoint_dir: Path | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Train on ``items`` [N, D], ``users`` [U, D], ``item_bias`` [N] or None; ``pairs`` are user and item rows.

    ``users`` None: ``items`` are rows of any kind, read by one tower that stands on both sides of the result.

    ``scorer``: a network that takes the metric's place in the prediction terms (sae.scorer.FrozenScorer).

    Same arguments and seed, same number of threads: the same weights on the CPU. With ``checkpoint_dir`` the run
    goes on from the checkpoint it finds there and ends in the weights of an uninterrupted run.

    Raises:
        TrainingError: the arrays do not fit, the checkpoint is another run's, the device is not there, or the loss
            became NaN or infinite.
    """
    place = _device(device)
    data = TrainingRows.of(items, users, item_bias=item_bias, metric=metric, pairs=pairs, config=config, device=place)
    frozen = FrozenScorer(metric, data.raw_users, data.raw_items, data.bias, scorer)
    run = _Run(data, frozen, config, place, progress)
    if checkpoint_dir is not None:
        run.remember_in(checkpoint_dir)
    started = time.perf_counter()
    before = run.state.seconds
    run.go(lambda: before + time.perf_counter() - started)
    weights = to_inference(run.sae, data, config)
    figures = {**measure(weights, items if users is None else users, items), "seconds": run.state.seconds}
    return TrainResult(weights, run.state.history, figures, config)


def learning_rate(stage: StageConfig, step: int) -> float:
    """Of a step of a stage, by its schedule."""
    if stage.schedule == "constant":
        return stage.learning_rate
    return one_cycle(step, stage.steps, stage.learning_rate)


def one_cycle(step: int, total: int, peak: float) -> float:
    """Learning rate of a step: cosine from peak / 25 up over 30 % of the steps, then down to nothing (Smith 2018)."""
    rise = max(1.0, 0.3 * total)
    if step < rise:
        return peak / 25 + (peak - peak / 25) * (1 - math.cos(math.pi * step / rise)) / 2
    return peak * (1 + math.cos(math.pi * (step - rise) / max(1.0, total - rise))) / 2


class _Run:
    """A training run between its first and last step."""

    def __init__(
        self,
        data: TrainingRows,
        scorer: FrozenScorer,
        config: SaeConfig,
        place: torch.device,
        progress: Progress | None,
    ) -> None:
        self.data, self.scorer, self.config, self.place, self.progress = data, scorer, config, place, progress
        self.sae = TwoTowerSae(data.items.rows.shape[1], config.latents, config.activation, tied=config.tied)
        centre = (data.users.centre + data.items.centre).cpu() / 2
        self.sae.initialise(centre, torch.Generator().manual_seed(config.seed))
        self.sae.to(place)
        if config.towers == "separate":
            self.sae.untie()
        sizes = len(data.users.rows), len(data.items.rows)
        self.hidden = None
        if config.hides and data.pairs is not None:
            self.hidden = Hidden(data.pairs, *sizes, place)
        shown = None
        if config.pair_sampling == "shown":
            shown = shown_weights(data, scorer, config.top_items, self.hidden)
        self.last_active = torch.zeros(config.latents, dtype=torch.int64, device=place)
        self.sampler = Sampler(
            *sizes,
            0 if data.one_sided else config.batch_users,
            config.batch_items,
            pairs=data.pairs,
            kind=config.pair_sampling,
            seed=config.seed,
            shown=shown,
        )
        self.state = checkpoint.State()
        self.folder: Path | None = None
        self.fingerprint = checkpoint.run_fingerprint(config, data.fingerprint + scorer.fingerprint())

    def remember_in(self, folder: Path) -> None:
        """Checkpoint into ``folder``, and go on from what is there."""
        self.folder = folder
        self.state = checkpoint.read_state(folder, self.fingerprint) or self.state

    def go(self, seconds: Callable[[], float]) -> None:
        """Every stage that is not done yet."""
        stages = [self.config.stage1, *([self.config.stage2] if self.config.stage2 is not None else [])]
        resume = self.folder is not None and (self.state.stage, self.state.step) != (1, 0)
        for number, stage in enumerate(stages, 1):
            if number > 1 and self.config.towers == "untied":
                self.sae.untie()
            if number < self.state.stage:
                continue
            if number > self.state.stage:
                self.state.stage, self.state.step = number, 0
                self.last_active.zero_()
            optimiser = self._optimiser(stage)
            if resume and self.folder is not None:
                checkpoint.restore(self.folder, self.sae, optimiser, last_active=self.last_active, step=self.state.step)
                resume = False
            self._stage(stage, optimiser, seconds)

    def _stage(self, stage: StageConfig, optimiser: torch.optim.Adam, seconds: Callable[[], float]) -> None:
        state = self.state
        for step in range(state.step, stage.steps):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(stage, step) * group["rate"]
            facts = self._step(stage, optimiser, step)
            state.step = step + 1
            if state.step % self.config.report_every == 0 or state.step == stage.steps:
                self._report(stage, facts)
            if self.folder is not None and (
                state.step % self.config.checkpoint_every == 0 or state.step == stage.steps
            ):
                state.seconds = seconds()
                checkpoint.save(
                    self.folder,
                    self.sae,
                    optimiser,
                    last_active=self.last_active,
                    state=state,
                    fingerprint=self.fingerprint,
                )
        state.seconds = seconds()

    def _step(self, stage: StageConfig, optimiser: torch.optim.Adam, step: int) -> Facts:
        draw = self.sampler.draw(self.state.stage, step, predicts=stage.predicts)
        users, items = (torch.as_tensor(rows, device=self.place) for rows in draw)
        dead = step - self.last_active >= self.config.dead_after
        loss, facts = step_loss(
            self.sae,
            self.data,
            self.scorer,
            self.config,
            stage,
            users=users,
            items=items,
            dead=dead,
            hidden=self.hidden,
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        towers = {id(tower): tower for tower in (self.sae.user, self.sae.item)}.values()
        decoders = [tower.w_dec for tower in towers] if stage.unit_decoder else []
        for w_dec in decoders:
            drop_radial_gradient(w_dec)
        optimiser.step()
        for w_dec in decoders:
            unit_rows(w_dec)
        self.last_active[facts.active] = step + 1
        return facts

    def _report(self, stage: StageConfig, facts: Facts) -> None:
        state = self.state
        ev_users, ev_items = 1 - float(facts.unexplained_users), 1 - float(facts.unexplained_items)
        l0_users, l0_items = float(facts.l0_users), float(facts.l0_items)
        dead = (state.step - self.last_active >= self.config.dead_after).float().mean()
        figures = {
            "loss": float(facts.loss),
            "explained_variance": (ev_users + ev_items) / 2,
            "explained_variance_users": ev_users,
            "explained_variance_items": ev_items,
            "l0": (l0_users + l0_items) / 2,
            "l0_users": l0_users,
            "l0_items": l0_items,
            "dead_share": float(dead),
        }
        name = f"stage{state.stage}"
        if not math.isfinite(figures["loss"]):
            raise TrainingError(
                f"loss at {name}, step {state.step}",
                found=figures["loss"],
                expected="a finite number",
                hint=f"Lower {name}.learning_rate (now {stage.learning_rate}).",
            )
        state.history.append({"stage": name, "step": state.step, **figures})
        if self.progress is not None:
            self.progress(name, state.step, stage.steps, figures)

    def _optimiser(self, stage: StageConfig) -> torch.optim.Adam:
        slow: list[nn.Parameter] = []
        normal: list[nn.Parameter] = []
        for name, parameter in self.sae.named_parameters():
            of_item_encoder = not self.sae.shared and name in ("item.w_enc", "item.b_enc", "item.input_bias")
            frozen = stage.freeze_encoder_bias and name.endswith(("b_enc", "input_bias"))
            frozen = frozen or (of_item_encoder and stage.item_encoder_rate == 0)
            parameter.requires_grad_(not frozen)
            if frozen:
                continue
            (slow if of_item_encoder else normal).append(parameter)
        groups = [{"params": normal, "rate": 1.0}, {"params": slow, "rate": stage.item_encoder_rate}]
        return torch.optim.Adam([group for group in groups if group["params"]], lr=stage.learning_rate)


def _device(name: str) -> torch.device:
    try:
        place = torch.device(name)
    except RuntimeError as error:
        raise TrainingError("device", found=repr(name), expected="cpu | cuda | cuda:N") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise TrainingError(
            "device", found="cuda, and torch sees no GPU", expected="a CUDA build of torch and a GPU", hint="Use cpu."
        )
    return place
