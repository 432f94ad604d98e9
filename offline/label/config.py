"""Every number of the labelling, frozen."""

from __future__ import annotations

from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, Field

ReadoutKind = Literal["logistic", "logistic_32", "probe"]

KINDS: tuple[ReadoutKind, ...] = ("logistic", "logistic_32", "probe")
"""All read-outs that are fitted and measured."""

ON_CODES: tuple[ReadoutKind, ...] = ("logistic", "logistic_32")
"""Those that read the item code; the probe reads the embedding and is the control."""


LeftOutKind = Literal["audience", "decoded"]
LEFT_OUT: tuple[LeftOutKind, ...] = ("audience", "decoded")
"""Read-outs without weights of their own, each item scored by the fit that leaves it out (offline.label.left_out).

``decoded`` needs the SAE, ``audience`` interactions, too.
"""

MeasuredKind = Literal["audience", "decoded", "logistic", "logistic_32", "probe"]
"""Everything that is measured."""


def regression(kind: MeasuredKind) -> ReadoutKind | None:
    """The kind as one of the regressions; None: it leaves items out."""
    return None if kind in LEFT_OUT else cast("ReadoutKind", kind)


class LabelConfig(BaseModel):
    """How concepts are looked for, fitted, measured and refused (docs/concepts.md, docs/decisions/004)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    columns: tuple[str, ...] | None = Field(default=None, description="metadata columns to use; left out: all of them")
    readout: Literal["auto", "audience", "decoded", "logistic", "logistic_32", "probe"] = Field(
        default="auto", description="auto: per concept the one on codes with the best held-out average precision"
    )
    l2: float = Field(default=1e-3, gt=0, description="loss = mean log loss + l2 |w|^2, features scaled")
    sparse_latents: int = Field(default=32, ge=1, description="latents that the non-negative read-out may use")
    landmarks: int = Field(default=1000, ge=1, description="items whose likeness audience and decoded tell labels by")
    audience_width: float = Field(default=0.5, gt=0, description="g of the kernel exp(g (cosine - 1)) of audiences")
    audience_ridge: float = Field(default=0.1, gt=0, description="penalty of the audience read-out")
    decoded_width: float = Field(default=2.0, gt=0, description="g of the kernel exp(g (cosine - 1)) of decoded codes")
    decoded_ridge: float = Field(default=1.0, gt=0, description="penalty of the decoded read-out")
    min_members: int = Field(default=10, ge=4, description="fewest members (and non-members) to fit and score")
    max_share: float = Field(default=0.95, gt=0, le=1, description="a concept on more of the items is not offered")
    min_auc: float = Field(default=0.65, ge=0.5, le=1, description="weaker on held-out items: not offered")
    chance_deviations: float = Field(
        default=3.0, ge=0, description="and not within so many standard deviations of permuted labels' AUC"
    )
    max_per_family: int = Field(default=500, ge=1, description="most frequent values kept per family")
    unique_share: float = Field(
        default=0.8, gt=0, le=1, description="a column of which more values occur once is free text, not a family"
    )
    purity_at: tuple[int, ...] = Field(default=(10, 20, 50), description="K of purity@K")
    purity_halvings: int = Field(default=5, ge=1, description="random halvings averaged in the held-out purity")
    fit_items: int = Field(default=50_000, ge=100, description="items per fit; a larger half is sampled, members first")
    shown_latents: int = Field(default=10, ge=1, description="latents listed with a concept")
    seed: int = Field(default=0, ge=0, description="of the halves")
