"""What the demo asks a server: whom, about which concept, and what came of it. Pure functions over item ids.

Membership is read from the item table itself, not from what the server says about its answers, so that the promise of
a filter is checked against something the server cannot talk its way around. Legend: K places of a list.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, median

import numpy as np
import pyarrow as pa

from bundle import Concept, concept_id
from client import Rule

Titles = list[tuple[str, str]]
"""Items of one answer, best first: id and title."""

Ask = Callable[[str, Sequence[Rule], int], Titles]
"""``ask(user_id, rules, k)``: one request to the server."""

MIX = 0.3
"""Share of the chosen concept in the shown user's unsteered list: enough to take away, with room to add."""

RARE, COMMON = 0.004, 0.2
"""Concepts of this share of the catalogue are worth showing."""


@dataclass(frozen=True)
class Subject:
    """The user and the concept that are shown."""

    user_id: str
    concept: str


@dataclass
class Clocked:
    """An ``Ask`` that keeps the wall-clock milliseconds of every call, apart for calls with and without rules."""

    ask: Ask
    plain: list[float] = field(default_factory=list)
    steered: list[float] = field(default_factory=list)

    def __call__(self, user_id: str, rules: Sequence[Rule], k: int) -> Titles:
        """Ask, and keep the time."""
        start = time.perf_counter()
        answer = self.ask(user_id, rules, k)
        (self.steered if rules else self.plain).append(1e3 * (time.perf_counter() - start))
        return answer

    def summary(self) -> str:
        """Median of each kind, as the client saw it."""
        parts = [f"{name} {median(times):.1f} ms ({len(times):,} calls)"
                 for name, times in (("unsteered", self.plain), ("steered", self.steered)) if times]  # fmt: skip
        return "p50 as the client sees it, one call at a time: " + ", ".join(parts)


def labelled(items: pa.Table, offered: Iterable[Concept]) -> dict[str, frozenset[str]]:
    """Concept id -> ids of the items whose metadata carries it, for the concepts of text columns."""
    wanted = {concept.id for concept in offered}
    carriers: dict[str, set[str]] = {}
    ids = items["item_id"].to_pylist()
    for column in items.schema:
        of_text = pa.types.is_string(column.type) or (
            pa.types.is_list(column.type) and pa.types.is_string(column.type.value_type)
        )
        if column.name in {"item_id", "title"} or not of_text:
            continue
        for item_id, cell in zip(ids, items[column.name].to_pylist(), strict=True):
            for value in [cell] if isinstance(cell, str) else cell or []:
                concept = concept_id(column.name, value)
                if concept in wanted:
                    carriers.setdefault(concept, set()).add(item_id)
    return {concept: frozenset(members) for concept, members in carriers.items()}


def share(answer: Titles, members: Collection[str]) -> float:
    """Share of the places that carry the concept; 0 for an empty list."""
    return mean(item_id in members for item_id, _ in answer) if answer else 0.0


def choose(lists: Mapping[str, Titles], carriers: Mapping[str, frozenset[str]], catalogue: int) -> Subject:
    """The user and concept whose unsteered list shows most: a share of about MIX, and many other concepts beside it.

    Looks at unsteered lists only, so the effect that is shown was not picked for being large. Ties go to the first
    user in the order of ``lists``.
    """
    worth = {c: members for c, members in carriers.items() if RARE <= len(members) / catalogue <= COMMON} or carriers
    best: tuple[float, Subject] | None = None
    for user_id, answer in lists.items():
        variety = sum(share(answer, members) > 0 for members in carriers.values()) / max(1, len(carriers))
        for concept, members in sorted(worth.items()):
            badness = abs(share(answer, members) - MIX) - 0.2 * variety
            if best is None or badness < best[0] - 1e-12:
                best = badness, Subject(user_id, concept)
    if best is None:
        raise ValueError("no lists, or no concept with a label")
    return best[1]


def also_worth(carriers: Mapping[str, frozenset[str]], first: str, count: int) -> list[str]:
    """``first``, then other concepts spread from the largest to the smallest, ``count`` in all."""
    others = sorted((c for c in carriers if c != first), key=lambda c: (-len(carriers[c]), c))
    spread = np.linspace(0, len(others) - 1, min(count - 1, len(others)))
    return [first, *dict.fromkeys(others[round(place)] for place in spread.tolist())]


@dataclass(frozen=True)
class Outcome:
    """Mean share of each concept under each rule, and how many forbidden items the filters let through.

    ``shares``: concept -> column -> mean over users. ``filtered``: items returned by filtered requests; ``forbidden``:
    those of them that carry the filtered concept.
    """

    shares: dict[str, dict[str, float]]
    users: int
    filtered: int
    forbidden: int


def survey(
    ask: Ask,
    users: Sequence[str],
    concepts: Sequence[str],
    carriers: Mapping[str, frozenset[str]],
    *,
    columns: Mapping[str, Callable[[str], Sequence[Rule]]],
    k: int,
    step: Callable[[], None] = lambda: None,
) -> Outcome:
    """Ask for every user, concept and column; a column turns a concept into rules (none: unsteered)."""
    sums = {concept: dict.fromkeys(columns, 0.0) for concept in concepts}
    filtered = forbidden = 0
    for user_id in users:
        for concept in concepts:
            for column, make in columns.items():
                rules = make(concept)
                answer = ask(user_id, rules, k)
                sums[concept][column] += share(answer, carriers[concept])
                if any(rule.action == "filter" for rule in rules):
                    filtered += len(answer)
                    forbidden += sum(item_id in carriers[concept] for item_id, _ in answer)
        step()
    means = {c: {column: total / len(users) for column, total in by.items()} for c, by in sums.items()}
    return Outcome(means, len(users), filtered, forbidden)
