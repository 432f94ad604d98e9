"""Side effects of lists small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from offline.evaluate.collateral import Collateral
from tests.offline.evaluate.planted import SUBJECT

BEFORE = np.array([[0, 1], [0, 2]])
AFTER = np.array([[0, 3], [3, -1]])
VECTORS = np.array([[2, 0], [0, 1], [1, 0], [0, 5]], np.float32)


def test_figures_by_hand() -> None:
    concept, other = SUBJECT.offered[0], SUBJECT.offered[1]
    labels = {
        concept.id: np.array([True, False, False, True]),
        other.id: np.array([True, True, False, False]),
        "mood:dark": np.array([False, False, False, True]),
    }
    found = Collateral.of(labels, VECTORS, np.array([6, 1, 1, 2])).measure(BEFORE, AFTER, concept)
    # The other of the family: (1 + .5) / 2 before; .5 of the first list and none of the second after.
    assert found["off_target"] == pytest.approx(0.75 - 0.25)
    assert (found["coverage_base"], found["coverage"]) == (0.75, 0.5)
    # Lists 0-1 (cosine 0) and 0-2 (cosine 1) before; 0-3 (cosine 0) after, the other list has one item.
    assert (found["diversity_base"], found["diversity"]) == (pytest.approx(0.5), pytest.approx(1.0))
    # Of 10 interactions: items 1 and 2 have 1 each (below: 0, plus half of 2), item 3 (2 + 1), item 0 (4 + 3).
    popularity = {0: 0.7, 1: 0.1, 2: 0.1, 3: 0.3}
    before = np.mean([popularity[i] for i in (0, 1, 0, 2)])
    after = np.mean([popularity[i] for i in (0, 3, 3)])
    assert found["popularity_shift"] == pytest.approx(after - before)


def test_without_interactions_or_other_concepts_nothing_is_said() -> None:
    concept = SUBJECT.offered[0]
    found = Collateral.of({concept.id: np.ones(4, bool)}, VECTORS, None).measure(BEFORE, AFTER, concept)
    assert found["off_target"] is None
    assert found["popularity_shift"] is None
