"""Every number of an SAE training run, frozen; ``SaeConfig.for_data`` derives what depends on the embeddings."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

ActivationName = Literal["relu", "topk", "batchtopk"]
Towers = Literal["shared", "untied", "separate"]
PairSampling = Literal["interactions", "uniform", "mixed", "shown"]
Schedule = Literal["one_cycle", "constant"]
Units = Literal["relative", "raw"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StageConfig(_Frozen):
    """One stage: how long, how fast, and the weight of every term of its loss (0 switches a term off)."""

    steps: int = Field(ge=1, description="optimiser steps")
    learning_rate: float = Field(gt=0, description="peak of the one-cycle schedule, or the constant rate")
    schedule: Schedule = Field(default="one_cycle", description="one_cycle | constant")
    item_encoder_rate: float = Field(
        default=1.0, ge=0, description="factor on the learning rate of the item encoder, once the towers are untied"
    )
    k_users: int = Field(ge=1, description="active latents per user (topk exactly, batchtopk on average; relu ignores)")
    k_items: int = Field(ge=1, description="active latents per item, the same")
    reconstruction: float = Field(default=1.0, ge=0, description="weight of the embedding reconstruction, both towers")
    prediction_mse: float = Field(
        default=0.0,
        ge=0,
        description="weight of the mean square score error over pairs, in units of the score variance",
    )
    prediction_block: float = Field(
        default=0.0, ge=0, description="weight of the same over the whole block of users and items"
    )
    prediction_cross_entropy: float = Field(
        default=0.0, ge=0, description="weight of the cross-entropy between the pairs' sigmoid scores"
    )
    prediction_listwise: float = Field(
        default=0.0, ge=0, description="weight of the symmetric KL between the block's softmax lists"
    )
    prediction_plackett_luce: float = Field(
        default=0.0,
        ge=0,
        description="weight of the Plackett-Luce likelihood of the block's top of the list, discounted by rank",
    )
    l1: float = Field(default=0.0, ge=0, description="weight of the mean L1 norm of the codes")
    kl_sparsity: float = Field(default=0.0, ge=0, description="weight of KL(kl_target || mean squashed activation)")
    auxiliary: float = Field(default=0.0, ge=0, description="weight of the residual's reconstruction by dead latents")
    unit_decoder: bool = Field(default=True, description="hold decoder rows at unit norm")
    freeze_encoder_bias: bool = Field(default=False, description="keep b_enc and the input bias as they are")

    @model_validator(mode="after")
    def _learns(self) -> Self:
        if not (self.reconstruction or self.predicts):
            raise ValueError("a stage needs reconstruction or one of the prediction terms above 0")
        return self

    @property
    def predicts(self) -> bool:
        """One of the terms that ask the frozen scorer is on."""
        return self.by_pairs or self.by_block

    @property
    def by_pairs(self) -> bool:
        """A term over pairs of a user and an item is on."""
        return bool(self.prediction_mse or self.prediction_cross_entropy)

    @property
    def by_block(self) -> bool:
        """A term over the block of users and items is on."""
        return bool(self.prediction_block or self.prediction_listwise or self.prediction_plackett_luce)


class SaeConfig(_Frozen):
    """A training run: architecture, sampling, one or two stages.

    ``towers = "shared"``: one SAE reads users and items, in one stage or two. ``"untied"``: from stage 1's weights each
    tower goes on alone in stage 2, so that latents keep their meaning on both sides (docs/decisions/003).
    ``"separate"``: a tower each from the first step, from one initialisation; nothing then keeps a latent's meaning.
    What every field does, and the published forms by name: docs/sae.md.
    """

    latents: int = Field(ge=2, description="width L")
    activation: ActivationName = Field(
        default="topk", description="relu | topk | batchtopk (a threshold once exported)"
    )
    tied: bool = Field(default=False, description="the decoder is the encoder's transpose, for good")
    matryoshka: tuple[int, ...] = Field(
        default=(), description="widths of nested prefixes, ascending, each of which must reconstruct by itself"
    )
    towers: Towers = Field(default="untied", description="shared | untied (in stage 2) | separate (from the start)")
    normalise: bool = Field(default=True, description="divide rows by a power of their norm, multiply what is decoded")
    norm_power: float = Field(
        default=1.0, gt=0, le=1, description="that power; 1: rows are read at unit norm, below: long rows stay longer"
    )
    whitening: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="0: errors count as they are; 1: relative to the variance of their direction; folded in on export",
    )
    stage1: StageConfig = Field(description="shared weights: fixes what the latents mean")
    stage2: StageConfig | None = Field(default=None, description="fits the recommender's lists")
    batch_users: int = Field(default=512, ge=1, description="users per step")
    batch_items: int = Field(default=1024, ge=1, description="items per step")
    pair_sampling: PairSampling = Field(
        default="uniform",
        description="source of a step's users and items: interactions (observed pairs), uniform, mixed (half of each), "
        "or shown (uniform, but where a stage predicts, half of the items as often as they are in users' top lists)",
    )
    top_items: int = Field(
        default=50, ge=1, description="length of the lists that shown counts and prediction_plackett_luce looks at"
    )
    hide_interactions: bool | None = Field(
        default=None,
        description="leave a user's observed items, which are not shown again, out of the list-wise terms; "
        "null: where interactions are given",
    )
    block_users: int | None = Field(default=None, ge=1, description="users of a step in the block terms; null: all")
    block_items: int | None = Field(default=None, ge=1, description="items of a step in the block terms; null: all")
    units: Units = Field(
        default="relative",
        description="relative: errors as shares of variance; raw: as the papers write them, means of squares",
    )
    temperature: float = Field(
        default=0.35, gt=0, description="of the list-wise softmax, in standard deviations of a user's scores"
    )
    renormalise_items: bool = Field(
        default=False, description="in the prediction terms, bring reconstructed items to their original norm"
    )
    kl_target: float = Field(default=0.02, gt=0, lt=1, description="wanted mean activation of a latent")
    kl_squash: bool = Field(default=True, description="squash activations to [0, 1) first; false: clip their mean")
    dead_after: int = Field(
        default=200, ge=1, description="steps without any activation after which a latent counts dead"
    )
    report_every: int = Field(default=50, ge=1, description="steps between progress reports and history rows")
    checkpoint_every: int = Field(default=250, ge=1, description="steps between checkpoints")
    seed: int = Field(default=0, ge=0, description="of initialisation and of every batch")

    @classmethod
    def for_data(
        cls,
        dim: int,
        n_items: int,
        n_users: int,
        *,
        activation: ActivationName = "topk",
        network: bool = False,
        seed: int = 0,
    ) -> Self:
        """The default recipe for embeddings of size ``dim``: two stages, widths and sparsity from the data's size.

        ``latents = 4 dim``, at least 32, at most 1,024, a quarter of the items and an eighth of all rows, in multiples
        of 8 (and never below 16); in stage 1 a row keeps about ``dim / 11`` latents, in stage 2 an item about
        ``dim / 4.6`` (2 to 32) and a user, who is a mixture of tastes, about ``dim / 2`` (to 64). Beyond 128 dimensions
        a step takes half as many rows, to stay within minutes. ``relu`` gets an L1 penalty, without which it is not
        sparse. ``network``: the scorer is one, and asked about 128 x 256 pairs of a step, which cost it as much as the
        rest; it needs the embeddings themselves, so stage 2 is gentler. Found by search: docs/decisions/018; before it
        003 and 008.
        """
        latents = max(16, min(max(32, 4 * dim), 1024, n_items // 4, (n_items + n_users) // 8) // 8 * 8)
        k_items = min(max(2, round(0.22 * dim)), 32, latents // 8)
        k_users = max(k_items, min(round(dim / 2), 64, latents // 4))
        k_first = min(max(2, round(0.094 * dim)), 24, latents // 8)
        batch = 512 if dim <= 128 else 256
        l1 = 0.01 if activation == "relu" else 0.0
        return cls(
            latents=latents,
            activation=activation,
            towers="untied",
            norm_power=0.75,
            whitening=0.6,
            stage1=StageConfig(steps=1500, learning_rate=3e-3, k_users=k_first, k_items=k_first, l1=l1),
            stage2=StageConfig(
                steps=600,
                learning_rate=1e-2 if network else 1.6e-2,
                item_encoder_rate=0.5,
                k_users=k_users,
                k_items=k_items,
                reconstruction=0.5 if network else 0.13,
                prediction_listwise=1.0,
                l1=l1 / 10,
                unit_decoder=False,
                freeze_encoder_bias=True,
            ),
            batch_users=batch,
            batch_items=2 * batch,
            pair_sampling="shown",
            block_users=128 if network else None,
            block_items=256 if network else None,
            temperature=0.25 if network else 0.155,
            seed=seed,
        )

    @property
    def stages(self) -> tuple[StageConfig, ...]:
        """One or two."""
        return (self.stage1,) if self.stage2 is None else (self.stage1, self.stage2)

    @property
    def hides(self) -> bool:
        """Interactions, where there are any, decide what counts as shown."""
        lists = any(stage.prediction_listwise or stage.prediction_plackett_luce for stage in self.stages)
        return self.hide_interactions is not False and (lists or self.pair_sampling == "shown")

    @model_validator(mode="after")
    def _stages_fit(self) -> Self:
        if self.towers == "untied" and self.stage2 is None:
            raise ValueError("towers: untied needs a stage2")
        if self.tied and any(stage.unit_decoder for stage in self.stages):
            raise ValueError("tied weights cannot be held at unit norm: set unit_decoder to false")
        if any(below >= above for below, above in pairwise((0, *self.matryoshka, self.latents))):
            raise ValueError(f"matryoshka must be ascending widths below latents = {self.latents}")
        for stage in self.stages:
            if max(stage.k_users, stage.k_items) > self.latents:
                raise ValueError(f"k_users and k_items must not exceed latents = {self.latents}")
        return self
