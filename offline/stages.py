"""The stages of a run, one function each; offline.pipeline puts them in order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from bundle import BundleContents, SaeWeights, SparseCodes
from bundle.errors import TrainingError
from bundle.writer import FileWriter
from offline.config import PipelineConfig, make_sae_config
from offline.datasets import load_dataset
from offline.datasets.tables import load_tables
from offline.datasets.types import Dataset, Embeddings, FloatArray, Interactions
from offline.evaluate import evaluate
from offline.evaluate.report import write_html
from offline.heldout import held_out_scores
from offline.label import LabelResult, label_concepts
from offline.progress import Progress
from offline.recommenders.mf import MatrixFactorization
from offline.recommenders.popularity import Popularity
from offline.recommenders.ranking import evaluate_ranking
from offline.recommenders.split import Split, temporal
from offline.workspace import Workspace
from sae.train import TrainResult, train_sae

TEST_SHARE = 0.2
CHUNK_CODES = 16_000_000


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


def rank(embeddings: Embeddings, split: Split | None, dataset: Dataset) -> dict[str, Any] | None:
    """NDCG@10 and Recall@10 of the recommender and of popularity on what was held out; None where nothing was."""
    if split is None:
        return None
    popularity = Popularity().fit(split.train, len(dataset.user_ids), dataset.items.num_rows).embeddings
    return {
        "protocol": f"temporal: the last {TEST_SHARE:.0%} of each user's interactions, seen items masked, full ranking",
        "recommender": evaluate_ranking(embeddings, split.train, split.test),
        "popularity": evaluate_ranking(popularity, split.train, split.test),
    }


def load(config: PipelineConfig, ui: Progress) -> tuple[Dataset, Embeddings | None]:
    """Own tables with their embeddings, or a public data set that has none yet."""
    if config.dataset is not None:
        dataset = load_dataset(
            config.dataset,
            config.data,
            seed=config.seed,
            progress=lambda done, total: ui.step(done, total, {}),
            world=config.world,
        )
        return dataset, None
    return load_tables(
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


def hold_out(interactions: Interactions | None) -> Split | None:
    """None where nobody has enough interactions to hold one out, or there are none."""
    if interactions is None or not len(interactions):
        return None
    split = temporal(interactions, TEST_SHARE)
    return split if len(split.test) else None


def recommend(
    config: PipelineConfig,
    dataset: Dataset,
    split: Split | None,
    *,
    workspace: Workspace,
    ui: Progress,
) -> Embeddings:
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
    trained = MatrixFactorization().fit(
        split.train,
        len(dataset.user_ids),
        dataset.items.num_rows,
        config.recommender_config,
        seed=config.seed,
        progress=ui.step,
        device=config.device,
    )
    embeddings = trained.embeddings
    workspace.remember(embeddings)
    return embeddings


def train(
    config: PipelineConfig,
    embeddings: Embeddings,
    split: Split | None,
    *,
    workspace: Workspace,
    ui: Progress,
) -> TrainResult:
    """The SAE, from its checkpoint where there is one."""
    sae = make_sae_config(
        config.sae,
        dim=embeddings.items.shape[1],
        n_items=len(embeddings.items),
        n_users=len(embeddings.users),
        seed=config.seed,
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
        device=config.device,
        checkpoint_dir=workspace.sae,
        progress=report,
    )


def label(
    config: PipelineConfig,
    dataset: Dataset,
    codes: SparseCodes,
    *,
    embeddings: Embeddings,
    sae: SaeWeights,
    ui: Progress,
) -> LabelResult:
    """Concepts from the metadata; what was left out is said."""
    labels = label_concepts(
        dataset.items,
        codes,
        embeddings.items,
        sae,
        embeddings.metric,
        config=config.label_config,
        progress=lambda done, total, _: ui.step(done, total, {}),
    )
    for note in labels.notes:
        ui.say(note)
    return labels


def measure(
    config: PipelineConfig,
    contents: BundleContents,
    embeddings: Embeddings,
    split: Split | None,
    *,
    trained: TrainResult,
    provenance: Mapping[str, Any],
    ui: Progress,
) -> dict[str, Any]:
    """What offline.evaluate says of the bundle in the making."""
    return evaluate(
        embeddings=embeddings,
        weights=trained.weights,
        codes=contents.item_codes,
        concepts=contents.concepts,
        arrays=contents.arrays,
        items=contents.items,
        train=None if split is None else split.train,
        test=None if split is None else split.test,
        config=config.evaluate_config,
        held_out=held_out_scores(contents.item_codes, embeddings.items, config.label_config),
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


def deciding_facts(config: PipelineConfig, dataset: Dataset) -> dict[str, Any]:
    """All that decides the outcome of recommender and SAE."""
    own = config.dataset is None
    return {
        "data": dataset.provenance,
        "metric": config.metric,
        "recommender": config.embedding_column if own else config.recommender_config.model_dump(),
        "sae": config.sae,
        "seed": config.seed,
        "device": config.device,
    }
