"""Every number of an evaluation, frozen."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from offline.evaluate.methods import METHODS


class EvaluateConfig(BaseModel):
    """What is measured on how many users (docs/evaluation.md).

    The defaults keep the evaluation of MovieLens-1M under about 20 seconds on one thread; ``benchmarks/steering_table``
    runs the same code with more users and no ceiling on the work.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    k: int = Field(default=10, ge=2, description="length of a served list, in NDCG, Recall and shares")
    depth: int = Field(default=30, ge=1, description="length of the lists that fidelity compares")
    persistence: float = Field(default=0.9, gt=0, lt=1, description="p of rank-biased overlap")
    suppress_left: float = Field(default=0.1, gt=0, lt=1, description="suppression: share of the base share to leave")
    promote_share: float = Field(default=0.5, gt=0, lt=1, description="promotion: share of the list to reach")
    largest_dose: float = Field(default=64.0, ge=1, description="in units of bundle.dose; a target beyond: not reached")
    strengths: tuple[float, ...] = Field(
        default=(0.0, 0.25, 0.5, 0.75, 1.0), description="strengths of the dose-response curves"
    )
    curve_points: tuple[float, ...] = Field(
        default=(0.25, 0.5, 0.75),
        description="points of a method's dose curve, in parts of the dose that meets the target",
    )
    collateral: bool = Field(default=False, description="also measure what a steered list does besides the rule")
    fidelity_users: int = Field(default=1000, ge=1, description="sampled users whose lists fidelity compares")
    steering_users: int = Field(default=300, ge=1, description="sampled users who are steered")
    fewest_users: int = Field(default=100, ge=1, description="steered users are never fewer, whatever the work")
    max_concepts: int = Field(default=40, ge=1, description="concepts steered, the largest of each family in turn")
    families: tuple[str, ...] | None = Field(default=None, description="families that are steered; left out: all")
    methods: tuple[str, ...] = Field(
        default=("item", "item_audience", "item_decoded", "query", "papers"),
        description="ways to steer that are compared",
    )
    work: float = Field(
        default=2e8, gt=0, description="ceiling on steered users x items x concepts x methods; users give way"
    )
    seed: int = Field(default=0, ge=0, description="of the sampled users and of the halves of the items")

    @model_validator(mode="after")
    def _known_methods(self) -> Self:
        unknown = [name for name in self.methods if name not in METHODS]
        if unknown:
            raise ValueError(f"methods: {', '.join(unknown)} unknown; there are {', '.join(METHODS)}")
        if any(not 0 <= strength <= 1 for strength in self.strengths):
            raise ValueError("strengths: between 0 and 1, as a rule has them")
        return self
