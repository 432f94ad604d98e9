"""A scorer network, over every item or over candidates. Legend: D embedding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from server import bits
from server.asked.protocol import ScoreArray
from server.asked.read_off import ReadOff
from server.bits import BitArray
from server.columns import Columns
from server.retrieval import Gain, NetworkRetriever, Posting, ProxyRetriever, Scored
from server.steerable import Steerable
from server.types import FloatArray, IntArray, Ranking


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


def _add(x: FloatArray, displacements: Sequence[FloatArray]) -> FloatArray:
    moved = x.copy()
    for displacement in displacements:
        moved += displacement
    return moved
