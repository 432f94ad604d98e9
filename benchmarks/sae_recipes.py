"""Recipes of the SAE beside each other: fidelity, purity, agreement, dead latents, seconds (docs/decisions/003).

    python benchmarks/sae_recipes.py --data ml-1m.zip --recipes default stage-1-only --seeds 0 1 2

The recommender is trained on the temporal train split; a recipe never sees the test. Prints one Markdown row per run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from bundle import SaeWeights, SparseCodes
from offline.datasets import load_dataset
from offline.datasets.types import Dataset, Embeddings
from offline.evaluate.fidelity import fidelity
from offline.evaluate.panel import Panel
from offline.label.candidates import find_candidates
from offline.label.purity import measure_purity
from offline.recommenders.mf import MatrixFactorization, MfConfig
from offline.recommenders.popularity import Popularity
from offline.recommenders.ranking import evaluate_ranking
from offline.recommenders.split import Split, temporal
from sae.config import SaeConfig
from sae.metrics import agreement
from sae.train import train_sae

Change = Callable[[SaeConfig], SaeConfig]


def stages(first: dict[str, object] | None = None, second: dict[str, object] | None = None, **top: object) -> Change:
    """A change of the default recipe: fields of stage 1, of stage 2, and of the configuration itself."""

    def change(config: SaeConfig) -> SaeConfig:
        document = config.model_dump()
        document["stage1"].update(first or {})
        document["stage2"].update(second or {})
        return SaeConfig(**{**document, **top})

    return change


def one_stage(**first: object) -> Change:
    """Shared towers, stage 1 only."""
    return lambda config: SaeConfig(
        **{
            **config.model_dump(),
            "towers": "shared",
            "stage2": None,
            "stage1": {**config.stage1.model_dump(), **first},
        }
    )


def both(first: Change, second: Change) -> Change:
    return lambda config: second(first(config))


RECIPES: dict[str, Change] = {
    "default": lambda config: config,
    "no whitening": stages(whitening=0.0),
    "full whitening": stages(whitening=1.0),
    "users k 16": stages(second={"k_users": 16}),
    "users k 32": stages(second={"k_users": 32}),
    "the lead": stages(second={"k_users": 16, "reconstruction": 0.1, "learning_rate": 1e-2}, whitening=0.0),
    "256 latents": stages(latents=256),
    "384 latents": stages(latents=384),
    "512 latents": stages(latents=512),
    "1024 latents": stages(latents=1024),
    "stage-1-only": one_stage(),
    "no stage 1": stages(first={"steps": 1}),
    "mean square": one_stage(prediction_mse=1.0),
    "mean square over interactions": both(
        one_stage(prediction_mse=1.0), lambda c: c.model_copy(update={"pair_sampling": "interactions"})
    ),
    "batchtopk": stages(activation="batchtopk"),
    "relu": stages(first={"l1": 0.01}, second={"l1": 0.001}, activation="relu"),
    "renormalised items": stages(renormalise_items=True),
    "stage 2 reconstruction .1": stages(second={"reconstruction": 0.1}),
    "stage 2 reconstruction .5": stages(second={"reconstruction": 0.5}),
    "stage 2 reconstruction 1": stages(second={"reconstruction": 1.0}),
    "stage 2 rate 1e-2": stages(second={"learning_rate": 1e-2}),
    "mixed pairs": stages(pair_sampling="mixed"),
}


def row(name: str, seed: int, weights: SaeWeights, *, embeddings: Embeddings, split: Split, dataset: Dataset) -> str:
    """Everything docs/decisions/003 shows of one run, without what the trainer knows itself."""
    panel = Panel.sample(embeddings, split.train, split.test, 2_000, seed=0)
    kept = fidelity(embeddings, weights, panel, k=10, depth=30, persistence=0.9)
    genres = [c for c in find_candidates(dataset.items).concepts if c.family == "genre"]
    members = np.array([c.members for c in genres])
    codes = SparseCodes.from_dense(weights.encode(embeddings.items, "item"))
    purity = measure_purity(codes, members, (10, 20, 50), halvings=10, seed=0)
    everything = [np.mean([concept[n].all_items for concept in purity]) for n in range(3)]
    held_out = [np.mean([concept[n].value for concept in purity]) for n in range(3)]
    lifts = agreement(weights, embeddings.items, embeddings.metric)
    lifts = lifts[~np.isnan(lifts)]
    cells = [
        name,
        str(seed),
        f"{kept['both']['rbo_truncated']:.3f}",
        f"{kept['user']['rbo_truncated']:.3f}",
        f"{kept['both']['kendall_tau']:.3f}",
        f"{kept['both']['ndcg_kept']:.3f}",
        " / ".join(f"{value:.3f}" for value in everything),
        " / ".join(f"{value:.3f}" for value in held_out),
        f"{(lifts > 0).mean():.3f}",
        f"{np.median(lifts):.2f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--recipes", nargs="*", choices=list(RECIPES), default=["default"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--l2", type=float, default=MfConfig().l2, help="penalty of the matrix factorisation")
    parser.add_argument("--validation", action="store_true", help="hold out the end of the train part, not the test")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    dataset = load_dataset(options.dataset, options.data)
    assert dataset.interactions is not None
    split = temporal(dataset.interactions)
    if options.validation:
        split = temporal(split.train, 0.15)
    n_users, n_items = len(dataset.user_ids), dataset.items.num_rows
    embeddings = MatrixFactorization().fit(
        split.train, n_users, n_items, MfConfig(l2=options.l2), device=options.device
    ).embeddings
    popular = Popularity().fit(split.train, n_users, n_items).embeddings
    print(f"recommender {evaluate_ranking(embeddings, split.train, split.test)}")
    print(f"popularity  {evaluate_ranking(popular, split.train, split.test)}")
    print(
        "| recipe | seed | RBO both | RBO users | tau | NDCG kept | purity 10/20/50, all | held out "
        "| latents that agree | median lift | EV users / items | L0 users / items | dead | seconds |"
    )
    for name in options.recipes:
        for seed in options.seeds:
            base = SaeConfig.for_data(embeddings.items.shape[1], n_items, n_users, seed=seed)
            result = train_sae(
                embeddings.items,
                embeddings.users,
                embeddings.item_bias,
                embeddings.metric,
                (split.train.user, split.train.item),
                RECIPES[name](base),
                device=options.device,
            )
            figures = result.metrics
            own = [
                f"{figures['explained_variance_users']:.3f} / {figures['explained_variance_items']:.3f}",
                f"{figures['l0_users']:.1f} / {figures['l0_items']:.1f}",
                f"{figures['dead_share']:.4f}",
                f"{figures['seconds']:.0f}",
            ]
            print(
                row(name, seed, result.weights, embeddings=embeddings, split=split, dataset=dataset),
                " | ".join(own),
                "|",
                flush=True,
            )


if __name__ == "__main__":
    main()
