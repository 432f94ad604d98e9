"""Why an item has its score, as data: base score, what each rule added, base rank, the concepts it carries.

For inner products the parts sum to the score (law 7): a gain adds ``dose x read-out``, a displacement ``dx . v``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from server import bits
from server.catalogue import POSTING_FLOOR, Catalogue
from server.edits import Edit
from server.types import Contribution, Explanation, FloatArray, Ranking

CONCEPTS_SHOWN = 5
CONCEPT_FLOOR = 0.25
"""Read-outs below it are not shown as concepts an item carries."""


def explain(
    ranking: Ranking, query: FloatArray, base: Ranking, edits: Sequence[Edit], catalogue: Catalogue
) -> tuple[Explanation, ...]:
    """One explanation per item of ``ranking``; ``query`` [D'] and ``base`` are the unsteered ones."""
    ranks = {int(row): place + 1 for place, row in enumerate(base.items)}
    return tuple(_one(int(row), query, ranks.get(int(row), 0), edits, catalogue) for row in ranking.items)


def _one(row: int, query: FloatArray, base_rank: int, edits: Sequence[Edit], catalogue: Catalogue) -> Explanation:
    vector = catalogue.vectors[row].astype(np.float64)
    parts = tuple(Contribution(edit.rule, _value(edit, row, vector)) for edit in edits)
    return Explanation(float(vector @ query), base_rank, parts, _concepts(row, catalogue))


def _value(edit: Edit, row: int, vector: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    if edit.displacement is not None:
        return float(vector[: len(edit.displacement)] @ edit.displacement)
    readout = float(edit.steerable.gain[row])
    return edit.dose * readout if edit.posting_scores is None or readout >= POSTING_FLOOR else 0.0


def _concepts(row: int, catalogue: Catalogue) -> tuple[tuple[str, float, bool], ...]:
    carried = []
    for steerable in catalogue.named:
        value = float(steerable.gain[row])
        if value >= CONCEPT_FLOOR:
            carried.append((steerable.id, value, steerable.labels is not None and bits.has(steerable.labels, row)))
    carried.sort(key=lambda entry: (-entry[1], not entry[2], entry[0]))
    return tuple(carried[:CONCEPTS_SHOWN])
