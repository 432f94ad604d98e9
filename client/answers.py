"""What the server answers, as plain frozen data; protos/steering/v1 documents every field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from client.rules import Action, Channel, Rule

Status = Literal["applied", "off", "overridden", "shadow", "unknown_concept"]


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one rule added to one item's score; ``source`` is "request" or "policy:NAME"."""

    concept: str
    action: Action
    channel: Channel
    source: str
    value: float


@dataclass(frozen=True, slots=True)
class ItemConcept:
    """A concept an item carries: its read-out in [0, 1], and whether the metadata says so."""

    concept: str
    value: float
    labelled: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """``base_score`` + contributions = score; ``base_rank`` 0: not in the part of the unsteered list looked at."""

    base_score: float
    base_rank: int
    contributions: tuple[Contribution, ...]
    concepts: tuple[ItemConcept, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One place of a list; ``explanation`` where it was asked for."""

    item_id: str
    title: str
    score: float
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """What became of a rule; the shares of its concept only where the baseline was asked for."""

    rule: Rule
    source: str
    priority: int
    status: Status
    note: str
    dose: float
    share_before: float | None
    share_after: float | None


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why fewer than ``k`` items pass; ``filled``: the last so many are there as a filter's fallback says."""

    eligible: int
    reason: str
    filled: int = 0


@dataclass(frozen=True, slots=True)
class HistoryUse:
    """How many ids of a history the user tower read, and how many the catalogue does not have."""

    used: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The steered list; ``baseline`` and ``overlap`` where it was asked for, ``history`` where one was sent."""

    request_id: str
    items: tuple[Item, ...]
    rules: tuple[RuleOutcome, ...]
    bundle_id: str
    policy_revision: str
    baseline: tuple[Item, ...] | None = None
    overlap: float | None = None
    shortfall: Shortfall | None = None
    unknown_excluded: int = 0
    history: HistoryUse | None = None


@dataclass(frozen=True, slots=True)
class Purity:
    """Share of a latent's ``k`` most activating items that are members, beside what a perfect latent could reach."""

    k: int
    value: float
    attainable: float


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a concept's read-out finds its members, on items it was not fitted on."""

    auc: float
    precision: float
    recall: float
    base_rate: float
    readout: str
    purity: tuple[Purity, ...]


@dataclass(frozen=True, slots=True)
class ConceptItem:
    """One of a concept's strongest items; ``value`` is the read-out in [0, 1]."""

    item_id: str
    title: str
    value: float
    labelled: bool


@dataclass(frozen=True, slots=True)
class CustomConcept:
    """A concept of the policy folder: where it stands, and the one way in which it is made."""

    id: str
    display_name: str
    description: str
    concepts: Mapping[str, float]
    like: tuple[str, ...]
    unlike: tuple[str, ...]
    items: tuple[str, ...]
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Concept:
    """A concept or latent. ``latents``: (latent, weight), strongest first; ``top_items`` only from ``concept()``.

    ``kind``: "metadata", "labelled" (by a person, in the bundle), "latent" or "custom", which has a ``definition``.
    """

    id: str
    family: str
    display_name: str
    items: int
    offered: bool
    not_offered_reason: str
    quality: Quality | None
    latents: tuple[tuple[int, float], ...]
    kind: str = ""
    definition: CustomConcept | None = None
    top_items: tuple[ConceptItem, ...] = ()
