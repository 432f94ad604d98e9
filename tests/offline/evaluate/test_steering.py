"""Doses found by bisection, and the rows that come of them, on the planted world."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offline.evaluate.config import EvaluateConfig
from offline.evaluate.doses import Base
from offline.evaluate.lists import overlap
from offline.evaluate.methods import METHODS, Line, Methods
from offline.evaluate.panel import Panel
from offline.evaluate.steering import CLOSE, Lists, steer_concept
from offline.evaluate.window import share_of
from tests.offline.evaluate.planted import SUBJECT, TEST, TRAIN

K = 10
CONFIG = EvaluateConfig(methods=("item", "item_label", "item_latent", "query", "query_latent", "papers", "papers_zero"))
PANEL = Panel.sample(SUBJECT.embeddings, TRAIN, TEST, 10**6, 0)
BASE = Base.of(PANEL.base_scores(SUBJECT.embeddings), K)
METHOD = Methods(SUBJECT, PANEL, BASE, None, 0)
CONCEPT = SUBJECT.offered[3]


@pytest.fixture(scope="module")
def steered() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return steer_concept(CONCEPT, METHOD, CONFIG)


def of(rows: list[dict[str, Any]], method: str, direction: str) -> dict[str, Any]:
    return next(row for row in rows if (row["method"], row["direction"]) == (method, direction))


def test_bisection_finds_the_smallest_dose_by_hand() -> None:
    # One user, scores 3 2 1 0; item 3 is the concept and gains the dose: it enters the top 2 above 2.
    scores = np.array([[3, 2, 1, 0]], np.float32)
    base = Base.of(scores, 2)
    line = Line(scores, np.array([0, 0, 0, 1], np.float32), np.ones(1, np.float32))
    found = Lists(line, base).reach(0.5, np.arange(4) == 3, "promote", 64)
    assert found.dose == pytest.approx(2, rel=CLOSE)
    assert found.lists.tolist() == [[0, 3]]


def test_a_target_out_of_reach_is_said_to_be_missed() -> None:
    scores = np.array([[3, 2, 1, 0]], np.float32)
    line = Line(scores, np.zeros(4, np.float32), np.ones(1, np.float32))
    found = Lists(line, Base.of(scores, 2)).reach(0.5, np.arange(4) == 3, "promote", 64)
    assert found.dose is None
    assert found.lists.tolist() == [[0, 1]]


def test_a_target_that_is_met_already_needs_no_dose() -> None:
    line = Line(BASE.scores, np.ones(BASE.scores.shape[1], np.float32), np.ones(len(BASE.scores), np.float32))
    found = Lists(line, BASE).reach(0.0, SUBJECT.labels(SUBJECT.offered[0]), "promote", 64)
    assert found.dose == 0
    assert found.lists.tolist() == BASE.lists.tolist()


@pytest.mark.parametrize(("direction", "limit"), [("suppress", 0.1), ("promote", 0.5)])
def test_rows_meet_their_target(
    steered: tuple[list[dict[str, Any]], list[dict[str, Any]]], direction: str, limit: float
) -> None:
    rows = [row for row in steered[0] if row["direction"] == direction]
    base = share_of(BASE.lists, SUBJECT.labels(CONCEPT))
    assert base > 0
    goal = limit * base if direction == "suppress" else limit
    for row in rows:
        assert row["base_share"] == base
        assert row["target"] == pytest.approx(goal)
        met = row["share"] <= row["target"] if direction == "suppress" else row["share"] >= row["target"]
        assert met == row["reached"]
        assert (row["overlap"] is None) == (not row["reached"])
        assert (row["ndcg_kept"] is None) == (not row["reached"])


def test_the_label_on_the_item_channel_nearly_is_the_oracle(
    steered: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    rows = steered[0]
    assert of(rows, "oracle", "suppress")["overlap"] == of(rows, "oracle", "promote")["overlap"] == 1
    assert of(rows, "oracle", "suppress")["share"] == 0
    assert of(rows, "item_label", "suppress")["overlap"] > 0.9
    assert of(rows, "item_label", "promote")["overlap"] > 0.85
    assert of(rows, "item_label", "promote")["overlap"] > of(rows, "papers", "promote")["overlap"]


def test_setting_to_zero_is_the_papers_line_at_dose_zero(
    steered: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    line = METHOD.of(CONCEPT, ("papers",))["papers"]("suppress")
    assert line is not None
    lists = Lists(line, BASE).at(0)
    row = of(steered[0], "papers_zero", "suppress")
    assert row["share"] == share_of(lists, SUBJECT.labels(CONCEPT))
    assert not any(other["method"] == "papers_zero" and other["direction"] == "promote" for other in steered[0])


def test_responses_are_measured_at_every_strength(
    steered: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    responses = steered[1]
    assert {(r["channel"], r["direction"]) for r in responses} == {
        ("item", "suppress"), ("item", "promote"), ("query", "suppress"), ("query", "promote"),
    }  # fmt: skip
    for response in responses:
        assert response["ndcg_kept"][0] == 1
        assert response["share"][0] == response["base_share"]
        falling = np.diff(response["share"]) <= 1e-9
        assert falling.all() if response["direction"] == "suppress" else (np.diff(response["share"]) >= -1e-9).all()


def test_a_concept_that_fills_the_list_is_not_promoted() -> None:
    config = EvaluateConfig(promote_share=0.01, methods=("item",))
    rows, responses = steer_concept(CONCEPT, METHOD, config)
    assert {row["direction"] for row in rows} == {"suppress"}
    assert {response["direction"] for response in responses} == {"suppress", "promote"}


def test_without_interactions_shares_are_measured_and_ndcg_is_not() -> None:
    panel = Panel.sample(SUBJECT.embeddings, None, None, 20, 0)
    base = Base.of(panel.base_scores(SUBJECT.embeddings), K)
    rows, responses = steer_concept(SUBJECT.offered[0], Methods(SUBJECT, panel, base, None, 0), CONFIG)
    assert {row["ndcg_kept"] for row in rows} == {None}
    assert {value for response in responses for value in response["ndcg_kept"]} == {None}
    assert all(row["overlap"] is not None for row in rows if row["reached"])


def test_masked_items_are_not_steered_into_a_list() -> None:
    line = METHOD.of(SUBJECT.offered[0], ("item",))["item"]("promote")
    assert line is not None
    lists = Lists(line, BASE).at(1)
    assert PANEL.seen is not None
    assert not np.take_along_axis(PANEL.seen, lists, 1).any()
    assert (overlap(lists, BASE.lists) < 1).any()


def test_methods_are_known_by_name() -> None:
    with pytest.raises(ValueError, match="methods: magic unknown; there are item, item_constant, "):
        EvaluateConfig(methods=("item", "magic"))
    with pytest.raises(ValueError, match="strengths: between 0 and 1, as a rule has them"):
        EvaluateConfig(strengths=(0.0, 1.5))
    assert set(EvaluateConfig().methods) <= set(METHODS)
