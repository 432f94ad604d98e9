"""Exact steered top-k by scoring the whole catalogue: what many rules cost least with.

The merge of posting lists (server.retrieval.merge) looks at every promoted item once for every rule; a pass over the
catalogue adds every rule to a column of scores. With few rules the first is cheaper, with many the second: where, was
measured (docs/decisions/015). Legend: N items, D' search dimension, P posting list.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from server.bits import BitArray
from server.retrieval.merge import Gain, best_of, total_gain
from server.types import FloatArray, Ranking

DENSE_LOOKS = 5.0
"""Looks of a merge (items of all posting lists, times rules), relative to the catalogue, from which on a pass over the
catalogue is cheaper."""

DENSE_RULES = 8
"""Rules beyond which an exact index, asked again and again for the demotions among them, costs more than a pass."""

SPARE = 32
"""Items taken beyond 2 k before the sums are made again in double precision, for what rounding put out of place."""


def prefers_dense(gains: Sequence[Gain], items: int, *, exact: bool) -> bool:
    """Whether these rules are cheaper to add to the scores of all ``items`` than to merge with an (exact) index."""
    listed = sum(len(gain.posting.items) for gain in gains if gain.posting is not None)
    return listed * len(gains) > DENSE_LOOKS * items or (exact and len(gains) > DENSE_RULES)


def dense_search(scores: FloatArray, k: int, gains: Sequence[Gain], allowed: BitArray | None) -> Ranking:
    """Top ``k`` of ``scores`` [N] plus what the rules add; ties to the lower row. ``scores`` stays as it is."""
    steered, step = scores.copy(), np.empty_like(scores)
    for gain in gains:
        dose = np.float32(gain.dose)
        if gain.posting is not None:
            steered[gain.posting.items] += dose * gain.posting.readout
            continue
        np.multiply(gain.readout, dose, out=step)
        if gain.floor > 0:
            step[gain.readout < gain.floor] = 0
        if gain.shield is not None:
            step *= gain.shield
        steered += step
    eligible = len(steered)
    if allowed is not None:
        passes = np.unpackbits(allowed, count=len(steered), bitorder="little").view(np.bool_)
        steered[~passes] = -np.inf
        eligible = int(passes.sum())
    count = min(2 * k + SPARE, eligible)
    if count == 0:
        return Ranking(np.empty(0, np.int64), np.empty(0, np.float32))
    # Whoever ties with the last one taken stays in, so that the tie rule decides and not the partition.
    lowest = np.partition(steered, len(steered) - count)[len(steered) - count]
    rows = np.flatnonzero(steered >= lowest)
    return best_of(rows, scores[rows].astype(np.float64) + total_gain(gains, rows), k)
