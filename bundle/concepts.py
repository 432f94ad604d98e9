"""concepts.json: what a bundle can steer, and how well each concept was found in the codes.

A concept is a *read-out* of the item code: membership as a number in [0, 1] (docs/decisions/004). It is fitted on one
half of the items and scored on the other. A concept that was looked for and not found stays in the file with
``offered = false`` and the reason, so that nobody has to wonder.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

CONCEPT_ID = re.compile(r"^[a-z0-9_]+:[^\s:][^\n:]*$")
LATENT_FAMILY = "latent"

ByHand = Literal["display_name", "threshold", "members"]
"""``members``: the concept itself is a person's, by items or by naming a latent."""

ConceptId = Annotated[str, StringConstraints(pattern=CONCEPT_ID.pattern, max_length=200)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Purity(_Frozen):
    """Purity@k of the best latent: share of its k most activating items that carry the concept (held-out half)."""

    k: int = Field(ge=1)
    value: Share = Field(description="latent chosen on half A, scored on half B, both ways, averaged")
    all_items: Share = Field(description="the papers' way: chosen and scored on all items")
    attainable: Share = Field(description="min(1, members / k) on the scored half")


class Quality(_Frozen):
    """How well the chosen read-out finds the members among items it was not fitted on."""

    auc: Share = Field(description="area under the ROC curve")
    precision: Share = Field(description="at the threshold")
    recall: Share = Field(description="at the threshold")
    base_rate: Share = Field(description="members / items, what chance would give as precision")
    purity: tuple[Purity, ...] = ()


class LatentWeight(_Frozen):
    """A latent that makes a concept, with its weight in the read-out."""

    latent: int = Field(ge=0)
    weight: float


class Steered(_Frozen):
    """What steering the concept did to the lists of held-out users, in the evaluation of the bundle."""

    channel: Literal["item", "query"] = Field(description="costs less at equal effect; the item channel where both do")
    users: int = Field(ge=0, description="users it was measured on")
    left_1: float | None = Field(default=None, ge=0, description="part of the share that demote 1 leaves there")
    reached_1: Share | None = Field(default=None, description="share of the list that promote 1 reaches there")
    poor: str = Field(default="", description="what a rule of strength 1 does not do, in words; empty: it does")


class Concept(_Frozen):
    """One named concept."""

    id: ConceptId = Field(description="what a rule names, 'family:value', lower case")
    family: str = Field(description="metadata column it comes from")
    display_name: str = Field(min_length=1, description="the value as the metadata spells it")
    items: int = Field(ge=0, description="items that carry the label")
    offered: bool = True
    not_offered_reason: str = ""
    row: int | None = Field(default=None, ge=0, description="row in the concept arrays; null when not offered")
    readout: str = Field(
        default="", description="which read-out: audience | decoded | logistic | logistic_32 | probe | latent"
    )
    threshold: Share | None = Field(default=None, description="read-out at or above it: a member (filter by read-out)")
    quality: Quality | None = None
    latents: tuple[LatentWeight, ...] = Field(default=(), description="strongest first")
    steered: Steered | None = Field(default=None, description="measured on held-out users; null: not measured")
    by_hand: tuple[ByHand, ...] = Field(
        default=(), description="what a person gave and training did not: carried over to the next bundle"
    )

    @model_validator(mode="after")
    def _offered_is_whole(self) -> Concept:
        if self.family == LATENT_FAMILY or self.id.split(":", 1)[0] != self.family:
            raise ValueError(f"id {self.id!r} must start with its family {self.family!r}, and 'latent' is taken")
        if self.offered and (self.row is None or self.threshold is None or not self.readout or self.quality is None):
            raise ValueError(f"{self.id}: an offered concept needs row, threshold, readout and quality")
        if not self.offered and (self.row is not None or not self.not_offered_reason):
            raise ValueError(f"{self.id}: a concept that is not offered has a reason and no row")
        return self


class ConceptFile(_Frozen):
    """concepts.json."""

    kind: Literal["tiller.concepts"] = "tiller.concepts"
    concepts: tuple[Concept, ...]

    @model_validator(mode="after")
    def _unique(self) -> ConceptFile:
        ids = [concept.id for concept in self.concepts]
        twice = {i for i in ids if ids.count(i) > 1} if len(set(ids)) < len(ids) else set()
        if twice:
            raise ValueError(f"concept ids given twice: {', '.join(sorted(twice))}")
        rows = [concept.row for concept in self.concepts if concept.row is not None]
        if sorted(rows) != list(range(len(rows))):
            raise ValueError("the rows of the offered concepts must be 0, 1, 2, ... each once")
        return self


def concept_id(family: str, value: str) -> str:
    """``genre``, ``Children's`` -> ``genre:children's``: lower case, inner spaces and colons to dashes."""
    slug = re.sub(r"[\s:]+", "-", value.strip().lower()).strip("-")
    return f"{re.sub(r'[^a-z0-9_]+', '_', family.strip().lower())}:{slug}"
