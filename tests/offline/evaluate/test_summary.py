"""Means over concepts and the reach of a strength, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from offline.evaluate.summary import curve, means, reach


def row(concept: str, method: str, ndcg: float | None, *, direction: str = "suppress") -> dict[str, Any]:
    reached = ndcg is not None
    return {
        "concept": concept, "family": "genre", "method": method, "direction": direction, "base_share": 0.2,
        "target": 0.02, "reached": reached, "dose": 1.0 if reached else None, "share": 0.02 if reached else 0.1,
        "ndcg_kept": ndcg, "overlap": ndcg,
    }  # fmt: skip


def test_means_are_over_what_reached_and_over_what_all_reached() -> None:
    rows = [row("a", "item", 0.9), row("b", "item", 0.5), row("a", "query", 0.7), row("b", "query", None)]
    item, query = means(rows)
    assert (item["method"], item["reached"], item["ndcg_kept"]) == ("item", 1.0, 0.7)
    assert (query["method"], query["reached"], query["ndcg_kept"]) == ("query", 0.5, 0.7)
    assert (item["shared_concepts"], item["shared_ndcg_kept"], query["shared_ndcg_kept"]) == (1, 0.9, 0.7)
    assert abs(query["share_left"] - (0.1 + 0.5) / 2) < 1e-12


def test_setting_to_zero_does_not_decide_what_is_shared() -> None:
    rows = [row("a", "papers", 0.9), row("a", "papers_zero", None)]
    papers, zero = means(rows)
    assert papers["shared_concepts"] == 1
    assert zero["shared_ndcg_kept"] is None


def response(channel: str, direction: str, share: list[float], base: float = 0.2) -> dict[str, Any]:
    return {
        "concept": "genre:war", "family": "genre", "channel": channel, "direction": direction, "base_share": base,
        "share": share, "ndcg_kept": [1.0, 0.9, 0.8],
    }  # fmt: skip


STRENGTHS = (0.0, 0.5, 1.0)


def test_reach_of_a_strength_and_a_warning_where_it_is_poor() -> None:
    good, poor = reach(
        [
            response("item", "suppress", [0.2, 0.1, 0.01]),
            response("item", "promote", [0.2, 0.3, 0.5]),
            response("query", "suppress", [0.2, 0.18, 0.1]),
            response("query", "promote", [0.2, 0.21, 0.22]),
        ],
        STRENGTHS,
    )
    keys = ("left_0.5", "left_1", "reached_0.5", "reached_1")
    assert [good[key] for key in keys] == pytest.approx([0.5, 0.05, 0.3, 0.5])
    assert good["poor"] == ""
    assert poor["poor"] == "demote 1 leaves 50% of its share; promote 1 brings it to 22% of the list"


def test_a_concept_that_nobody_is_shown_has_nothing_to_demote() -> None:
    (only,) = reach([response("item", "suppress", [0.0, 0.0, 0.0], base=0.0)], STRENGTHS)
    assert only["left_1"] is None
    assert only["poor"] == ""


def test_the_curve_is_relative_for_suppression_and_absolute_for_promotion() -> None:
    down, up = curve(
        [response("item", "suppress", [0.2, 0.1, 0.02]), response("item", "promote", [0.2, 0.3, 0.5])], STRENGTHS
    )
    assert down["direction"] == "suppress"
    assert down["share"] == pytest.approx([1, 0.5, 0.1])
    assert (up["direction"], up["share"], up["ndcg_kept"]) == ("promote", [0.2, 0.3, 0.5], [1.0, 0.9, 0.8])
