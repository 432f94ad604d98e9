"""Inner products through an index. Legend: D embedding, D' search dimension, N items, P posting list of a promotion."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from server import bits
from server.asked.protocol import ScoreArray
from server.asked.read_off import best_of_scores
from server.bits import BitArray
from server.retrieval import Gain, Posting, Retriever, Scored, prefers_dense, steered_search
from server.steerable import Steerable
from server.types import FloatArray, IntArray, Ranking


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
        return best_of_scores(scores, n)

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
