"""One call that measures a bundle in the making: recommender, SAE, concepts, fidelity, steering.

The result is plain data, ready for ``evaluation.json``; offline.evaluate.report makes a page of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from bundle import Calibration, Concept, ConceptArrays, ConceptFile, SaeWeights, SparseCodes, __version__
from offline.datasets.types import Embeddings, Interactions
from offline.evaluate.choice import chosen_concepts, chosen_users
from offline.evaluate.collateral import Collateral
from offline.evaluate.config import EvaluateConfig
from offline.evaluate.doses import Base
from offline.evaluate.fidelity import fidelity
from offline.evaluate.methods import HELD_OUT_KINDS, METHODS, Methods
from offline.evaluate.panel import Panel
from offline.evaluate.steering import mean_ndcg, steer_concept
from offline.evaluate.subject import HeldOutScores, Subject
from offline.evaluate.summary import curve, mean, means, reach
from offline.recommenders.popularity import Popularity
from offline.recommenders.ranking import evaluate_ranking
from sae.metrics import agreement, measure

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, concept id)`` after every steered concept."""


def evaluate(
    *,
    embeddings: Embeddings,
    weights: SaeWeights,
    codes: SparseCodes,
    concepts: ConceptFile,
    arrays: ConceptArrays,
    items: pa.Table,
    train: Interactions | None = None,
    test: Interactions | None = None,
    config: EvaluateConfig | None = None,
    held_out: HeldOutScores | None = None,
    calibration: Calibration | None = None,
    ranking: Mapping[str, Any] | None = None,
    history: Sequence[Mapping[str, Any]] = (),
    provenance: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure everything docs/evaluation.md describes.

    Args:
        embeddings: the frozen recommender.
        weights: the SAE in its served form.
        codes: of the items, by its item tower.
        concepts: what concepts.json will say.
        arrays: gains, label bits, directions and effects of the offered concepts.
        items: the item table.
        train: interactions to mask; without them (or without a test) every figure that needs them is None, and
            ``"missing"`` says so.
        test: interactions to rank against.
        config: what is measured on how many users.
        held_out: two-fold read-outs for the codes-only rows (offline.heldout); None leaves those rows out.
        calibration: of the strengths, as the bundle will hold it; None: the common curve.
        ranking: the recommender beside popularity, as ``{"protocol", "recommender", "popularity"}``, if known already.
        history: rows of the SAE's training (``stage``, ``step``, ``loss``, ...), for the curves.
        provenance: shown at the end of the page.
        progress: told after every steered concept.

    Raises:
        TrainingError: the rows do not agree.
        BundleCorrupt: a concept array is off.
    """
    config = config or EvaluateConfig()
    subject = Subject(embeddings, weights, codes, concepts, arrays, calibration or Calibration())
    seconds: dict[str, float] = {}
    clock = _Clock(seconds)
    missing = []
    if train is None or test is None or not len(test):
        train = test = None
        missing.append(
            "No interactions were held out, so nothing is known about NDCG and Recall: shares, overlaps and fidelity "
            "are measured over the whole catalogue, with nothing masked."
        )
    if held_out is None and any(f"item_{kind}" in config.methods for kind in HELD_OUT_KINDS):
        missing.append("Read-outs fitted on halves of the items were not given: no rows for steering by codes only.")

    if ranking is None and train is not None and test is not None:
        popularity = Popularity().fit(train, len(embeddings.users), len(embeddings.items)).embeddings
        ranking = {
            "protocol": "seen items masked, full ranking",
            "recommender": evaluate_ranking(embeddings, train, test, config.k),
            "popularity": evaluate_ranking(popularity, train, test, config.k),
        }
    clock.lap("ranking")
    meaning = agreement(weights, embeddings.items, embeddings.metric)
    known = meaning[np.isfinite(meaning)]
    sae = {
        "latents": weights.latents,
        "dim": weights.dim,
        **measure(weights, embeddings.users, embeddings.items),
        "latents_agreeing": float((known > 0).mean()) if len(known) else None,
        "agreement_median": float(np.median(known)) if len(known) else None,
    }
    clock.lap("sae")
    lists = Panel.sample(embeddings, train, test, config.fidelity_users, config.seed)
    faithful = fidelity(embeddings, weights, lists, k=config.k, depth=config.depth, persistence=config.persistence)
    clock.lap("fidelity")
    steering = _steer(subject, train, test, config=config, held_out=held_out, progress=progress)
    clock.lap("steering")
    return {
        "kind": "tiller.evaluation",
        "version": 1,
        "tiller_version": __version__,
        "data": {
            "items": items.num_rows,
            "users": len(embeddings.users),
            "interactions_train": None if train is None else len(train),
            "interactions_test": None if test is None else len(test),
            "metric": embeddings.metric,
            "item_bias": embeddings.item_bias is not None,
        },
        "missing": missing,
        "recommender": None if ranking is None else dict(ranking),
        "sae": sae,
        "concepts": _concepts(concepts),
        "fidelity": {"users": len(lists.users), "depth": config.depth, "k": config.k, "variants": faithful},
        "steering": steering,
        "history": [dict(row) for row in history],
        "config": config.model_dump(mode="json"),
        "provenance": dict(provenance or {}),
        "seconds": seconds,
    }


class _Clock:
    """Seconds of each part."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds, self._last = seconds, time.perf_counter()

    def lap(self, part: str) -> None:
        now = time.perf_counter()
        self._seconds[part] = round(now - self._last, 3)
        self._last = now


def _steer(
    subject: Subject,
    train: Interactions | None,
    test: Interactions | None,
    *,
    config: EvaluateConfig,
    held_out: HeldOutScores | None,
    progress: Progress | None,
) -> dict[str, Any]:
    """Rows, means, dose-response and reach of the chosen concepts on the chosen users."""
    chosen = chosen_concepts(subject.offered, config.max_concepts, config.families)
    wanted = chosen_users(len(subject.codes), len(chosen), config)
    panel = Panel.sample(subject.embeddings, train, test, wanted, config.seed)
    base = Base.of(panel.base_scores(subject.embeddings), config.k)
    methods = Methods(subject, panel, base, held_out, config.seed)
    collateral = _collateral(subject, chosen, train) if config.collateral else None
    rows: list[dict[str, Any]] = []
    responses: list[dict[str, Any]] = []
    for number, concept in enumerate(chosen):
        more_rows, more_responses = steer_concept(concept, methods, config, collateral)
        rows += more_rows
        responses += more_responses
        if progress is not None:
            progress(number + 1, len(chosen), concept.id)
    return {
        "users": len(panel.users),
        "concepts": len(chosen),
        "concepts_offered": len(subject.offered),
        "k": config.k,
        "ndcg_unsteered": mean_ndcg(panel, base.lists),
        "methods": {"oracle": "oracle: hard filter by label; quota re-rank by label", **METHODS},
        "means": means(rows),
        "rows": rows,
        "curve": curve(responses, config.strengths),
        "responses": responses,
        "reach": reach(responses, config.strengths),
    }


def _collateral(subject: Subject, chosen: Sequence[Concept], train: Interactions | None) -> Collateral:
    items = len(subject.embeddings.items)
    taken = None if train is None else np.bincount(train.item, minlength=items)
    labels = {concept.id: subject.labels(concept) for concept in chosen}
    return Collateral.of(labels, subject.embeddings.items, taken)


def _concepts(concepts: ConceptFile) -> dict[str, Any]:
    """concepts.json as two tables, and the means over the offered ones."""
    offered = [concept for concept in concepts.concepts if concept.offered]
    depths = sorted({purity.k for concept in offered if concept.quality for purity in concept.quality.purity})
    qualities = [concept.quality for concept in offered if concept.quality is not None]
    return {
        "offered": [concept.model_dump(mode="json") for concept in offered],
        "not_offered": [
            {
                "id": concept.id,
                "display_name": concept.display_name,
                "items": concept.items,
                "reason": concept.not_offered_reason,
                "auc": None if concept.quality is None else concept.quality.auc,
            }
            for concept in concepts.concepts
            if not concept.offered
        ],
        "means": {
            "auc": mean(quality.auc for quality in qualities),
            "precision": mean(quality.precision for quality in qualities),
            "recall": mean(quality.recall for quality in qualities),
            "base_rate": mean(quality.base_rate for quality in qualities),
            "purity": [
                {
                    "k": k,
                    **{
                        name: mean(getattr(p, name) for q in qualities for p in q.purity if p.k == k)
                        for name in ("value", "all_items", "attainable")
                    },
                }
                for k in depths
            ],
        },
    }
