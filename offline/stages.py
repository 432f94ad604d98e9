"""The stages of a run, one function each; offline.pipeline puts them in order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from bundle import BundleContents, SaeWeights, SparseCodes
from bundle.errors import TrainingError
from bundle.writer import FileWriter
from offline.calibrate import calibrate
from offline.config import PipelineConfig, make_sae_config
from offline.datasets import load_dataset
from offline.datasets.tables import load_tables
from offline.datasets.types import Dataset, FloatArray, Interactions
from offline.evaluate import evaluate
from offline.evaluate.defaults import with_steering
from offline.evaluate.report import write_html
from offline.evaluate.subject import Subject
from offline.export_torch import export_scorer, export_user_tower
from offline.heldout import held_out_scores
from offline.label import KINDS, LabelResult, label_concepts
from offline.progress import Progress
from offline.recommenders.base import TrainedRecommender
from offline.recommenders.custom import custom_recommender
from offline.recommenders.item_knn import ItemKnn
from offline.recommenders.popularity import Popularity
from offline.recommenders.ranking import evaluate_ranking, network_scores
from offline.recommenders.registry import make_recommender
from offline.recommenders.split import SENTENCES, Protocol, Split
from offline.recommenders.split import hold_out as split_by
from offline.workspace import Workspace
from sae.train import TrainResult, train_sae

CHUNK_CODES = 16_000_000
SHOWN = 3
"""Sentences of one kind that are said to the person who waits."""

MOST_ITEMS_KNN = 50_000
"""Item-kNN compares all pairs of items: minutes beyond this, and no part of a bundle."""


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


def rank(
    recommender: TrainedRecommender, split: Split | None, dataset: Dataset, protocol: Protocol
) -> dict[str, Any] | None:
    """NDCG@10 and Recall@10 of the recommender, popularity and item-kNN on what was held out; None without that."""
    if split is None:
        return None
    users, items = len(dataset.user_ids), dataset.items.num_rows
    popularity = Popularity().fit(split.train, users, items)
    out: dict[str, Any] = {
        "protocol": SENTENCES[protocol],
        "recommender": evaluate_ranking(recommender, split.train, split.test),
        "popularity": evaluate_ranking(popularity, split.train, split.test),
    }
    if items <= MOST_ITEMS_KNN:
        neighbours = ItemKnn(split.train, users, items)
        out["item_knn"] = evaluate_ranking(neighbours.scores, split.train, split.test)
    return out


def load(
    config: PipelineConfig, ui: Progress, modules: Mapping[str, nn.Module | None]
) -> tuple[Dataset, TrainedRecommender | None]:
    """Own tables with their recommender, or a public data set that has none yet."""
    for name, module in modules.items():
        if module is not None and (config.dataset is not None or getattr(config, name) is not None):
            raise TrainingError(
                name,
                found=f"a module beside {'--dataset' if config.dataset is not None else 'a file'}",
                expected="own tables with one of the two",
                hint="Leave one out.",
            )
    if config.dataset is not None:
        dataset = load_dataset(
            config.dataset,
            config.data,
            seed=config.seed,
            progress=lambda done, total: ui.step(done, total, {}),
            world=config.world,
        )
        return dataset, None
    dataset, embeddings = load_tables(
        config.items,
        config.users,
        config.interactions,
        item_vectors=config.item_vectors,
        item_ids=config.item_ids,
        user_vectors=config.user_vectors,
        user_ids=config.user_ids,
        embedding_column=config.embedding_column,
        bias_column=config.bias_column,
        columns=config.columns,
        metric=config.metric,
    )
    recommender = custom_recommender(
        embeddings,
        scorer=modules["scorer"] or config.scorer,
        user_tower=modules["user_tower"] or config.user_tower,
        history_length=config.history_length,
    )
    return dataset, recommender


def hold_out(interactions: Interactions | None, protocol: Protocol = "temporal", *, seed: int = 0) -> Split | None:
    """None where nobody has enough interactions to hold one out, or there are none."""
    if interactions is None or not len(interactions):
        if protocol != "temporal":
            raise TrainingError(f"protocol {protocol}", found="no interactions", expected="--interactions to hold out")
        return None
    split = split_by(interactions, protocol, seed=seed)
    return split if len(split.test) else None


def recommend(
    config: PipelineConfig,
    dataset: Dataset,
    split: Split | None,
    *,
    workspace: Workspace,
    ui: Progress,
) -> TrainedRecommender:
    """The recommender of a public data set, trained on what is not held out, or as a killed run left it."""
    known = workspace.recall()
    if known is not None:
        ui.say("The recommender is trained already.")
        return known
    if split is None:
        raise TrainingError(
            f"recommender {config.recommender}",
            found="no user with interactions enough to hold some out",
            expected="at least 5 interactions of a user",
        )
    recommender = make_recommender(config.recommender).fit(
        split.train,
        len(dataset.user_ids),
        dataset.items.num_rows,
        config.recommender_config,
        seed=config.seed,
        progress=ui.step,
        device=config.device,
        checkpoint=workspace.fit,
    )
    workspace.remember(recommender)
    return recommender


def graphs(config: PipelineConfig, recommender: TrainedRecommender, folder: Path) -> dict[str, Path]:
    """scorer.onnx and user_tower.onnx, as far as there are such, in ``folder``; one's own files as they are."""
    out: dict[str, Path] = {}
    if config.scorer is not None:
        out["scorer"] = config.scorer
    elif recommender.scorer is not None:
        out["scorer"] = folder / "scorer.onnx"
        export_scorer(recommender.scorer, out["scorer"], dim=recommender.embeddings.items.shape[1])
    if config.user_tower is not None:
        out["user_tower"] = config.user_tower
    elif recommender.user_tower is not None:
        out["user_tower"] = folder / "user_tower.onnx"
        export_user_tower(
            recommender.user_tower,
            out["user_tower"],
            history_length=recommender.history_length,
            n_items=len(recommender.embeddings.items),
        )
    return out


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
        network=None if network is None else (partial(network_scores, network), embeddings.users),
        progress=lambda done, total, _: ui.step(done, total, {}),
    )
    for note in labels.notes:
        ui.say(note)
    return labels


def popularity(split: Split | None, items: int) -> npt.NDArray[np.int64] | None:
    """Training interactions of every item, [N]; None without interactions."""
    return None if split is None else np.bincount(split.train.item, minlength=items)


def steered(contents: BundleContents, document: dict[str, Any]) -> BundleContents:
    """The contents with what the evaluation found out about steering each concept."""
    return replace(contents, concepts=with_steering(contents.concepts, document["steering"]))


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
        ),
        ranking=provenance["ranking"],
        history=trained.history,
        provenance=provenance,
        progress=lambda done, total, _: ui.step(done, total, {}),
    )


def evaluation_files(document: dict[str, Any], title: str) -> dict[str, FileWriter]:
    """Writers of what the bundle keeps of an evaluation."""
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    return {
        "evaluation.json": lambda path: path.write_text(text) and None,
        "evaluation.html": lambda path: write_html(document, path, title=f"Evaluation of {title}"),
    }


def deciding_facts(config: PipelineConfig, dataset: Dataset, modules: Mapping[str, nn.Module | None]) -> dict[str, Any]:
    """All that decides the outcome of recommender and SAE."""
    own = config.dataset is None
    return {
        "data": dataset.provenance,
        "metric": config.metric,
        "recommender": config.embedding_column
        if own
        else {"name": config.recommender, **config.recommender_config.model_dump(mode="json")},
        "protocol": config.protocol,
        "networks": [_digest(getattr(config, name), module) for name, module in modules.items()],
        "sae": config.sae,
        "seed": config.seed,
        "device": config.device,
    }


def _digest(path: Path | None, module: nn.Module | None) -> str | None:
    """What tells one network of the owner's from another."""
    if path is not None:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if module is None:
        return None
    weights = b"".join(value.cpu().numpy().tobytes() for value in module.state_dict().values())
    return hashlib.sha256(repr(module).encode() + weights).hexdigest()
