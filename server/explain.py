"""Why an item has its score, as data: base score, what each rule added, base rank, the concepts it carries.

For inner products the parts sum to the score (law 7): a gain adds ``dose x read-out``, a displacement ``dx . v``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from server import bits
from server.catalogue import POSTING_FLOOR, Catalogue, Steerable
from server.edits import Edit
from server.types import Contribution, Explanation, FloatArray, Ranking

CONCEPTS_SHOWN = 5
CONCEPT_FLOOR = 0.25
"""Read-outs below it are not shown as concepts an item carries."""


def explain(
    ranking: Ranking,
    query: FloatArray,
    base: Ranking,
    edits: Sequence[Edit],
    catalogue: Catalogue,
    *,
    asked: frozenset[str] = frozenset(),
) -> tuple[Explanation, ...]:
    """One explanation per item of ``ranking``; ``query`` [D'] and ``base`` are the unsteered ones.

    ``asked``: concepts and latents that rules name; where an item carries one, it is never cut off.
    """
    ranks = {int(row): place + 1 for place, row in enumerate(base.items)}
    rules = [catalogue.find(concept) for concept in sorted(asked) if catalogue.is_offered(concept)]
    return tuple(_one(int(row), query, ranks.get(int(row), 0), edits, catalogue, asked=rules) for row in ranking.items)


def _one(
    row: int,
    query: FloatArray,
    base_rank: int,
    edits: Sequence[Edit],
    catalogue: Catalogue,
    *,
    asked: Sequence[Steerable],
) -> Explanation:
    vector = catalogue.vectors[row].astype(np.float64)
    parts = tuple(Contribution(edit.rule, _value(edit, row, vector)) for edit in edits)
    return Explanation(float(vector @ query), base_rank, parts, _concepts(row, catalogue, asked))


def _value(edit: Edit, row: int, vector: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    if edit.displacement is not None:
        return float(vector[: len(edit.displacement)] @ edit.displacement)
    readout = float(edit.steerable.gain[row])
    return edit.dose * readout if edit.posting_scores is None or readout >= POSTING_FLOOR else 0.0


def _concepts(row: int, catalogue: Catalogue, asked: Sequence[Steerable]) -> tuple[tuple[str, float, bool], ...]:
    carried = [entry for steerable in catalogue.named if (entry := _carries(row, steerable))[1] >= CONCEPT_FLOOR]
    carried.sort(key=lambda entry: (-entry[1], not entry[2], entry[0]))
    shown = carried[:CONCEPTS_SHOWN]
    named = {entry[0] for entry in shown}
    more = (_carries(row, steerable) for steerable in asked if steerable.id not in named)
    return (*shown, *(entry for entry in more if entry[1] > 0))


def _carries(row: int, steerable: Steerable) -> tuple[str, float, bool]:
    labelled = steerable.labels is not None and bits.has(steerable.labels, row)
    return steerable.id, float(steerable.gain[row]), labelled
