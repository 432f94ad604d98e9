"""Rows of one concept each, put together: means over concepts, and what a strength reaches on each channel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bundle.calibration import POOR_LEFT, POOR_REACHED
from offline.evaluate.methods import DIRECTIONS, METHODS

ORDER = ("oracle", *METHODS)


def means(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per direction and method: concepts measured, the part that reached the target, and the means over *those*.

    The means leave out concepts that did not reach the target, so compare methods only where ``reached`` is the same;
    ``shared_*`` are the means over the concepts that every method reached.
    """
    out = []
    for direction in DIRECTIONS:
        own = [row for row in rows if row["direction"] == direction]
        names = [name for name in ORDER if any(row["method"] == name for row in own)]
        compared = [name for name in names if name != "papers_zero"]
        reached = [{row["concept"] for row in own if row["method"] == name and row["reached"]} for name in compared]
        shared = set.intersection(*reached) if reached else set()
        for name in names:
            mine = [row for row in own if row["method"] == name]
            there = [row for row in mine if row["reached"]]
            common = [row for row in there if row["concept"] in shared]
            out.append(
                {
                    "direction": direction,
                    "method": name,
                    "concepts": len(mine),
                    "reached": len(there) / len(mine),
                    "share": mean(row["share"] for row in mine),
                    "share_left": mean(row["share"] / row["base_share"] for row in mine if row["base_share"] > 0),
                    "dose": mean(row["dose"] for row in there),
                    "ndcg_kept": mean(row["ndcg_kept"] for row in there),
                    "overlap": mean(row["overlap"] for row in there),
                    "shared_concepts": len(shared),
                    "shared_ndcg_kept": mean(row["ndcg_kept"] for row in common) if name in compared else None,
                    "shared_overlap": mean(row["overlap"] for row in common) if name in compared else None,
                }
            )
    return out


def reach(responses: Sequence[dict[str, Any]], strengths: Sequence[float]) -> list[dict[str, Any]]:
    """What a rule of strength 0.5 and 1 does on the server, per concept and channel.

    ``left_1``: the part of the base share that demote 1 leaves (None: nothing to demote); ``reached_1``: the share of
    the list that promote 1 reaches. ``poor`` says in words where a strength of 1 does little.
    """
    out: dict[tuple[str, str], dict[str, Any]] = {}
    for response in responses:
        key = (response["concept"], response["channel"])
        row = out.setdefault(
            key,
            {
                "concept": response["concept"],
                "family": response["family"],
                "channel": response["channel"],
                "base_share": response["base_share"],
            },
        )
        for strength in (0.5, 1.0):
            if strength not in strengths:
                continue
            share = response["share"][list(strengths).index(strength)]
            if response["direction"] == "suppress":
                base = response["base_share"]
                row[f"left_{strength:g}"] = share / base if base > 0 else None
            else:
                row[f"reached_{strength:g}"] = share
    for row in out.values():
        row["poor"] = _poor(row)
    return list(out.values())


def curve(responses: Sequence[dict[str, Any]], strengths: Sequence[float]) -> list[dict[str, Any]]:
    """Dose-response of each channel and direction, mean over the concepts that are shown at all.

    ``share``: for suppression the part of the base share that is left, for promotion the share of the list.
    """
    out = []
    channels = list(dict.fromkeys(response["channel"] for response in responses))
    for direction in DIRECTIONS:
        for channel in channels:
            own = [
                response
                for response in responses
                if (response["direction"], response["channel"]) == (direction, channel) and response["base_share"] > 0
            ]
            if not own:
                continue
            scale = [response["base_share"] if direction == "suppress" else 1.0 for response in own]
            share = np.array([np.array(r["share"]) / s for r, s in zip(own, scale, strict=True)])
            kept = [response["ndcg_kept"] for response in own]
            out.append(
                {
                    "direction": direction,
                    "channel": channel,
                    "concepts": len(own),
                    "strengths": list(strengths),
                    "share": share.mean(0).tolist(),
                    "ndcg_kept": None if kept[0][0] is None else np.array(kept, float).mean(0).tolist(),
                }
            )
    return out


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are there; None where there is none."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def _poor(row: dict[str, Any]) -> str:
    said = []
    left, reached = row.get("left_1"), row.get("reached_1")
    if left is not None and left > POOR_LEFT:
        said.append(f"demote 1 leaves {left:.0%} of its share")
    if reached is not None and reached < POOR_REACHED:
        said.append(f"promote 1 brings it to {reached:.0%} of the list")
    return "; ".join(said)
