"""What can be steered, under one form: a concept, a latent, or whatever else a rule can name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bundle import dose
from server.bits import BitArray
from server.types import FloatArray, IntArray, Membership

POSTING_FLOOR = 0.1
"""Read-outs below it add nothing to a *promotion*, so that the posting list is all a promotion can touch.

A demotion has no floor: a member of weak read-out would escape it (docs/decisions/005)."""


@dataclass(frozen=True, eq=False)
class Steerable:
    """A concept or latent as the engine needs it. Legend: N items, L latents, P items in the posting list.

    ``gain`` [N] in [0, 1]: read-out per item. ``direction`` [L] in code space with ``effect``, the score units by which
    one unit of it raises a member over an average item. ``labels``, ``readouts``: packed membership bits; a latent has
    no labels. ``graded``: its members' read-outs are well below 1, as those of a set or of examples are.
    """

    id: str
    gain: FloatArray
    direction: FloatArray
    effect: float
    labels: BitArray | None
    readouts: BitArray
    vectors: FloatArray
    graded: bool = False

    @cached_property
    def posting(self) -> IntArray:
        """Items a promotion can touch, strongest first, [P]: the members by read-out are a prefix."""
        touched = np.flatnonzero(self.gain >= POSTING_FLOOR)
        return touched[np.argsort(-self.gain[touched], kind="stable")]

    @cached_property
    def members_by_readout(self) -> IntArray:
        """Items that count as members when a dose is measured (bundle.dose), ascending."""
        return np.flatnonzero(self.gain >= dose.MEMBER_READOUT)

    @cached_property
    def core(self) -> int:
        """How many items of the posting list count as members when a dose is measured (bundle.dose)."""
        return int((self.posting_gain >= dose.MEMBER_READOUT).sum())

    @cached_property
    def lift(self) -> float:
        """What a dose of 1 raises an average member by: a dose is measured by members, and must be larger so much."""
        return float(self.posting_gain[: self.core].mean()) if self.graded and self.core else 1.0

    @cached_property
    def posting_vectors(self) -> FloatArray:
        """Their search vectors, contiguous: a gather per request costs twenty times the product."""
        return np.ascontiguousarray(self.vectors[self.posting])

    @cached_property
    def posting_gain(self) -> FloatArray:
        """Their read-outs, [P]."""
        return np.ascontiguousarray(self.gain[self.posting])

    @cached_property
    def binary(self) -> Steerable:
        """The same concept with membership itself as the read-out, 0 or 1: what a share of a list is counted by.

        A graded read-out is 1 for some items that are no members, and no dose brings a member past those.
        """
        inside = np.unpackbits(self.members(), count=len(self.gain), bitorder="little").astype(np.float32)
        return replace(self, id=f"{self.id} (members)", gain=inside)

    def members(self, membership: Membership = Membership.DEFAULT) -> BitArray:
        """Packed membership bits, little bit order, [ceil(N / 8)]."""
        if self.labels is None or membership is Membership.READOUT:
            return self.readouts
        if membership is Membership.EITHER:
            return self.labels | self.readouts
        return self.labels
