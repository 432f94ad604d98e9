"""One embedding put to one bundle's scorer: everything the engine may want to know about it, whatever scores.

``FlatAsked`` and ``NetworkAsked``: inner products or a scorer network over every item, scored once per request and read
off. ``MetricAsked``: inner products through an approximate index. ``ProxyAsked``: a scorer network over candidates.
Legend: D embedding, D' search dimension, N items, P posting list of a promotion.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from server import bits
from server.bits import BitArray
from server.columns import Columns
from server.retrieval import (
    FlatRetriever,
    Gain,
    Listed,
    NetworkRetriever,
    Posting,
    ProxyRetriever,
    Retriever,
    Scored,
    prefers_dense,
    steered_search,
)
from server.steerable import Steerable
from server.types import FloatArray, IntArray, Ranking

ScoreArray = npt.NDArray[np.float64]

SHORT = 1 / 64
"""Part of the catalogue that makes a short list."""

LISTED = 160
"""Items of the index's list that one rule is answered from, as a rule."""

DEEPER = 10
"""So many times the items wanted are looked at where a filter leaves at least half of the catalogue."""


class Asked(Protocol):
    """What a request asks of a scorer."""

    def search(self, n: int, allowed: BitArray | None) -> Ranking:
        """The unsteered best ``n`` of the allowed items."""
        ...

    def best_members(self, steerables: Sequence[Steerable], n: int, allowed: BitArray | None) -> list[FloatArray]:
        """Unsteered scores of each one's ``n`` best allowed members (the posting list's core), descending."""
        ...

    def posting(self, steerable: Steerable) -> Posting | None:
        """The items a promotion can touch, as ``steered`` wants them; None: it needs none."""
        ...

    def steered(self, k: int, gains: Sequence[Gain], allowed: BitArray | None, base: Ranking | None) -> Ranking:
        """Top ``k`` by score plus gains; ``base``: this embedding's own unsteered list, when it is at hand."""
        ...

    def scores(self, rows: IntArray) -> ScoreArray:
        """Unsteered scores of some items, [len(rows)]."""
        ...

    def elsewhere(self, rows: IntArray, deltas: FloatArray) -> ScoreArray:
        """Unsteered scores that some items would have if their embeddings were moved by ``deltas`` [len(rows), D].

        Under cosine an embedding is its unit vector, and the moved one is brought back to unit length.
        """
        ...

    def moved(self, displacements: Sequence[FloatArray]) -> Asked:
        """The same question from a place further on, by each displacement [D] in turn."""
        ...

    def moves(self, displacements: Sequence[FloatArray], rows: IntArray) -> ScoreArray:
        """What each displacement adds to some items' scores, [displacements, len(rows)]; they sum to the whole."""
        ...


def ask(
    retriever: Retriever,
    x: FloatArray,
    query: FloatArray,
    vectors: FloatArray,
    *,
    unit: bool = False,
    rules: bool = False,
    listed: bool = False,
    columns: Columns | None = None,
) -> Asked:
    """Put an embedding ``x`` [D], ``query`` [D'] as an index is asked, to whatever ``retriever`` searches.

    Args:
        retriever: the bundle's.
        x: what a network reads.
        query: what an index reads.
        vectors: the items' search vectors [N, D'].
        unit: they are unit vectors, because the metric is cosine.
        rules: more will be asked than one list, so that every item had better be scored at once.
        listed: of that the index's list of the best will answer most, as it does for one rule and a short answer.
        columns: the concepts' read-outs by item, for what is read off the scores.
    """
    if isinstance(retriever, NetworkRetriever):
        return NetworkAsked(retriever, x, columns)
    if isinstance(retriever, ProxyRetriever):
        return ProxyAsked(retriever, x)
    if isinstance(retriever, FlatRetriever):
        return FlatAsked(retriever, query, vectors, unit=unit, rules=rules, listed=listed, columns=columns)
    return MetricAsked(retriever, query, vectors, unit=unit)


def prepare(retriever: Retriever, steerable: Steerable) -> None:
    """Make what the first request that steers by it would wait for, and nothing else: all of it stays in memory."""
    if retriever.exact:
        steerable.members_by_readout  # noqa: B018 - each of these fills a cache
    elif isinstance(retriever, ProxyRetriever):
        steerable.posting_gain  # noqa: B018 - of the network's items no vectors are read
    else:
        steerable.posting_vectors  # noqa: B018


class ReadOff(ABC):
    """Every item is scored once, and whatever is asked is read off the scores."""

    @property
    @abstractmethod
    def scored(self) -> Scored:
        """The scores, made when they are first asked for."""

    def search(self, n: int, allowed: BitArray | None) -> Ranking:
        """See Asked."""
        return self.scored.search(n, allowed)

    def best_members(self, steerables: Sequence[Steerable], n: int, allowed: BitArray | None) -> list[FloatArray]:
        """See Asked."""
        found: dict[int, FloatArray] = {}
        left = list(range(len(steerables)))
        for deep in (False, True):
            # Of few members it takes less to look at them all.
            if deep and sum(len(steerables[place].members_by_readout) for place in left) <= self.scored.deep_looks:
                break
            looked = self.scored.best_of_each([steerables[place].gain for place in left], n, allowed, deep=deep)
            found.update((place, scores) for place, scores in zip(left, looked, strict=True) if scores is not None)
            left = [place for place in left if place not in found]
        found.update((place, self._best_of_all(steerables[place], n, allowed)) for place in left)
        return [found[place] for place in range(len(steerables))]

    def _best_of_all(self, steerable: Steerable, n: int, allowed: BitArray | None) -> FloatArray:
        rows = steerable.members_by_readout
        return _best(self.scored.at(rows if allowed is None else rows[bits.has_each(allowed, rows)]), n)

    def posting(self, steerable: Steerable) -> None:  # noqa: B027 - what is read off needs no list
        """See Asked."""

    def steered(self, k: int, gains: Sequence[Gain], allowed: BitArray | None, base: Ranking | None) -> Ranking:  # noqa: ARG002
        """See Asked."""
        return self.scored.steered(k, gains, allowed)


class MetricAsked:
    """Inner products of the query [D'] with search vectors."""

    def __init__(self, retriever: Retriever, query: FloatArray, vectors: FloatArray, *, unit: bool = False) -> None:
        self._retriever = retriever
        self._query = query
        self._vectors = vectors
        self._unit = unit
        self._postings: dict[str, FloatArray] = {}
        self._listed = 0

    @cached_property
    def _all(self) -> FloatArray:
        """Scores of every item, [N]."""
        return self._vectors @ self._query

    def search(self, n: int, allowed: BitArray | None) -> Ranking:
        """See Asked."""
        return self._retriever.search(self._query, n, allowed)

    def best_members(self, steerables: Sequence[Steerable], n: int, allowed: BitArray | None) -> list[FloatArray]:
        """See Asked."""
        return [self._best_members(steerable, n, allowed) for steerable in steerables]

    def _best_members(self, steerable: Steerable, n: int, allowed: BitArray | None) -> FloatArray:
        scores = self._posting_scores(steerable)[: steerable.core]
        if allowed is not None:
            scores = scores[bits.has_each(allowed, steerable.posting[: steerable.core])]
        return _best(scores, n)

    def posting(self, steerable: Steerable) -> Posting | None:
        """See Asked."""
        return Posting(steerable.posting, steerable.posting_gain, self._posting_scores(steerable))

    def steered(self, k: int, gains: Sequence[Gain], allowed: BitArray | None, base: Ranking | None) -> Ranking:
        """See Asked."""
        if prefers_dense(gains, len(self._vectors)):
            return Scored(self._all).steered(k, gains, allowed)
        return steered_search(self._retriever, self._query, k, gains, allowed, base=base)

    def scores(self, rows: IntArray) -> ScoreArray:
        """See Asked."""
        return self._vectors[rows].astype(np.float64) @ self._query

    def elsewhere(self, rows: IntArray, deltas: FloatArray) -> ScoreArray:
        """See Asked."""
        vectors = self._vectors[rows].astype(np.float64)
        vectors[:, : deltas.shape[1]] += deltas
        if self._unit:
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return np.asarray(vectors @ self._query, np.float64)

    def moved(self, displacements: Sequence[FloatArray]) -> MetricAsked:
        """See Asked.

        For cosine the moved query is not brought back to unit length: the order of its items is the same either way,
        and so gains stay in the units of the unsteered cosine and contributions add up.
        """
        return MetricAsked(self._retriever, self._further(displacements), self._vectors, unit=self._unit)

    def _further(self, displacements: Sequence[FloatArray]) -> FloatArray:
        query = self._query.copy()
        for displacement in displacements:
            query[: len(displacement)] += displacement
        return query

    def moves(self, displacements: Sequence[FloatArray], rows: IntArray) -> ScoreArray:
        """See Asked."""
        vectors = self._vectors[rows].astype(np.float64)
        out = np.empty((len(displacements), len(rows)), np.float64)
        for place, displacement in enumerate(displacements):
            out[place] = vectors[:, : len(displacement)] @ displacement
        return out

    def _posting_scores(self, steerable: Steerable) -> FloatArray:
        known = self._postings.get(steerable.id)
        if known is None:
            self._listed += len(steerable.posting)
            # Posting lists that add up to more than the catalogue cost more than the catalogue.
            whole = self._listed > len(self._vectors)
            known = self._all[steerable.posting] if whole else steerable.posting_vectors @ self._query
            self._postings[steerable.id] = known
        return known


class FlatAsked(ReadOff, MetricAsked):
    """The same, every item's taken at once: exact. One list alone is the bare index's own."""

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
    ) -> None:
        super().__init__(retriever, query, vectors, unit=unit)
        self._listed = listed and len(retriever) * SHORT >= LISTED
        self._columns = columns
        self._flat = retriever
        self._rules = rules

    @cached_property
    def scored(self) -> Scored:
        """See ReadOff."""
        self._rules = True
        flat, query = self._flat, self._query
        if self._listed and len((top := _clear(flat.search(query, LISTED))).items) > LISTED // 2:
            return Listed(top, len(flat), partial(flat.some_scores, query), partial(flat.scores, query), self._columns)
        return Scored(flat.scores(query), self._columns)

    def search(self, n: int, allowed: BitArray | None) -> Ranking:
        """See Asked."""
        if allowed is None and not self._rules:
            return self._flat.search(self._query, n)
        if allowed is not None and not self._rules and (depth := self._depth(n, allowed)):
            found = _among(self._flat.search(self._query, depth), n, allowed)
            if found is not None:
                return found
        return self.scored.search(n, allowed)

    def _depth(self, n: int, allowed: BitArray) -> int:
        """How long a list of all items will hold ``n`` allowed ones, surely or most likely; 0: too long a one.

        A list of the index costs less than scores for everything and a look for the best of them, as long as it is
        short and one is enough.
        """
        items = len(self._flat)
        forbidden = items - int(np.bitwise_count(allowed).sum(dtype=np.int64))
        if forbidden + n <= items * SHORT:
            return max(0, forbidden) + n + 8  # the last byte may count too many
        return DEEPER * n if forbidden <= items // 2 and DEEPER * n <= items * SHORT else 0

    def moved(self, displacements: Sequence[FloatArray]) -> FlatAsked:
        """See MetricAsked."""
        query = self._further(displacements)
        return FlatAsked(
            self._flat, query, self._vectors, unit=self._unit, rules=True, listed=False, columns=self._columns
        )


class ByDifferences(ABC):
    """What is not linear shares: a contribution is what the score changes when its part joins those before it."""

    @abstractmethod
    def scores(self, rows: IntArray) -> ScoreArray:
        """See Asked."""

    @abstractmethod
    def moved(self, displacements: Sequence[FloatArray]) -> ByDifferences:
        """See Asked."""

    def moves(self, displacements: Sequence[FloatArray], rows: IntArray) -> ScoreArray:
        """See Asked.

        A network is not linear, so what a displacement adds depends on those before it: each is what the score changes
        when it joins them, in the order of the plan (which the order of a request's rules does not change).
        """
        out = np.empty((len(displacements), len(rows)), np.float64)
        before = self.scores(rows)
        for place in range(len(displacements)):
            after = self.moved(displacements[: place + 1]).scores(rows)
            out[place] = after - before
            before = after
        return out


class NetworkAsked(ReadOff, ByDifferences):
    """A scorer network over every item."""

    def __init__(self, retriever: NetworkRetriever, x: FloatArray, columns: Columns | None) -> None:
        self._retriever = retriever
        self._x = x
        self._columns = columns

    @cached_property
    def scored(self) -> Scored:
        """See ReadOff."""
        return Scored(self._retriever.network.all(self._x), self._columns)

    def scores(self, rows: IntArray) -> ScoreArray:
        """See Asked."""
        return self.scored.values[rows].astype(np.float64)

    def elsewhere(self, rows: IntArray, deltas: FloatArray) -> ScoreArray:
        """See Asked."""
        return self._retriever.network.elsewhere(self._x, rows, deltas).astype(np.float64)

    def moved(self, displacements: Sequence[FloatArray]) -> NetworkAsked:
        """See Asked."""
        return NetworkAsked(self._retriever, _add(self._x, displacements), self._columns)


class ProxyAsked(ByDifferences):
    """A scorer network over the candidates that the proxies propose."""

    def __init__(self, retriever: ProxyRetriever, x: FloatArray) -> None:
        self._retriever = retriever
        self._x = x

    @cached_property
    def _query(self) -> FloatArray:
        return self._retriever.query(self._x)

    def search(self, n: int, allowed: BitArray | None) -> Ranking:
        """See Asked."""
        return self._retriever.steered(self._x, self._query, n, (), allowed)

    def best_members(self, steerables: Sequence[Steerable], n: int, allowed: BitArray | None) -> list[FloatArray]:
        """See Asked; of many members those with the best proxies are scored."""
        return [self._best_members(steerable, n, allowed) for steerable in steerables]

    def _best_members(self, steerable: Steerable, n: int, allowed: BitArray | None) -> FloatArray:
        rows = steerable.posting[: steerable.core]
        if allowed is not None:
            rows = rows[bits.has_each(allowed, rows)]
        depth = self._retriever.depth
        if len(rows) > depth:
            about = self._retriever.proxy.vectors[rows] @ self._query
            rows = np.sort(rows[np.argpartition(-about, depth)[:depth]])
        return np.sort(self._retriever.network.of(self._x, rows))[::-1][:n]

    def posting(self, steerable: Steerable) -> Posting:
        """See Asked; by proxy scores, because they choose the candidates."""
        scores = self._retriever.proxy.vectors[steerable.posting] @ self._query
        return Posting(steerable.posting, steerable.posting_gain, scores)

    def steered(self, k: int, gains: Sequence[Gain], allowed: BitArray | None, base: Ranking | None) -> Ranking:  # noqa: ARG002
        """See Asked."""
        return self._retriever.steered(self._x, self._query, k, gains, allowed)

    def scores(self, rows: IntArray) -> ScoreArray:
        """See Asked."""
        return self._retriever.network.of(self._x, rows).astype(np.float64)

    def elsewhere(self, rows: IntArray, deltas: FloatArray) -> ScoreArray:
        """See Asked."""
        return self._retriever.network.elsewhere(self._x, rows, deltas).astype(np.float64)

    def moved(self, displacements: Sequence[FloatArray]) -> ProxyAsked:
        """See Asked."""
        return ProxyAsked(self._retriever, _add(self._x, displacements))


def _clear(found: Ranking) -> Ranking:
    """The part of a list that everything else scores less than, ties to the lower row."""
    size = int(np.count_nonzero(found.scores > found.scores[-1]))
    items, scores = found.items[:size], found.scores[:size]
    if (scores[1:] == scores[:-1]).any():
        order = np.lexsort((items, -scores))
        items, scores = items[order], scores[order]
    return Ranking(items, scores)


def _among(found: Ranking, n: int, allowed: BitArray) -> Ranking | None:
    """The best ``n`` allowed of a list, ties to the lower row; None where something behind it might be among them."""
    clear = _clear(found)
    passing = bits.has_each(allowed, clear.items)
    items, scores = clear.items[passing][:n], clear.scores[passing][:n]
    return Ranking(items, scores) if len(items) == n else None


def _add(x: FloatArray, displacements: Sequence[FloatArray]) -> FloatArray:
    moved = x.copy()
    for displacement in displacements:
        moved += displacement
    return moved


def _best(scores: FloatArray, n: int) -> FloatArray:
    """The best ``n``, descending."""
    if len(scores) > n:
        scores = np.partition(scores, len(scores) - n)[-n:]
    return np.sort(scores)[::-1]
