"""What the evaluation settles for every concept: the channel that costs less, and what a rule of strength 1 reaches.

The item channel, unless the query channel reaches every target that the item channel reaches and keeps more NDCG at it
(overlap with the oracle where there is no NDCG), mean of suppression and promotion. What was not steered stays unsaid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from bundle import ConceptFile, Steered

MARGIN = 0.005
"""The query channel must be better by this: less is noise, and the item channel touches nothing but the concept."""


def with_steering(concepts: ConceptFile, steering: dict[str, Any]) -> ConceptFile:
    """``concepts`` with ``steered`` on those that the section ``steering`` of an evaluation measured."""
    out = []
    for concept in concepts.concepts:
        channel = better_channel([row for row in steering["rows"] if row["concept"] == concept.id])
        reach = next(
            (r for r in steering["reach"] if (r["concept"], r["channel"]) == (concept.id, channel)),
            None,
        )
        steered = None
        if reach is not None:
            steered = Steered(
                channel=channel,
                users=steering["users"],
                left_1=reach.get("left_1"),
                reached_1=reach.get("reached_1"),
                poor=reach["poor"],
            )
        out.append(concept.model_copy(update={"steered": steered}))
    return ConceptFile(concepts=tuple(out))


def better_channel(rows: Sequence[dict[str, Any]]) -> Literal["item", "query"]:
    """Of one concept's rows of the steering table."""
    kept: dict[str, dict[str, float]] = {"item": {}, "query": {}}
    for row in rows:
        if row["method"] in kept and row["reached"]:
            value = row["overlap"] if row["ndcg_kept"] is None else row["ndcg_kept"]
            kept[row["method"]][row["direction"]] = value
    item, query = kept["item"], kept["query"]
    if not query or not set(item) <= set(query):
        return "item"
    gain = sum(query[direction] - item.get(direction, 0) for direction in query) / len(query)
    return "query" if gain > MARGIN else "item"
