"""What a set of lists is worth, and how much of it is left when embeddings pass through the SAE.

Of lists [U, K]: share of a concept by its label; NDCG@K kept (over the unsteered lists'); coverage, the share of the
catalogue that is in any list; diversity, one minus the mean cosine of the item-tag vectors of a list's pairs (Ziegler
et al. 2005, in tags); popularity, the mean percentile. Legend: U users, N items, K list length, E tags.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bundle import SaeWeights
from offline.evaluate.fidelity import VARIANTS, ratio, reconstructed
from offline.evaluate.lists import kendall_tau, overlap, rank_biased_overlap
from offline.evaluate.panel import BoolArray, FloatArray, IntArray, Panel, best_lists
from offline.evaluate.window import share_of
from offline.reproduce.monosemanticity import unit_rows
from offline.reproduce.neurons import percentiles
from offline.reproduce.ranker import Ranker

DEPTH, PERSISTENCE, AT = 30, 0.9, 10


@dataclass(frozen=True)
class Judge:
    """Judges lists of one panel: ``tags`` [N, E] item-tag vectors, ``popularity`` [N] interactions of an item."""

    panel: Panel
    base: IntArray
    tags: npt.NDArray[np.floating]
    popularity: npt.NDArray[np.number]

    @cached_property
    def _unit(self) -> npt.NDArray[np.float64]:
        return unit_rows(self.tags)

    @cached_property
    def _percentile(self) -> npt.NDArray[np.float64]:
        return percentiles(self.popularity)

    @cached_property
    def _ndcg(self) -> float:
        ndcg = self.panel.ndcg(self.base)
        return 0.0 if ndcg is None else float(ndcg.mean())

    def __call__(self, lists: IntArray, members: BoolArray) -> dict[str, float | None]:
        """``share``, ``ndcg_kept``, ``coverage``, ``diversity``, ``popularity``, ``overlap`` with the base lists."""
        ndcg = self.panel.ndcg(lists)
        return {
            "share": share_of(lists, members),
            "ndcg_kept": None if ndcg is None else ratio(float(ndcg.mean()), self._ndcg),
            "coverage": coverage(lists, len(members)),
            "diversity": diversity(lists, self._unit),
            "popularity": float(self._percentile[lists[lists >= 0]].mean()),
            "overlap": float(overlap(self.base, lists).mean()),
        }


def coverage(lists: IntArray, items: int) -> float:
    """Share of the catalogue that is in at least one list."""
    return len(np.unique(lists[lists >= 0])) / items


def diversity(lists: IntArray, unit: npt.NDArray[np.float64]) -> float:
    """One minus the mean cosine over the pairs of a list, mean over users; ``unit`` [N, E] of length 1 or 0.

    Items without a tag are like nothing, and count as different.
    """
    vectors = unit[np.maximum(lists, 0)] * (lists >= 0)[:, :, None]
    count = (lists >= 0).sum(1)
    alike = np.square(vectors.sum(1)).sum(1) - np.square(vectors).sum((1, 2))
    pairs = count * (count - 1)
    return float(1 - (alike[pairs > 0] / pairs[pairs > 0]).mean()) if (pairs > 0).any() else float("nan")


def fidelity(ranker: Ranker, weights: SaeWeights, panel: Panel) -> dict[str, dict[str, float | None]]:
    """As offline.evaluate.fidelity, through any frozen scorer: per variant RBO, tau, NDCG@10 and Recall@10 kept."""
    embeddings = ranker.trained.embeddings
    local = replace(embeddings, users=np.ascontiguousarray(embeddings.users[panel.users]))
    original = best_lists(panel.masked(ranker(local.users)), DEPTH)
    base_ndcg, base_recall = panel.ndcg(original[:, :AT]), panel.recall(original[:, :AT])
    out: dict[str, dict[str, float | None]] = {}
    for variant in VARIANTS:
        made = reconstructed(local, weights, variant)
        lists = best_lists(panel.masked(ranker(made.users, made.items)), DEPTH)
        ndcg, recall = panel.ndcg(lists[:, :AT]), panel.recall(lists[:, :AT])
        out[variant] = {
            "rbo": float(rank_biased_overlap(original, lists, PERSISTENCE).mean()),
            "rbo_extrapolated": float(rank_biased_overlap(original, lists, PERSISTENCE, extrapolated=True).mean()),
            "tau": float(kendall_tau(original, lists).mean()),
            "ndcg_kept": _kept(ndcg, base_ndcg),
            "recall_kept": _kept(recall, base_recall),
        }
    return out


def recommender_ndcg(ranker: Ranker, panel: Panel) -> dict[str, float | None]:
    """NDCG@10 and Recall@10 of the unsteered lists of the panel."""
    lists = best_lists(panel.masked(ranker(ranker.trained.embeddings.users[panel.users])), AT)
    ndcg, recall = panel.ndcg(lists), panel.recall(lists)
    return {
        "ndcg@10": None if ndcg is None else float(ndcg.mean()),
        "recall@10": None if recall is None else float(recall.mean()),
    }


def tag_vectors(members: BoolArray) -> FloatArray:
    """Item-tag vectors [N, C] of ``members`` [C, N], a tag weighing by its rarity, ``log(N / items)``."""
    items = members.shape[1]
    rarity = np.log(items / np.maximum(members.sum(1), 1))
    return np.asarray(members.T * rarity, np.float32)


def _kept(part: npt.NDArray[np.float64] | None, whole: npt.NDArray[np.float64] | None) -> float | None:
    return None if part is None or whole is None else ratio(float(part.mean()), float(whole.mean()))
