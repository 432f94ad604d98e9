"""Exact steered top-k through posting lists: rank by ``base score + gain`` without scoring the whole catalogue.

A promotion can only touch the items of its posting list; these are scored, every one. A demotion can only lower an
item. So with the base list of length n in hand, an item that is neither in it nor in a posting list scores at most the
last base score: once the k-th steered score is at least that, the list is final, and until then n doubles. On an exact
index the result equals brute force (docs/decisions/005). Legend: N items, P posting list.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from server import bits
from server.bits import BitArray
from server.retrieval.gains import Gain, ScoreArray, best_of, total_gain
from server.retrieval.protocol import Retriever
from server.types import FloatArray, IntArray, Ranking

DENSE_LOOKS = 5.0
"""Looks of a merge (items of all posting lists, times rules), relative to the catalogue, from which on scoring the
whole catalogue (server.retrieval.scored) is cheaper."""


def prefers_dense(gains: Sequence[Gain], items: int) -> bool:
    """Whether these rules are cheaper to add to the scores of all ``items`` than to merge with an index."""
    listed = sum(len(gain.posting.items) for gain in gains if gain.posting is not None)
    return listed * len(gains) > DENSE_LOOKS * items


def steered_search(
    retriever: Retriever,
    query: FloatArray,
    k: int,
    gains: Sequence[Gain],
    allowed: BitArray | None,
    *,
    base: Ranking | None = None,
) -> Ranking:
    """Top k of ``query . v + sum of gains``; ``base`` is the unsteered search of the same query, when it is at hand."""
    items, scores = _promoted(k, gains, allowed)
    n = len(base.items) if base is not None else 2 * k
    exhausted = False
    while True:
        if base is None:
            base = retriever.search(query, n, allowed)
            exhausted = len(base.items) < n or n >= len(retriever)
        rest = base
        if len(items):
            fresh = items[np.minimum(np.searchsorted(items, base.items), len(items) - 1)] != base.items
            rest = Ranking(base.items[fresh], base.scores[fresh])
        steered = rest.scores.astype(np.float64) + total_gain(gains, rest.items)
        best = best_of(np.concatenate([items, rest.items]), np.concatenate([scores, steered]), k)
        if exhausted or (len(best.items) == k and best.scores[-1] >= base.scores[-1]):
            return best
        n = max(2 * n, 2 * k)
        base = None


def _promoted(k: int, gains: Sequence[Gain], allowed: BitArray | None) -> tuple[IntArray, ScoreArray]:
    """Items of the posting lists with steered scores, at most k of each: no more of one can be in the answer.

    Ascending, each once.
    """
    items: list[IntArray] = []
    scores: list[ScoreArray] = []
    for gain in gains:
        if gain.posting is None:
            continue
        posting = gain.posting.items
        value = gain.posting.scores + gain.dose * gain.posting.readout.astype(np.float64)
        if allowed is not None:
            passes = bits.has_each(allowed, posting)
            posting, value = posting[passes], value[passes]
        value += total_gain([other for other in gains if other is not gain], posting)
        best = best_of(posting, value, k)
        items.append(best.items)
        scores.append(best.scores.astype(np.float64))
    if not items:
        return np.empty(0, np.int64), np.empty(0, np.float64)
    if len(items) == 1:
        order = np.argsort(items[0])
        return items[0][order], scores[0][order]
    merged, first = np.unique(np.concatenate(items), return_index=True)
    return merged, np.concatenate(scores)[first]
