"""Share targets: the smallest dose that brings a concept's share of *this* list to a bound (DESIGN.md 4.5).

A dial fixes the mean share over users; a target fixes one list's. It acts on membership as it is, 0 or 1, which is what
a share counts, so that the rest of the list stays the recommender's: the quota re-rank. The dose is found by bisection
over a pool of items that can be in the answer, the best steered ones and the best members, and proved on the list
itself: where the pool was too small, it grows, up to the catalogue. Several targets are met together by turns, each a
little beyond its bound, or they would wait for each other for ever. Legend: P items of a pool, K list length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from server import bits
from server.asked import Asked, ScoreArray
from server.catalogue import Catalogue
from server.edits import Asker, Edit, gains
from server.retrieval import places_of_best
from server.types import Action, IntArray, Rule

POOL = 250
"""Best steered items, and best ones that each target moves up, that doses are first sought among."""

ROUNDS = 24
DOUBLINGS = 8
SHARPNESS = 1e-4
"""A dose is known to this part of itself."""

ROUNDING = 1e-5
"""Of the list's scores: what single precision may lose."""

BEYOND = 0.05
"""Of the user's gap, added to every dose where there are several targets."""

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Target:
    """A rule with the number of members that the list must have (promotion) or may have (demotion)."""

    edit: Edit
    bound: int

    @property
    def sign(self) -> int:
        """1 raises members, -1 lowers them."""
        return 1 if self.edit.rule.action is Action.PROMOTE else -1

    def met(self, members: int) -> bool:
        """Whether a list with so many members is as asked for."""
        return members >= self.bound if self.sign > 0 else members <= self.bound


def solve(rules: Sequence[Rule], fixed: Sequence[Edit], catalogue: Catalogue, asker: Asker, moved: Asked) -> list[Edit]:
    """Dose every rule that has a share; those that cannot be met do what is possible, and their note says so.

    Args:
        rules: soft rules of the item channel with a ``share``.
        fixed: edits of the other soft rules.
        catalogue: to find the concepts.
        asker: the user's unsteered situation.
        moved: the question after the fixed edits' moves of the query.
    """
    if not rules or not len(asker.base.items):
        return [Edit(rule, catalogue.of(rule).binary, 0.0) for rule in rules]
    size = len(catalogue.item_ids)
    length = min(asker.k, size if asker.allowed is None else bits.count(asker.allowed, size))
    targets = [_target(rule, catalogue, length) for rule in rules]
    doses = np.zeros(len(targets))
    met = [False] * len(targets)
    depth = POOL
    while True:
        pool = _pool(targets, fixed, asker, moved, depth)
        doses, possible = _doses(targets, fixed, pool, asker, moved)
        edits = [target.edit._replace(dose=target.sign * value) for target, value in zip(targets, doses, strict=True)]
        shown = moved.steered(asker.k, gains([*fixed, *edits], moved), asker.allowed, None).items
        met = [target.met(int(_members(target, shown).sum())) for target in targets]
        if all(met) or depth >= size or (not possible and depth > POOL):
            break
        depth *= 4
    return [
        edit if reached else edit._replace(note=_missed(target, shown, length, asker.allowed))
        for edit, target, reached in zip(edits, targets, met, strict=True)
    ]


def _target(rule: Rule, catalogue: Catalogue, length: int) -> Target:
    assert rule.share is not None
    part = rule.share * length
    # .3 of 10 is 3, whatever the third decimal of a float says.
    bound = math.ceil(part - 1e-9) if rule.action is Action.PROMOTE else math.floor(part + 1e-9)
    return Target(Edit(rule, catalogue.of(rule).binary, 0.0), bound)


def _members(target: Target, items: IntArray) -> BoolArray:
    return bits.has_each(target.edit.steerable.members(target.edit.rule.membership), items)


def _pool(targets: Sequence[Target], fixed: Sequence[Edit], asker: Asker, moved: Asked, depth: int) -> IntArray:
    """Rows of items that can be in the answer, ascending, [P]."""
    parts = [moved.steered(max(depth, 2 * asker.k), gains(fixed, moved), asker.allowed, None).items]
    for target in targets:
        inside = target.edit.steerable.members(target.edit.rule.membership)
        # Who takes the places: members that come, or others where members go.
        wanted = inside if target.sign > 0 else ~inside
        parts.append(moved.search(depth, wanted if asker.allowed is None else asker.allowed & wanted).items)
    return np.unique(np.concatenate(parts))


def _doses(
    targets: Sequence[Target], fixed: Sequence[Edit], pool: IntArray, asker: Asker, moved: Asked
) -> tuple[npt.NDArray[np.float64], bool]:
    """Doses [targets], not negative, and whether all targets are met among the pool."""
    base = moved.scores(pool)
    for edit in fixed:
        if edit.adds:
            base = base + edit.dose * edit.readout(pool)
    columns = [target.sign * target.edit.readout(pool) for target in targets]
    inside = [_members(target, pool) for target in targets]
    beyond = BEYOND * asker.worth.gap if len(targets) > 1 else 0.0
    doses = np.zeros(len(targets))
    for turn in range(ROUNDS):
        # Targets that fill the whole list between them leave no room to go beyond: then smaller steps.
        step = beyond * 0.1 ** (turn // 8)
        scores = base + sum(value * column for value, column in zip(doses, columns, strict=True))
        best = places_of_best(scores, asker.k)
        if all(target.met(int(here[best].sum())) for target, here in zip(targets, inside, strict=True)):
            return doses, True
        for place, target in enumerate(targets):
            others = base + sum(doses[i] * columns[i] for i in range(len(targets)) if i != place)
            found = smallest_dose(others, columns[place], inside[place], target, asker.k)
            doses[place] = found + step if found > 0 else 0.0
        if len(targets) == 1:
            break
    best = places_of_best(base + sum(value * column for value, column in zip(doses, columns, strict=True)), asker.k)
    return doses, all(target.met(int(here[best].sum())) for target, here in zip(targets, inside, strict=True))


def smallest_dose(scores: ScoreArray, column: ScoreArray, members: BoolArray, target: Target, k: int) -> float:
    """The smallest dose at which the best ``k`` of ``scores + dose x column`` meet the target; all arrays [P].

    Where none does: the smallest of those tried that comes nearest.
    """

    def count(amount: float) -> int:
        return int(members[places_of_best(scores + amount * column, k)].sum())

    nearest, best = 0.0, count(0.0)
    if target.met(best):
        return 0.0
    low, high = 0.0, max(float(np.ptp(scores)), 1e-6)
    for _ in range(DOUBLINGS):
        now = count(high)
        if target.met(now):
            break
        if target.sign * (now - best) > 0:
            nearest, best = high, now
        low, high = high, 2 * high
    else:
        return nearest
    while high - low > SHARPNESS * high:
        middle = (low + high) / 2
        if target.met(count(middle)):
            high = middle
        else:
            low = middle
    # The engine ranks in single precision: a dose that decides by less would be decided by rounding.
    return high * (1 + SHARPNESS) + ROUNDING * float(np.abs(scores[places_of_best(scores, k)]).max())


def _missed(target: Target, shown: IntArray, length: int, allowed: bits.BitArray | None) -> str:
    rule = target.edit.rule
    got = int(_members(target, shown).sum())
    wanted = f"{'at least' if target.sign > 0 else 'at most'} {target.bound} of {length}"
    if target.sign > 0:
        inside = target.edit.steerable.members(rule.membership)
        there = bits.count(inside if allowed is None else inside & allowed, 8 * len(inside))
        if there < target.bound:
            return (
                f"{rule.concept}: {got} of {length} is what was possible, {wanted} was asked for; {there} are eligible"
            )
    return f"{rule.concept}: {got} of {length} is what was possible, {wanted} was asked for"
