"""How much of the recommender is left when its embeddings pass through the SAE: original against reconstructed lists.

Three variants: ``both`` (users and items reconstructed), ``user`` (users only, items as they are: what a published
system that steers users serves), ``error_preserving`` (what Tiller serves: ``x + (z' - z) W_dec`` with no rule, that is
``z' = z``; the lists must be the very same, so every figure must be exactly 1).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bundle import SaeWeights
from offline.datasets.types import Embeddings
from offline.evaluate.lists import kendall_tau, overlap, rank_biased_overlap
from offline.evaluate.panel import IntArray, Panel, best_lists

VARIANTS = ("both", "user", "error_preserving")


def reconstructed(embeddings: Embeddings, weights: SaeWeights, variant: str) -> Embeddings:
    """The recommender with rows replaced as ``variant`` says."""
    users, items = embeddings.users, embeddings.items
    if variant == "error_preserving":
        code = weights.encode(users, "user")
        return replace(embeddings, users=users + weights.delta(code - code, weights.scale(users), "user"))
    users = weights.decode(weights.encode(users, "user"), weights.scale(users), "user")
    if variant == "both":
        items = weights.decode(weights.encode(items, "item"), weights.scale(items), "item")
    return replace(embeddings, users=users, items=items)


def fidelity(
    embeddings: Embeddings, weights: SaeWeights, panel: Panel, *, k: int, depth: int, persistence: float
) -> dict[str, dict[str, float | None]]:
    """Per variant, means over the panel: ``rbo_truncated``, ``rbo_extrapolated``, ``kendall_tau``, ``same_items``.

    ``same_items`` is the share of the original top ``depth`` that is still there. ``ndcg_kept``, ``recall_kept``:
    NDCG@k and Recall@k of the reconstructed lists over those of the original ones; None without interactions.
    """
    # Only the panel's users are needed; rows of the panel then are 0, 1, 2, ...
    local = replace(embeddings, users=np.ascontiguousarray(embeddings.users[panel.users]))
    here = Panel(np.arange(len(panel.users)), panel.seen, panel.relevant)
    original = best_lists(here.base_scores(local), depth)
    base = _quality(here, original[:, :k])
    out: dict[str, dict[str, float | None]] = {}
    for variant in VARIANTS:
        lists = best_lists(here.base_scores(reconstructed(local, weights, variant)), depth)
        quality = _quality(here, lists[:, :k])
        out[variant] = {
            "rbo_truncated": float(rank_biased_overlap(original, lists, persistence).mean()),
            "rbo_extrapolated": float(rank_biased_overlap(original, lists, persistence, extrapolated=True).mean()),
            "kendall_tau": float(kendall_tau(original, lists).mean()),
            "same_items": float(overlap(original, lists).mean()),
            "ndcg_kept": ratio(quality[0], base[0]),
            "recall_kept": ratio(quality[1], base[1]),
        }
    return out


def ratio(part: float | None, whole: float | None) -> float | None:
    """``part / whole``; None where either is missing or there is nothing to keep."""
    return None if part is None or not whole else part / whole


def _quality(panel: Panel, lists: IntArray) -> tuple[float | None, float | None]:
    ndcg, recall = panel.ndcg(lists), panel.recall(lists)
    return (None if ndcg is None else float(ndcg.mean())), (None if recall is None else float(recall.mean()))
