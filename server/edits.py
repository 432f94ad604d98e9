"""Turns a plan's soft rules into edits of this request: a dose each, then gains on items or a move of the query.

The unit of a dose is the user's own concept gap (bundle.dose), so that a strength means the same for every user. A rule
on the query channel is turned into the same unit: its direction, decoded by the user tower, raises a member by one
score unit over an average item. Legend: D embedding, D' search dimension, L latents, N items, P posting list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bundle import dose
from server import bits
from server.bits import BitArray
from server.catalogue import POSTING_FLOOR, Catalogue, Steerable
from server.encoder import Encoder
from server.retrieval import Gain, Posting
from server.types import Action, Channel, FloatArray, Ranking, Rule


@dataclass(frozen=True, slots=True)
class Asker:
    """One user's unsteered situation, which doses are measured in.

    ``x`` [D]: the embedding; ``query`` [D']: the same as the index is asked; ``allowed``: items that may be returned,
    packed (None: all); ``base``: the unsteered list under that mask, ``dose.depth(k)`` deep where there are so many;
    ``k``: length of the list.
    """

    x: FloatArray
    query: FloatArray
    allowed: BitArray | None
    base: Ranking
    k: int


@dataclass(frozen=True, slots=True)
class Edit:
    """A soft rule with its dose in score units (negative: demotion), and on the query channel its displacement [D].

    ``posting_scores`` [P]: the unsteered scores of a promotion's posting list, which its dose was measured on.
    """

    rule: Rule
    steerable: Steerable
    dose: float
    displacement: FloatArray | None = None
    posting_scores: FloatArray | None = None
    note: str = ""


def make_edits(rules: Sequence[Rule], catalogue: Catalogue, encoder: Encoder, asker: Asker) -> list[Edit]:
    """Dose every soft rule for this user; the SAE is asked only when a rule is on the query channel."""
    edits: list[Edit] = []
    scale: FloatArray | None = None
    for rule in rules:
        steerable = catalogue.find(rule.concept)
        scores = steerable.posting_vectors @ asker.query if rule.action is Action.PROMOTE else None
        signed = signed_dose(rule, steerable, asker, scores)
        if rule.channel is Channel.ITEM:
            edits.append(Edit(rule, steerable, signed, posting_scores=scores))
        elif steerable.effect > 0:
            if scale is None:
                _, scale = encoder.encode(asker.x)
            step = np.float32(signed / (steerable.effect * float(scale[0, 0])))
            edits.append(Edit(rule, steerable, signed, encoder.displacement(step * steerable.direction, scale)))
        else:
            note = f"the query channel cannot move {rule.concept} in this bundle; use the item channel"
            edits.append(Edit(rule, steerable, 0.0, np.zeros_like(asker.x), note=note))
    return edits


def signed_dose(rule: Rule, steerable: Steerable, asker: Asker, scores: FloatArray | None) -> float:
    """The rule's dose for this user in score units, negative for a demotion; see bundle.dose."""
    base, k = asker.base, asker.k
    if not len(base.items):
        return 0.0
    if scores is None:
        members = np.flatnonzero(steerable.gain[base.items] >= dose.MEMBER_READOUT)
        best = float(base.scores[members[0]]) if len(members) else None
        return -dose.demote_dose(rule.strength, dose.demote_unit(base.scores, best, k))
    scores = scores[: steerable.core]
    if asker.allowed is not None:
        scores = scores[bits.has_each(asker.allowed, steerable.posting[: steerable.core])]
    half = max(1, k // 2)
    if len(scores) > half:
        scores = np.partition(scores, len(scores) - half)[-half:]
    return dose.promote_dose(rule.strength, dose.promote_unit(base.scores, np.sort(scores)[::-1], k))


def displaced(query: FloatArray, edits: Sequence[Edit]) -> FloatArray:
    """The query [D'] moved by the query channel's edits; the same array when there are none.

    For cosine the moved query is not brought back to unit length: the order of its items is the same either way, and so
    gains stay in the units of the unsteered cosine and contributions add up.
    """
    moves = [edit.displacement for edit in edits if edit.displacement is not None]
    if not moves:
        return query
    moved = query.copy()
    for move in moves:
        moved[: len(move)] += move
    return moved


def gains(edits: Sequence[Edit], moved: FloatArray, asker: Asker) -> list[Gain]:
    """The item channel's edits, for the exact merge; ``moved`` [D'] is the query they add to."""
    out: list[Gain] = []
    for edit in edits:
        if edit.displacement is not None:
            continue
        steerable = edit.steerable
        if edit.posting_scores is None:
            out.append(Gain(edit.dose, steerable.gain))
            continue
        scores = edit.posting_scores if moved is asker.query else steerable.posting_vectors @ moved
        posting = Posting(steerable.posting, steerable.posting_gain, scores)
        out.append(Gain(edit.dose, steerable.gain, posting, floor=POSTING_FLOOR))
    return out
