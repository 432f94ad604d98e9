"""The stages of a run up to the frozen recommender: data, split, recommender, its graphs and how well it ranks.

offline.stages goes on from there; offline.pipeline puts all of them in order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from bundle.errors import TrainingError
from offline.config import PipelineConfig
from offline.datasets import load_dataset
from offline.datasets.tables import load_tables
from offline.datasets.types import Dataset, Interactions
from offline.export_torch import export_scorer, export_user_tower
from offline.progress import Progress
from offline.recommenders.base import TrainedRecommender
from offline.recommenders.custom import custom_recommender
from offline.recommenders.item_knn import ItemKnn
from offline.recommenders.popularity import Popularity
from offline.recommenders.ranking import evaluate_ranking
from offline.recommenders.registry import make_recommender
from offline.recommenders.split import SENTENCES, Protocol, Split
from offline.recommenders.split import hold_out as split_by
from offline.workspace import Workspace

MOST_ITEMS_KNN = 50_000
"""Item-kNN compares all pairs of items: minutes beyond this, and no part of a bundle."""


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
