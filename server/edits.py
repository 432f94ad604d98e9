"""Turns a plan's soft rules into edits of this request: a dose each, then gains on items or a move of the query.

The unit of a dose is the user's own concept gap (bundle.dose), so that a strength means the same for every user. A rule
on the query channel is turned into the same unit: its direction, decoded by the user tower, raises a member by one
score unit over an average item. Legend: D embedding, L latents, N items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from bundle import dose
from server.asked import Asked, ScoreArray
from server.bits import BitArray
from server.catalogue import Catalogue
from server.columns import Look
from server.encoder import Encoder
from server.overlaid import OverlaidAsked, Push, together
from server.ready import Ready
from server.retrieval import Gain, Shield
from server.steerable import POSTING_FLOOR, Steerable
from server.subject import Toward
from server.toward import Pusher
from server.types import Action, Channel, FloatArray, IntArray, Ranking, Rule


@dataclass(frozen=True)
class Asker:
    """One user's unsteered situation, which doses are measured in.

    ``x`` [D]: the embedding; ``asked``: the same put to the bundle's scorer; ``allowed``: items that may be returned,
    packed (None: all); ``base``: the unsteered list under that mask, ``dose.depth(k)`` deep where there are so many;
    ``k``: length of the list.
    """

    x: FloatArray
    asked: Asked
    allowed: BitArray | None
    base: Ranking
    k: int

    @cached_property
    def worth(self) -> dose.Units:
        """What the user's doses are measured in."""
        return dose.Units(self.base.scores, self.k)


class Edit(NamedTuple):
    """A soft rule with its dose in score units (negative: demotion), and on the query channel its displacement [D].

    ``push``: items that it moves, in place of adding to scores; the dose is then the largest rise among them for this
    user. ``shield``: the part of a promotion's gain that the plan's demotions leave to each item; None: all of it.
    """

    rule: Rule
    steerable: Steerable
    dose: float
    displacement: FloatArray | None = None
    push: Push | None = None
    shield: Shield | None = None
    note: str = ""

    @property
    def adds(self) -> bool:
        """Whether it adds to scores: neither the query moves for it, nor an item."""
        return self.displacement is None and self.push is None

    @property
    def floor(self) -> float:
        """Read-outs below it add nothing on the item channel."""
        return POSTING_FLOOR if self.rule.action is Action.PROMOTE else 0.0

    def readout(self, rows: IntArray) -> ScoreArray:
        """What a dose of 1 adds to some items on the item channel, [len(rows)]."""
        values = self.steerable.gain[rows].astype(np.float64)
        values[values < self.floor] = 0
        return values if self.shield is None else values * self.shield.of(rows)


def make_edits(ready: Ready, encoder: Encoder, pusher: Pusher, asker: Asker) -> list[Edit]:
    """Dose every given soft rule for this user; the SAE is asked only when a rule is on the query channel."""
    edits: list[Edit] = []
    if not ready.given:
        return edits
    shield = _shield(ready)
    doses = signed_doses(ready, asker)
    scale: FloatArray | None = None
    for rule, steerable, signed, (_, note) in zip(
        ready.given, ready.steerables, doses, ready.dialled(asker.k), strict=True
    ):
        if rule.channel is Channel.ITEM and not isinstance(rule.subject, Toward):
            edits.append(
                Edit(rule, steerable, signed, None, None, shield if rule.action is Action.PROMOTE else None, note)
            )
        elif isinstance(rule.subject, Toward):
            edits.append(_pushed(rule, rule.subject, ready.catalogue, pusher, asker))
        elif steerable.effect > 0:
            if scale is None:
                _, scale = encoder.encode(asker.x)
            step = np.float32(signed / (steerable.effect * float(scale[0, 0])))
            displacement = encoder.displacement(step * steerable.direction, scale)
            edits.append(Edit(rule, steerable, signed, displacement, note=note))
        else:
            unmoved = f"the query channel cannot move {rule.concept} in this bundle; use the item channel"
            edits.append(Edit(rule, steerable, 0.0, np.zeros_like(asker.x), note=unmoved))
    return edits


def _pushed(rule: Rule, subject: Toward, catalogue: Catalogue, pusher: Pusher, asker: Asker) -> Edit:
    push = pusher.push(subject, catalogue.find(subject.audience)).times(rule.strength)
    rise = asker.asked.elsewhere(push.rows, push.deltas) - asker.asked.scores(push.rows)
    note = "" if push.deltas.any() else f"the audience of {subject.audience} has these items among its ten best already"
    if push.short:
        note = f"{push.short} of the items come nearer, and no strength brings them into that audience's ten best"
    return Edit(rule, catalogue.of(rule), float(rise[np.argmax(np.abs(rise))]), push=push, note=note)


def signed_doses(ready: Ready, asker: Asker) -> list[float]:
    """The given rules' doses for this user in score units, negative for a demotion: the dial's units times the user's.

    See bundle.calibration for the first factor and bundle.dose for the second. What is pushed has none of its own, 0.
    """
    doses = [0.0] * len(ready.given)
    base = asker.base
    if not len(base.items):
        return doses
    worth = asker.worth
    dialled, steerables = ready.dialled(asker.k), ready.steerables
    if ready.down:
        look = Look(base.items, ready.catalogue.columns)
        inside = look.at([steerables[place].gain for place in ready.down]) >= dose.MEMBER_READOUT
        for place, first, member in zip(ready.down, inside.argmax(1).tolist(), inside, strict=True):
            doses[place] = -dialled[place][0] * worth.down(float(base.scores[first]) if member[first] else None)
    if ready.up:
        wanted = [steerables[place] for place in ready.up]
        found = asker.asked.best_members(wanted, max(1, asker.k // 2), asker.allowed)
        for place, scores in zip(ready.up, found, strict=True):
            doses[place] = dialled[place][0] * worth.up(scores)
    return doses


def capped(edits: list[Edit], asker: Asker, most: float) -> list[Edit]:
    """The edits, their doses scaled down together where they sum to more than ``most`` of the user's gaps (law 10).

    A dose is what a full member gains or loses, so no item's score moves further than that on the item channel.
    """
    total = sum(abs(edit.dose) for edit in edits)
    if not total or total <= (limit := most * asker.worth.gap):
        return edits
    part = limit / total
    note = f"scaled to {part:.0%}: the rules together ask for more than the server's cap of {most:g} gaps"
    return [
        edit._replace(
            dose=edit.dose * part,
            displacement=None if edit.displacement is None else edit.displacement * np.float32(part),
            push=None if edit.push is None else edit.push.times(part),
            note=f"{edit.note}; {note}" if edit.note else note,
        )
        for edit in edits
    ]


def _shield(ready: Ready) -> Shield | None:
    """What demotions leave of every promotion's gain: the product of ``1 - read-out``, whatever their strength.

    Else promoting animation would undo demoting children's films, most of which are both (DESIGN.md 4.5b). A shield in
    proportion to the strength does not hold what the demotion alone gives (docs/decisions/016).
    """
    return Shield(ready.demoted) if 0 < len(ready.demoted) < len(ready.given) else None


def displaced(asked: Asked, edits: Sequence[Edit]) -> Asked:
    """The question moved by the query channel's edits, over the items that moved; the same object when neither."""
    moves = [edit.displacement for edit in edits if edit.displacement is not None]
    pushes = [edit.push for edit in edits if edit.push is not None]
    moved = asked.moved(moves) if moves else asked
    return OverlaidAsked(moved, together(pushes)) if pushes else moved


def gains(edits: Sequence[Edit], moved: Asked) -> list[Gain]:
    """The item channel's edits, for the exact merge; ``moved`` is the question whose scores they add to."""
    out = []
    for edit in edits:
        if not edit.adds:
            continue
        posting = moved.posting(edit.steerable) if edit.rule.action is Action.PROMOTE else None
        if posting is not None and edit.shield is not None:
            posting = replace(posting, readout=posting.readout * edit.shield.of(posting.items))
        out.append(Gain(edit.dose, edit.steerable.gain, posting, edit.floor, edit.shield))
    return out
