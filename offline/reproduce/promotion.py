"""Targeted item promotion: show one item to one audience, and see who else pays.

Arviv et al. 2025 raise a concept's latent in the code of an *item* (not of a user), so that the item reaches the
audience of that concept. Two audiences without a common member say whether it is targeted: raised towards one, the item
must come into the lists of that audience and of nobody else. The collateral is what everyone else notices: how many of
the others get the item (each time another item falls out of their list), and their NDCG.

``ours`` edits the item and keeps its reconstruction error, ``q' = q + dose x unit x scale x d_j``; ``papers`` sets the
latent and serves the decoded code, residual dropped. Unit: the 90th percentile of the latent over the items that
activate it. Legend: U users, N items, K list length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from bundle import SaeWeights
from offline.evaluate.panel import BoolArray, FloatArray, IntArray, Panel, best_lists
from offline.reproduce.ranker import Ranker

Way = Literal["ours", "papers"]
WAYS: tuple[Way, ...] = ("ours", "papers")


def audiences(
    seen: BoolArray | csr_array, members: tuple[BoolArray, BoolArray], size: int
) -> tuple[IntArray, IntArray]:
    """Two audiences of at most ``size`` users without a common one, as rows of ``seen`` [U, N], 1 or 0.

    Of a concept (``members`` bool [N]): the users with the largest share of it in their history. Who would be in both
    is in neither. Users without a history are in none.
    """
    length = np.maximum(seen.sum(1), 1)
    lead = [(seen @ part.astype(np.float32)) / length for part in members]
    best = [np.argsort(-share, kind="stable")[:size] for share in lead]
    best = [rows[share[rows] > 0] for rows, share in zip(best, lead, strict=True)]
    both = np.intersect1d(best[0], best[1])
    first, second = (np.setdiff1d(rows, both) for rows in best)
    return first, second


def most_disjoint(seen: BoolArray | csr_array, members: BoolArray, size: int) -> tuple[int, int]:
    """The two concepts [C, N] whose ``size`` keenest users have least in common; of equal ones the larger "
    "concepts.
    """
    length = np.maximum(seen.sum(1), 1)[:, None]
    share = (seen.astype(np.float32) @ members.T.astype(np.float32)) / length
    keen = np.zeros(share.T.shape, np.float32)
    for concept, values in enumerate(share.T):
        keen[concept, np.argsort(-values, kind="stable")[:size]] = 1
    common = keen @ keen.T
    count = members.sum(1)
    pairs = [(a, b) for a in range(len(members)) for b in range(a)]
    a, b = min(pairs, key=lambda pair: (common[pair], -min(count[pair[0]], count[pair[1]])))
    return (a, b) if count[a] >= count[b] else (b, a)


@dataclass(frozen=True)
class Stage:
    """The panel's lists before a promotion: the best K + 1 ``items`` [U, K + 1] with their ``values``."""

    panel: Panel
    users: FloatArray
    items: IntArray
    values: FloatArray
    k: int

    @classmethod
    def of(cls, ranker: Ranker, panel: Panel, k: int = 10) -> Stage:
        """Rank the panel's users once."""
        users = ranker.trained.embeddings.users[panel.users]
        scores = panel.masked(ranker(users))
        items = best_lists(scores, k + 1)
        return cls(panel, users, items, np.take_along_axis(scores, np.maximum(items, 0), 1), k)

    def with_item(self, item: int, scores: FloatArray) -> IntArray:
        """Every list [U, K] when ``item`` scores ``scores`` [U] and nothing else changes; who has seen it keeps "
        "out.
        """
        values = np.where(self.items == item, np.float32(-np.inf), self.values)
        own = scores if self.panel.seen is None else np.where(self.panel.seen[:, item], np.float32(-np.inf), scores)
        items = np.column_stack([self.items, np.full(len(own), item)])
        values = np.column_stack([values, own])
        order = np.argsort(-values, axis=1, kind="stable")[:, : self.k]
        lists = np.take_along_axis(items, order, 1)
        return np.where(np.isfinite(np.take_along_axis(values, order, 1)), lists, -1)


def edited_item(weights: SaeWeights, vector: FloatArray, latent: int, amount: float, way: Way) -> FloatArray:
    """The item's vector [1, D] with ``amount`` more of ``latent`` in its code."""
    scale = weights.scale(vector)
    code = weights.encode(vector, "item")
    raised = code.copy()
    raised[:, latent] += np.float32(amount)
    if way == "papers":
        return weights.decode(raised, scale, "item")
    return np.asarray(vector + weights.delta(raised - code, scale, "item"), np.float32)


def promote(
    ranker: Ranker,
    weights: SaeWeights,
    stage: Stage,
    item: int,
    *,
    latent: int,
    unit: float,
    target: IntArray,
    other: IntArray,
    doses: Sequence[float],
    way: Way,
) -> list[dict[str, float | None]]:
    """One item towards one audience: a row per dose.

    ``target``, ``other``, ``rest``: share of that audience (rows of the panel; rest: in neither) with the item in their
    list. ``rest_ndcg_kept``: NDCG of everyone outside the target audience over their unchanged lists'.
    """
    vector = ranker.trained.embeddings.items[[item]]
    outside = np.setdiff1d(np.arange(len(stage.items)), target)
    rest = np.setdiff1d(outside, other)
    before = stage.panel.ndcg(stage.items[:, : stage.k])
    rows: list[dict[str, float | None]] = []
    for dose in doses:
        moved = edited_item(weights, vector, latent, dose * unit, way)
        lists = stage.with_item(item, ranker(stage.users, moved, np.array([item]))[:, 0])
        shown = (lists == item).any(1)
        after = stage.panel.ndcg(lists)
        kept = None
        if before is not None and after is not None and before[outside].sum() > 0:
            kept = float(after[outside].sum() / before[outside].sum())
        rows.append(
            {
                "dose": dose,
                "target": _share(shown, target),
                "other": _share(shown, other),
                "rest": _share(shown, rest),
                "rest_ndcg_kept": kept,
            }
        )
    return rows


def mean_rows(runs: Sequence[Sequence[dict[str, float | None]]]) -> list[dict[str, Any]]:
    """The mean over items, dose by dose; a figure that is missing anywhere is missing."""
    out = []
    for rows in zip(*runs, strict=True):
        mean: dict[str, Any] = {}
        for key in rows[0]:
            values = [row[key] for row in rows]
            known = [value for value in values if value is not None]
            mean[key] = float(np.mean(known)) if len(known) == len(values) else None
        out.append(mean)
    return out


def at_target(rows: Sequence[dict[str, Any]], wanted: float) -> dict[str, Any] | None:
    """The first row in which the target audience is reached so far; None where no dose does it."""
    return next((row for row in rows if row["target"] >= wanted), None)


def _share(shown: npt.NDArray[np.bool_], users: IntArray) -> float:
    return float(shown[users].mean()) if len(users) else 0.0
