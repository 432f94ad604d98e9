"""A method's frontier: NDCG kept against how far the share has come, and the area that it lies below the oracle's.

``t`` is the part of the way from the unsteered share to the target; a method's curve is NDCG kept at t, linear between
the doses measured. The oracle's curve is the straight line from the unsteered list to its own list at the target: to
show its list to a part t of the users is exactly that. The summary, smaller is better (0: the oracle; the part of NDCG
lost on the mean of the way):

    area = int_0^1 [oracle(t) - kept(t)] dt

None where the target is not reached: an area over a shorter way compares with nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

PROGRESS = np.linspace(0, 1, 21)
"""Where curves are read."""


def kept_along(row: Mapping[str, Any], at: Array = PROGRESS, figure: str = "ndcg_kept") -> Array | None:
    """``figure`` of a row of the steering table at the progress ``at`` [T]; None where that is not known.

    Beyond what the method reaches the values are NaN.
    """
    way = row["target"] - row["base_share"]
    points = [(0.0, 1.0 if figure == "ndcg_kept" else None)]
    points += [((p["share"] - row["base_share"]) / way, p[figure]) for p in row.get("curve", ()) if way]
    if row["reached"] and row["dose"] is not None and way:
        points.append(((row["share"] - row["base_share"]) / way, row[figure]))
    known = sorted((float(t), float(v)) for t, v in points if v is not None)
    if len(known) < 2:
        return None
    t, v = (np.array(column) for column in zip(*known, strict=True))
    # Shares that are met a little more than asked for end at 1 all the same.
    return np.where(at <= t.max() + 0.02, np.interp(at, t, v), np.nan)


def area(row: Mapping[str, Any], oracle: Mapping[str, Any]) -> float | None:
    """Area between the oracle's line and the method's curve; None where the target was missed or NDCG is unknown."""
    if not row["reached"] or oracle["ndcg_kept"] is None:
        return None
    kept = kept_along(row)
    if kept is None or np.isnan(kept).any():
        return None
    best = 1 + (oracle["ndcg_kept"] - 1) * PROGRESS
    return float(np.trapezoid(best - kept, PROGRESS))


def areas(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str, str], float]:
    """Area by (concept, direction, method), where there is one."""
    oracles = {(row["concept"], row["direction"]): row for row in rows if row["method"] == "oracle"}
    out = {}
    for row in rows:
        oracle = oracles.get((row["concept"], row["direction"]))
        found = None if oracle is None or row["method"] == "oracle" else area(row, oracle)
        if found is not None:
            out[row["concept"], row["direction"], row["method"]] = found
    return out


def mean_curves(rows: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
    """Mean curve of the oracle and of every method, of one direction, over the concepts that all of them reach.

    Methods that reach fewer than half of the concepts are left out, so that they do not take the others' concepts away.
    """
    oracles = {row["concept"]: row for row in rows if row["method"] == "oracle" and row["ndcg_kept"] is not None}
    found: dict[str, dict[str, Array]] = {}
    for row in rows:
        curve = kept_along(row) if row["reached"] and row.get("curve") and row["concept"] in oracles else None
        if curve is not None and np.isfinite(curve).all():
            found.setdefault(row["method"], {})[row["concept"]] = curve
    able = {method: own for method, own in found.items() if len(own) >= len(oracles) / 2}
    shared = set(oracles).intersection(*(set(own) for own in able.values())) if able else set()
    if not shared:
        return {}
    line = 1 + (np.mean([oracles[concept]["ndcg_kept"] for concept in shared]) - 1) * PROGRESS
    return {"oracle": line} | {
        method: np.asarray(np.mean([own[concept] for concept in sorted(shared)], 0)) for method, own in able.items()
    }
