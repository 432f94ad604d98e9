"""The stages of a run from the frozen recommender to the bundle, one function each; offline.inputs has those before.

offline.pipeline puts them in order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle import BundleContents, SaeWeights, SparseCodes
from bundle.writer import FileWriter
from offline.calibrate import calibrate
from offline.config import PipelineConfig, make_sae_config
from offline.datasets.types import Dataset, Embeddings, FloatArray
from offline.evaluate import evaluate
from offline.evaluate.defaults import with_steering
from offline.evaluate.report import write_html
from offline.evaluate.subject import Subject
from offline.heldout import held_out_scores
from offline.label import KINDS, Audience, LabelResult, label_concepts
from offline.progress import Progress
from offline.recommenders.base import TrainedRecommender
from offline.recommenders.ranking import network_scores
from offline.recommenders.split import Split
from offline.workspace import Workspace
from sae.train import TrainResult, train_sae

CHUNK_CODES = 16_000_000
SHOWN = 3
"""Sentences of one kind that are said to the person who waits."""


def train(
    config: PipelineConfig,
    recommender: TrainedRecommender,
    split: Split | None,
    *,
    workspace: Workspace,
    ui: Progress,
) -> TrainResult:
    """The SAE, from its checkpoint where there is one."""
    embeddings = recommender.embeddings
    sae = make_sae_config(
        config.sae,
        dim=embeddings.items.shape[1],
        n_items=len(embeddings.items),
        n_users=len(embeddings.users),
        seed=config.seed,
        network=recommender.scorer is not None,
    )
    current = "stage1"

    def report(stage: str, step: int, total: int, figures: dict[str, float]) -> None:
        nonlocal current
        if stage != current:
            ui.stage(f"training the SAE, stage {stage.removeprefix('stage')}")
            current = stage
        ui.step(step, total, figures)

    return train_sae(
        embeddings.items,
        embeddings.users,
        item_bias=embeddings.item_bias,
        metric=embeddings.metric,
        pairs=None if split is None else (split.train.user, split.train.item),
        config=sae,
        scorer=recommender.scorer,
        device=config.device,
        checkpoint_dir=workspace.sae,
        progress=report,
    )


def encode_items(sae: SaeWeights, vectors: FloatArray) -> SparseCodes:
    """Item vectors [N, D] to codes, in chunks: the dense codes of a large catalogue need not fit in memory."""
    step = max(1, CHUNK_CODES // sae.latents)
    parts = [
        SparseCodes.from_dense(sae.encode(vectors[start : start + step], "item"))
        for start in range(0, len(vectors), step)
    ]
    counts = np.concatenate([np.diff(part.indptr) for part in parts])
    return SparseCodes(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate([part.indices for part in parts]),
        np.concatenate([part.values for part in parts]),
        sae.latents,
    )


def label(
    config: PipelineConfig,
    dataset: Dataset,
    codes: SparseCodes,
    *,
    recommender: TrainedRecommender,
    sae: SaeWeights,
    split: Split | None,
    ui: Progress,
) -> LabelResult:
    """Concepts from the metadata; what was left out is said."""
    embeddings, network = recommender.embeddings, recommender.scorer
    labels = label_concepts(
        dataset.items,
        codes,
        embeddings.items,
        sae,
        embeddings.metric,
        config=config.label_config,
        popularity=popularity(split, len(embeddings.items)),
        audience=audience(split, embeddings),
        network=None if network is None else (partial(network_scores, network), embeddings.users),
        progress=lambda done, total, _: ui.step(done, total, {}),
    )
    for note in labels.notes:
        ui.say(note)
    return labels


def popularity(split: Split | None, items: int) -> npt.NDArray[np.int64] | None:
    """Training interactions of every item, [N]; None without interactions."""
    return None if split is None else np.bincount(split.train.item, minlength=items)


def audience(split: Split | None, embeddings: Embeddings) -> Audience | None:
    """Who took what in training; None without interactions."""
    return None if split is None else Audience(embeddings.users, split.train.user, split.train.item)


def calibrated(
    config: PipelineConfig,
    contents: BundleContents,
    recommender: TrainedRecommender,
    split: Split | None,
    ui: Progress,
) -> BundleContents:
    """The contents with their dial; what a strength of 1 does not reach is said."""
    subject = Subject(recommender.scored, contents.sae, contents.item_codes, contents.concepts, contents.arrays)
    calibration = calibrate(
        subject,
        None if split is None else split.train,
        config.calibrate_config,
        progress=lambda done, total, _: ui.step(done, total, {}),
    )
    poor = [curve.poor for curve in calibration.curves if curve.channel == "item" and curve.poor]
    for sentence in poor[:SHOWN]:
        ui.say(sentence)
    if len(poor) > SHOWN:
        ui.say(f"... and {len(poor) - SHOWN} more of a poor reach: tiller concepts show CONCEPT")
    return replace(contents, calibration=calibration)


def measure(
    config: PipelineConfig,
    contents: BundleContents,
    recommender: TrainedRecommender,
    split: Split | None,
    *,
    trained: TrainResult,
    provenance: Mapping[str, Any],
    ui: Progress,
) -> dict[str, Any]:
    """What offline.evaluate says of the bundle in the making."""
    embeddings = recommender.embeddings
    return evaluate(
        embeddings=recommender.scored,
        weights=trained.weights,
        codes=contents.item_codes,
        concepts=contents.concepts,
        arrays=contents.arrays,
        items=contents.items,
        train=None if split is None else split.train,
        test=None if split is None else split.test,
        config=config.evaluate_config,
        calibration=contents.calibration,
        held_out=held_out_scores(
            contents.item_codes,
            embeddings.items,
            config.label_config,
            tuple(kind for kind in KINDS if f"item_{kind}" in config.evaluate_config.methods),
            sae=trained.weights,
            popularity=popularity(split, len(embeddings.items)),
            audience=audience(split, embeddings),
        ),
        ranking=provenance["ranking"],
        history=trained.history,
        provenance=provenance,
        progress=lambda done, total, _: ui.step(done, total, {}),
    )


def steered(contents: BundleContents, document: dict[str, Any]) -> BundleContents:
    """The contents with what the evaluation found out about steering each concept."""
    return replace(contents, concepts=with_steering(contents.concepts, document["steering"]))


def evaluation_files(document: dict[str, Any], title: str) -> dict[str, FileWriter]:
    """Writers of what the bundle keeps of an evaluation."""
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    return {
        "evaluation.json": lambda path: path.write_text(text) and None,
        "evaluation.html": lambda path: write_html(document, path, title=f"Evaluation of {title}"),
    }
