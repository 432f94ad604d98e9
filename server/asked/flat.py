"""Inner products of every item: exact. Legend: D embedding, D' search dimension, N items."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial

import numpy as np

from server import bits
from server.asked.metric import MetricAsked
from server.asked.read_off import ReadOff
from server.bits import BitArray
from server.columns import Columns
from server.retrieval import MOST_TOGETHER, FlatRetriever, Listed, Scored
from server.types import FloatArray, Ranking

SHORT = 1 / 64
"""Part of the catalogue that makes a short list."""

LISTED = 160
"""Items of the index's list that one rule is answered from, as a rule."""

DEEPER = 10
"""So many times the items wanted are looked at where a filter leaves at least half of the catalogue."""


class FlatAsked(ReadOff, MetricAsked):
    """Inner products with every item, taken at once: exact. One list alone is the bare index's own."""

    def __init__(
        self,
        retriever: FlatRetriever,
        query: FloatArray,
        vectors: FloatArray,
        *,
        unit: bool,
        rules: bool,
        listed: bool,
        columns: Columns | None,
        scored: Scored | None = None,
    ) -> None:
        super().__init__(retriever, query, vectors, unit=unit)
        self._listed = listed and len(retriever) * SHORT >= LISTED
        self._columns = columns
        self._flat = retriever
        self._rules = rules or scored is not None
        self._given = scored

    @cached_property
    def scored(self) -> Scored:
        """See ReadOff."""
        if self._given is not None:
            return self._given
        self._rules = True
        flat, query = self._flat, self._query
        if self._listed and len((top := _clear(flat.search(query, LISTED))).items) > LISTED // 2:
            return Listed(top, len(flat), partial(flat.scores, query), self._columns)
        return Scored(flat.scores(query), self._columns)

    def search(self, n: int, allowed: BitArray | None) -> Ranking:
        """See Asked."""
        if allowed is None and not self._rules:
            return self._flat.search(self._query, n)
        if allowed is not None and not self._rules and (depth := _depth(len(self._flat), n, allowed)):
            found = _among(self._flat.search(self._query, depth), n, allowed)
            if found is not None:
                return found
        return self.scored.search(n, allowed)

    def moved(self, displacements: Sequence[FloatArray]) -> FlatAsked:
        """See MetricAsked."""
        query = self._further(displacements)
        return FlatAsked(
            self._flat, query, self._vectors, unit=self._unit, rules=True, listed=False, columns=self._columns
        )


def lists_of_each(
    retriever: FlatRetriever, queries: Sequence[FloatArray], lengths: Sequence[int], allowed: Sequence[BitArray | None]
) -> list[Ranking | None]:
    """What ``FlatAsked.search`` answers to each query [D'] asked for nothing else, where that takes less time together.

    Args:
        retriever: the bundle's.
        queries: as an index is asked.
        lengths: items wanted for each.
        allowed: of each, packed; None: all.

    Returns:
        One list per query; None where it is not made here.
    """
    made: list[Ranking | None] = [None] * len(queries)
    by_depth: dict[int, list[int]] = {}
    for place, (length, passing) in enumerate(zip(lengths, allowed, strict=True)):
        by_depth.setdefault(length if passing is None else _depth(len(retriever), length, passing), []).append(place)
    for depth, places in by_depth.items():
        for first in range(0, len(places) if depth else 0, MOST_TOGETHER):
            group = places[first : first + MOST_TOGETHER]
            for place, found in zip(group, retriever.search_each([queries[of] for of in group], depth), strict=True):
                passing = allowed[place]
                made[place] = found if passing is None else _among(found, lengths[place], passing)
    return made


def _depth(items: int, n: int, allowed: BitArray) -> int:
    """How long a list of all ``items`` will hold ``n`` allowed ones, surely or most likely; 0: too long a one.

    A list of the index costs less than scores for everything and a look for the best of them, as long as it is short
    and one is enough.
    """
    forbidden = items - int(np.bitwise_count(allowed).sum(dtype=np.int64))
    if forbidden + n <= items * SHORT:
        return max(0, forbidden) + n + 8  # the last byte may count too many
    return DEEPER * n if forbidden <= items // 2 and DEEPER * n <= items * SHORT else 0


def _clear(found: Ranking) -> Ranking:
    """The part of a list that everything else scores less than."""
    size = int(np.count_nonzero(found.scores > found.scores[-1]))
    return Ranking(found.items[:size], found.scores[:size])


def _among(found: Ranking, n: int, allowed: BitArray) -> Ranking | None:
    """The best ``n`` allowed of a list, ties to the lower row; None where something behind it might be among them."""
    clear = _clear(found)
    passing = bits.has_each(allowed, clear.items)
    items, scores = clear.items[passing][:n], clear.scores[passing][:n]
    return Ranking(items, scores) if len(items) == n else None
