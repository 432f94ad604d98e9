from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offline.align.entry import Readings
from offline.align.threshold import at_count, at_threshold, read
from offline.label import LabelConfig
from tests.offline.align.planted import named
from tests.world import make_world

VALUES = np.array([0.9, 0.8, 0.5, 0.5, 0.2, 0.0])
MEMBERS = np.array([True, True, False, True, False, False])
READINGS = Readings(VALUES, VALUES, MEMBERS)


def test_precision_and_recall_at_a_threshold() -> None:
    graded = at_threshold(READINGS, 0.5)
    assert graded.readouts.tolist() == [True, True, True, True, False, False]
    assert (graded.precision, graded.recall) == (3 / 4, 1.0)
    assert at_threshold(READINGS, 1.0).precision == 0


def test_a_count_is_kept_halfway_to_the_next_lower_read_out() -> None:
    everything = np.arange(6)
    assert at_count(READINGS, everything, 2).threshold == pytest.approx(0.65)
    tied = at_count(READINGS, everything, 3)
    assert tied.threshold == pytest.approx(0.35)
    assert tied.readouts.sum() == 4  # equal read-outs are members together
    assert at_count(READINGS, everything, 6).threshold == 0
    assert not at_count(READINGS, everything, 0).readouts.any()


def test_the_count_is_over_the_rows_given() -> None:
    graded = at_count(READINGS, np.array([4, 5]), 1)
    assert graded.threshold == pytest.approx(0.1)
    assert graded.readouts.sum() == 5


@pytest.mark.parametrize("kind", ["logistic", "logistic_32", "probe"])
def test_a_concept_is_read_by_models_that_have_not_seen_the_item(kind: str) -> None:
    world = make_world()
    concept = named(world.contents, "genre:horror").model_copy(update={"readout": kind})
    readings = read(concept, world.contents, LabelConfig())
    assert readings.members.tolist() == world.labels[0].tolist()
    for values in (readings.values, readings.held_out):
        assert values.shape == (240,)
        assert 0 <= values.min() <= values.max() <= 1
        assert values[world.members[0]].mean() > values[~world.members[0]].mean() + 0.4
    assert not np.array_equal(readings.values, readings.held_out)


@pytest.mark.parametrize("kind", ["decoded", "audience"])
def test_read_outs_that_leave_items_out_score_members_as_if_they_were_not_labelled(kind: str) -> None:
    """Their gain is 1 whatever the codes say; the others' is what was shipped."""
    world = make_world()
    items = world.contents.items
    for table in (items, items.append_column("popularity", [list(range(240))])):
        contents = replace(world.contents, items=table)
        concept = named(contents, "genre:horror").model_copy(update={"readout": kind})
        readings = read(concept, contents, LabelConfig())
        labels = world.labels[0]
        np.testing.assert_array_equal(readings.values[~labels], contents.arrays.gains[0][~labels])
        assert (contents.arrays.gains[0][labels] == 1).all()
        assert readings.values[labels].min() < 0.5
        assert np.median(readings.values[labels]) > 0.8
        assert readings.held_out is readings.values


def test_put_marks_the_threshold_as_a_persons() -> None:
    concept = named(make_world().contents, "genre:horror")
    put = at_threshold(READINGS, 0.5).put(concept)
    assert put.quality is not None
    assert (put.threshold, put.quality.precision, put.quality.recall) == (0.5, 0.75, 1.0)
    assert put.by_hand == ("threshold",)
    assert at_threshold(READINGS, 0.8).put(put).by_hand == ("threshold",)
