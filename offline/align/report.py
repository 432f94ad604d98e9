"""What an alignment kept and lost, as data. Legend: N items, L latents."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from bundle.concepts import ByHand

Outcome = Literal["kept", "moved", "refitted", "lost"]
"""Of a concept that the old bundle offers. ``kept``: the new training found it itself; ``moved``: a named latent, now
its match; ``refitted``: its members went over and a read-out was fitted to them; ``lost``: see the reason."""

LEVELS = (0.5, 0.7, 0.9)
"""Correlations at which matched latents are counted."""


@dataclass(frozen=True)
class ConceptFate:
    """One concept that the old bundle offers; figures of the new bundle are None where it is lost early.

    ``items_*``: that carry the label, which is what a filter goes by unless it says otherwise. ``auc_*``: on items the
    read-out was not fitted on. ``threshold_*``: a member by read-out. ``agreement``: of the common items that are
    members by read-out in either bundle, the share that is in both. ``latent``: the one that speaks most for it,
    ``to`` its match, ``match`` their held-out correlation.
    """

    id: str
    outcome: Outcome
    reason: str = ""
    carried: tuple[ByHand, ...] = ()
    items_old: int = 0
    items_new: int | None = None
    auc_old: float | None = None
    auc_new: float | None = None
    threshold_old: float | None = None
    threshold_new: float | None = None
    agreement: float | None = None
    latent: int | None = None
    to: int | None = None
    match: float | None = None


@dataclass(frozen=True)
class LatentFate:
    """A latent that activates on some item of the old bundle. ``to`` is None where nothing matches."""

    latent: int
    to: int | None
    correlation: float
    held_out: float
    items_old: int
    items_new: int


@dataclass(frozen=True)
class AlignReport:
    """Everything `tiller bundle align` tells. ``items_*``: rows; ``appeared``: ids that only the new bundle offers."""

    old: str
    new: str
    items_old: int
    items_new: int
    items_common: int
    concepts: tuple[ConceptFate, ...]
    latents: tuple[LatentFate, ...]
    appeared: tuple[str, ...]

    @property
    def lost(self) -> tuple[ConceptFate, ...]:
        """Concepts that the old bundle offers and the aligned one does not."""
        return tuple(fate for fate in self.concepts if fate.outcome == "lost")

    def latent(self, number: int) -> LatentFate | None:
        """What became of a latent; None for one that was never active."""
        return next((fate for fate in self.latents if fate.latent == number), None)

    def survive(self, level: float) -> int:
        """How many latents correlate with their match by ``level`` or more, on held-out items."""
        return sum(fate.held_out >= level for fate in self.latents)

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        document = asdict(self)
        document["latents_surviving"] = {str(level): self.survive(level) for level in LEVELS}
        return document

    def summary(self) -> dict[str, Any]:
        """What the new bundle's provenance keeps: all but the latents one by one."""
        document = self.document()
        document["latents"] = len(self.latents)
        return document
