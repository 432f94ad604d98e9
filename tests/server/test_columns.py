"""Read-outs by item: the same numbers, and bounds that hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server import columns as module
from server.columns import Columns, Look
from server.types import FloatArray

ITEMS = 1_000


def _readouts(seed: int = 0, count: int = 12, items: int = ITEMS) -> list[FloatArray]:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        values = rng.beta(rng.choice([0.2, 1, 5]), 1, items)
        values[rng.random(items) < 0.2] = rng.choice([0, 0.1, 0.5, 1])
        made.append(values.astype(np.float32))
    return made


@pytest.mark.parametrize("asked", [1, 3, 4, 12])
@pytest.mark.parametrize("large", [False, True])
def test_a_look_is_what_the_columns_hold(asked: int, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    readouts = _readouts()
    if large:
        monkeypatch.setattr(module, "MOST_BYTES", 100)
    columns = Columns(readouts)
    assert (columns.by_item is None) is large
    rows = np.array([7, 3, 999, 3])
    wanted = readouts[::-1][:asked]
    expected = np.stack([readout[rows] for readout in wanted])
    for look in (Look(rows, columns), Look(rows)):
        assert look.at(wanted).tobytes() == expected.tobytes()
    stranger = readouts[0].copy()  # equal, and yet none of the columns
    assert Look(rows, columns).at([*wanted, stranger])[-1].tobytes() == stranger[rows].tobytes()


def test_no_concepts_no_columns() -> None:
    columns = Columns([])
    assert columns.by_item is None
    assert columns.places([]) == []
    assert Look(np.arange(3), columns).at([]).shape == (0, 3)


@given(
    seed=st.integers(0, 1_000),
    promoted=st.lists(st.integers(0, 11), min_size=1, max_size=12, unique=True),
    demoted=st.lists(st.integers(0, 11), max_size=6, unique=True),
    floor=st.sampled_from([0.0, 0.1]),
)
@settings(max_examples=60, deadline=None)
def test_the_sums_are_never_too_small(seed: int, promoted: list[int], demoted: list[int], floor: float) -> None:
    readouts = _readouts(seed)
    columns = Columns(readouts)
    up, down = [readouts[place] for place in promoted], [readouts[place] for place in demoted]
    assert columns.most(up, floor, down) is None  # whoever asks first does not wait for it
    made = columns.most(up, floor, down)
    assert made is not None
    assert columns.most(up, floor, down) is made
    exact = sum(np.where(one >= np.float32(floor), one, 0).astype(np.float64) for one in up)
    for one in down:
        exact = exact * (1 - one.astype(np.float64))
    assert (made.sums >= exact).all()
    np.testing.assert_allclose(made.sums, exact, rtol=1e-4, atol=1e-6)
    limits = [limit for limit, _, _ in made.levels]
    assert limits == sorted(limits, reverse=True)
    for limit, rows, sums in made.levels:
        assert sums.tobytes() == made.sums[rows].tobytes()
        assert (np.delete(made.sums, rows) < limit).all()


def test_other_rules_have_other_sums_and_strangers_none() -> None:
    readouts = _readouts()
    columns = Columns(readouts)
    kinds = [
        (readouts[:2], 0.1, ()),
        (readouts[:2], 0.0, ()),
        (readouts[:2], 0.1, readouts[2:3]),
        (readouts[:3], 0.1, ()),
    ]
    for up, floor, down in kinds * 2:
        columns.most(up, floor, down)
    made = [columns.most(up, floor, down) for up, floor, down in kinds]
    assert len({id(one) for one in made}) == len(kinds)
    for _ in range(3):
        assert columns.most([readouts[0], readouts[1].copy()], 0.1, ()) is None
        assert columns.most(readouts[:2], 0.1, [readouts[2].copy()]) is None


def test_sums_are_bounded_in_number() -> None:
    readouts = _readouts()
    columns = Columns(readouts)
    for first in range(12):
        for second in range(12):
            for _ in range(2):
                columns.most([readouts[first], readouts[second]], 0.1, ())
    assert len(columns._sums) == module.MOST_SUMS
