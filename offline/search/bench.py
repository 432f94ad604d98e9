"""Where a point is measured: a recommender on a temporal split, items and users divided in deciding and reporting ones.

Purity of the searching half is held out within it (offline.label.purity), as a share of what is attainable. Of the
reporting half: per concept the latent is chosen on the searching half and scored on the other, at half the depth, since
the K / 2 best of half the items are the K best of all; and the papers' way beside it, chosen and scored on all items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bundle import SaeWeights, SparseCodes
from offline.datasets.types import Dataset, Embeddings, Interactions
from offline.evaluate.fidelity import fidelity
from offline.evaluate.panel import Panel
from offline.label import LabelConfig
from offline.label.candidates import NEVER, Candidate, find_candidates
from offline.label.purity import best_latents, measure_purity, purity_table, top_items
from offline.recommenders.mf import MatrixFactorization
from offline.recommenders.split import temporal
from sae.config import SaeConfig
from sae.metrics import agreement
from sae.train import train_sae

BoolArray = npt.NDArray[np.bool_]

AT = (10, 20, 50)
SEARCH_USERS, REPORT_USERS = 1_000, 2_000
HALVINGS = 6
FEWEST = 40
"""Members below which a concept takes no part: half of the half would hold less than ten."""


@dataclass(frozen=True)
class Bench:
    """Embeddings, concepts [C, N], the half of the items that decides [N], and two panels of different users."""

    embeddings: Embeddings
    train: Interactions
    members: BoolArray
    names: tuple[str, ...]
    deciding: BoolArray
    search_panel: Panel
    report_panel: Panel

    @classmethod
    def of(
        cls, dataset: Dataset, embeddings: Embeddings, train: Interactions, test: Interactions, *, seed: int
    ) -> Bench:
        """Concepts are the label families of ``dataset``, without number intervals, of at least 40 members."""
        concepts = labels(dataset)
        rng = np.random.default_rng([seed, 1])
        deciding = np.zeros(len(embeddings.items), np.bool_)
        deciding[rng.permutation(len(deciding))[: len(deciding) // 2]] = True
        everyone = Panel.sample(embeddings, train, test, SEARCH_USERS + REPORT_USERS, seed)
        first = rng.permutation(len(everyone.users)) < SEARCH_USERS * len(everyone.users) // (
            SEARCH_USERS + REPORT_USERS
        )
        return cls(
            embeddings,
            train,
            np.array([concept.members for concept in concepts]),
            tuple(concept.id for concept in concepts),
            deciding,
            _part(everyone, first),
            _part(everyone, ~first),
        )

    @classmethod
    def build(cls, dataset: Dataset, *, seed: int, device: str) -> Bench:
        """With the default matrix factorisation, trained on the temporal train part."""
        assert dataset.interactions is not None
        split = temporal(dataset.interactions)
        model = MatrixFactorization().fit(
            split.train, len(dataset.user_ids), dataset.items.num_rows, seed=seed, device=device
        )
        return cls.of(dataset, model.embeddings, split.train, split.test, seed=seed)

    def base(self, seed: int) -> SaeConfig:
        """The default configuration for this data."""
        items, users = self.embeddings.items, self.embeddings.users
        return SaeConfig.for_data(items.shape[1], len(items), len(users), seed=seed)

    def train_sae(self, config: SaeConfig, device: str) -> tuple[SaeWeights, dict[str, float]]:
        """Serving weights and the trainer's own figures."""
        known = self.embeddings
        pairs = (self.train.user, self.train.item)
        result = train_sae(known.items, known.users, known.item_bias, known.metric, pairs, config, device=device)
        return result.weights, result.metrics

    def decide(self, weights: SaeWeights) -> dict[str, float]:
        """``purity`` (mean over the depths) and ``rbo`` of the half and the users that decide."""
        codes = SparseCodes.from_dense(weights.encode(self.embeddings.items[self.deciding], "item"))
        measured = measure_purity(
            codes, self.members[:, self.deciding], tuple(k // 2 for k in AT), halvings=HALVINGS, seed=0
        )
        shares = [[part.value / part.attainable for part in concept if part.attainable > 0] for concept in measured]
        kept = fidelity(self.embeddings, weights, self.search_panel, k=10, depth=30, persistence=0.9)["both"]
        return {"purity": float(np.mean([np.mean(row) for row in shares])), "rbo": float(kept["rbo_truncated"] or 0)}

    def report(self, weights: SaeWeights) -> dict[str, float]:
        """Figures of the half and the users that no trial has seen, and the papers' way on all items."""
        codes = SparseCodes.from_dense(weights.encode(self.embeddings.items, "item"))
        figures = {
            **purity_across(codes, self.members, self.deciding),
            **{f"purity@{k}": value for k, value in zip(AT, purity_of_all(codes, self.members), strict=True)},
        }
        kept = fidelity(self.embeddings, weights, self.report_panel, k=10, depth=30, persistence=0.9)
        for variant in ("both", "user"):
            for name in ("rbo_truncated", "kendall_tau", "ndcg_kept"):
                value = kept[variant][name]
                if value is not None:
                    figures[f"{name}_{variant}"] = value
        lifts = agreement(weights, self.embeddings.items, self.embeddings.metric)
        lifts = lifts[~np.isnan(lifts)]
        figures["agreement"] = float((lifts > 0).mean())
        return figures


def labels(dataset: Dataset) -> list[Candidate]:
    """Concepts that were labels before, not cut out of numbers, of at least 40 members."""
    columns = tuple(
        field.name
        for field in dataset.items.schema
        if field.name not in NEVER and (pa.types.is_string(field.type) or pa.types.is_list(field.type))
    )
    found = find_candidates(dataset.items, LabelConfig(columns=columns)).concepts
    return [concept for concept in found if concept.members.sum() >= FEWEST]


def purity_of_all(codes: SparseCodes, members: BoolArray) -> list[float]:
    """The papers' way: per depth, the mean over the concepts of the best latent's purity, on all items."""
    return [float(value) for value in purity_table(members, top_items(codes, max(AT)), AT).max(2).mean(1)]


def purity_across(codes: SparseCodes, members: BoolArray, deciding: BoolArray) -> dict[str, float]:
    """Chosen on ``deciding``, scored on the rest, at half the depth: ``heldout@K``, and ``attainable@K`` beside it."""
    depths = tuple(k // 2 for k in AT)
    chosen_on, scored_on = (
        purity_table(members, top_items(codes, max(depths), half), depths) for half in (deciding, ~deciding)
    )
    best = best_latents(chosen_on)
    value = np.take_along_axis(scored_on, best[:, :, None], 2)[:, :, 0].mean(1)
    most = [float(np.minimum(1, members[:, ~deciding].sum(1) / depth).mean()) for depth in depths]
    return {
        **{f"heldout@{k}": float(part) for k, part in zip(AT, value, strict=True)},
        **{f"attainable@{k}": part for k, part in zip(AT, most, strict=True)},
    }


def mean_purity(figures: dict[str, float], kind: str = "heldout") -> float:
    """One number of a report: the mean over the depths."""
    return float(np.mean([figures[f"{kind}@{k}"] for k in AT]))


def depths_text(figures: dict[str, float], kind: str) -> str:
    """``.99 / .98 / .92`` for a table."""
    return " / ".join(f"{figures[f'{kind}@{k}']:.3f}" for k in AT)


def _part(panel: Panel, rows: BoolArray) -> Panel:
    def cut(table: BoolArray | None) -> BoolArray | None:
        return None if table is None else table[rows]

    return Panel(panel.users[rows], cut(panel.seen), cut(panel.relevant))


def spread(values: Sequence[float]) -> str:
    """Mean and half the range over seeds."""
    return f"{np.mean(values):.3f} +- {(max(values) - min(values)) / 2:.3f}"
