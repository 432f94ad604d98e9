"""Areas and curves of hand-made rows, worked out above the assert."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offline.evaluate.frontier import area, areas, kept_along, mean_curves


def row(method: str, kept: float | None, *, curve: list[tuple[float, float]] = [], **more: Any) -> dict[str, Any]:  # noqa: B006
    reached = kept is not None
    return {
        "concept": "genre:war",
        "direction": "promote",
        "method": method,
        "base_share": 0.1,
        "target": 0.5,
        "share": 0.5 if reached else 0.3,
        "reached": reached,
        "dose": 2.0 if reached else None,
        "ndcg_kept": kept,
        "curve": [{"dose": 1.0, "share": share, "ndcg_kept": value} for share, value in curve],
        **more,
    }


ORACLE = row("oracle", 0.9)


def test_the_curve_is_linear_between_doses() -> None:
    # Share .2 is a quarter of the way from .1 to .5; halfway there 1 -> .96, then .96 -> .8 over three quarters.
    kept = kept_along(row("item", 0.8, curve=[(0.2, 0.96)]), np.array([0, 0.125, 0.25, 0.625, 1.0]))
    assert kept is not None
    np.testing.assert_allclose(kept, [1, 0.98, 0.96, 0.88, 0.8])


def test_area_is_what_lies_below_the_oracles_line() -> None:
    # A straight line to .8 under one to .9: a triangle of width 1 and height .1.
    assert area(row("item", 0.8), ORACLE) == pytest.approx(0.05)
    # Triangles over [0, .25] and [.25, 1]: the curve lies at .96 where the oracle's line is at .975.
    assert area(row("item", 0.8, curve=[(0.2, 0.96)]), ORACLE) == pytest.approx(
        0.25 * 0.015 / 2 + 0.75 * (0.015 + 0.1) / 2, abs=1e-4
    )


def test_a_missed_target_has_no_area_and_no_curve_beyond_its_reach() -> None:
    missed = row("papers", None, curve=[(0.3, 0.7)])
    assert area(missed, ORACLE) is None
    kept = kept_along(missed, np.array([0.25, 0.5, 1.0]))
    assert kept is not None
    assert kept[:2].tolist() == pytest.approx([0.85, 0.7])
    assert np.isnan(kept[2])
    assert areas([ORACLE, missed, row("item", 0.8)]) == {("genre:war", "promote", "item"): pytest.approx(0.05)}


def test_without_interactions_there_is_no_area() -> None:
    assert area(row("item", 0.8) | {"ndcg_kept": None}, ORACLE) is None
    assert area(row("item", 0.8), ORACLE | {"ndcg_kept": None}) is None


def test_mean_curves_are_over_one_set_of_concepts() -> None:
    curve = [(0.3, 0.9)]
    rows = [
        row(method, kept, curve=curve, concept=concept)
        for concept in ("genre:war", "genre:crime", "genre:drama", "genre:horror")
        for method, kept in (("oracle", 0.9), ("item", 0.8 if concept != "genre:drama" else 0.0), ("papers", None))
    ]
    # The query channel misses Drama, so Drama is in nobody's mean; the papers' way reaches too little to count.
    rows += [row("query", 0.7, curve=curve, concept=c) for c in ("genre:war", "genre:crime", "genre:horror")]
    found = mean_curves(rows)
    assert list(found) == ["oracle", "item", "query"]
    assert [round(float(values[-1]), 6) for values in found.values()] == [0.9, 0.8, 0.7]
    assert found["item"][10] == pytest.approx(0.9)
    assert mean_curves([row("oracle", 0.9)]) == {}
