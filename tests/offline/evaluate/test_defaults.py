"""The channel and the reach that an evaluation records with a concept."""

from __future__ import annotations

from typing import Any

from offline.evaluate.defaults import better_channel, with_steering
from tests.offline.evaluate.planted import SUBJECT


def row(method: str, direction: str, kept: float | None, overlap: float = 0.5) -> dict[str, Any]:
    return {
        "concept": SUBJECT.offered[0].id,
        "method": method,
        "direction": direction,
        "reached": kept is not None,
        "ndcg_kept": kept,
        "overlap": overlap,
    }


def test_the_item_channel_is_the_default_and_the_query_channel_must_be_clearly_better() -> None:
    item = [row("item", "suppress", 0.9), row("item", "promote", 0.8)]
    assert better_channel([]) == "item"
    assert better_channel(item) == "item"
    assert better_channel([*item, row("query", "suppress", 0.905), row("query", "promote", 0.803)]) == "item"
    assert better_channel([*item, row("query", "suppress", 0.88), row("query", "promote", 0.85)]) == "query"
    # A target that only the item channel reaches is not given up, one that only the query channel reaches is taken.
    assert better_channel([*item, row("query", "suppress", 0.99), row("query", "promote", None)]) == "item"
    assert better_channel([row("item", "suppress", None), row("query", "suppress", 0.7)]) == "query"


def test_what_was_measured_is_recorded_and_what_was_not_stays_unsaid() -> None:
    first, second = SUBJECT.offered[0].id, SUBJECT.offered[1].id
    reach = {"concept": first, "channel": "item", "left_1": 0.25, "reached_1": 0.9, "poor": "demote 1 leaves 25%"}
    steering = {"rows": [row("item", "suppress", 0.9)], "reach": [reach], "users": 40}
    concepts = {c.id: c for c in with_steering(SUBJECT.concepts, steering).concepts}
    found = concepts[first].steered
    assert found is not None
    assert (found.channel, found.users, found.left_1, found.reached_1) == ("item", 40, 0.25, 0.9)
    assert found.poor == "demote 1 leaves 25%"
    assert concepts[second].steered is None
