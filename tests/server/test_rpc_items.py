"""Lists in wire format against messages made one by one."""

from __future__ import annotations

import numpy as np
import pytest

from protos.steering.v1 import recommend_pb2 as pb
from server.rpc.items import Items, items_of
from server.types import Ranking
from tests.server.worlds import engine

TITLES = ["", "a", "Ünïcode ☃", "t" * 100, "t" * 109, "t" * 110, "t" * 111, "t" * 300, "t" * 20_000]
"""Lengths around a varint's second and third byte."""


class _Named:
    """As much of a catalogue as a list needs."""

    def __init__(self) -> None:
        self.titles = TITLES
        self.item_ids = [f"i{n}" for n in range(len(TITLES))]


@pytest.mark.parametrize("field", ["items", "baseline"])
def test_a_list_is_what_messages_one_by_one_would_be(field: str) -> None:
    items = Items(_Named())  # type: ignore[arg-type]
    rows = np.array([8, 0, 3, 1, 2, 4, 5, 6, 7, 0])
    scores = np.array([1.5, 0.0, -0.0, -3e38, 1e-45, 2, 3, 4, 5, 6], np.float32)
    expected = pb.RecommendResponse(request_id="r")
    for row, score in zip(rows.tolist(), scores.tolist(), strict=True):
        getattr(expected, field).add(item_id=f"i{row}", score=score, title=TITLES[row])
    for _ in range(2):  # the second time from what is known
        response = pb.RecommendResponse(request_id="r")
        items.add(response, field, Ranking(rows, scores))  # type: ignore[arg-type]
        assert response == expected


def test_an_empty_list_adds_nothing() -> None:
    response = pb.RecommendResponse(request_id="r")
    Items(_Named()).add(response, "items", Ranking(np.empty(0, np.int64), np.empty(0, np.float32)))  # type: ignore[arg-type]
    assert response == pb.RecommendResponse(request_id="r")


def test_a_catalogue_is_encoded_once() -> None:
    catalogue = engine("dot").catalogue
    assert items_of(catalogue) is items_of(catalogue)
