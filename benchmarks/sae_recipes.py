"""Recipes of the SAE beside each other: fidelity, purity, agreement, dead latents (docs/decisions/003, 008 and 028).

    python benchmarks/sae_recipes.py --data ml-1m.zip --recipes default stage-1-only --seeds 0 1 2
    python benchmarks/sae_recipes.py --data ml-1m.zip --recommender recommender.safetensors

The recommender is trained on the temporal train split, or comes from a file; a recipe never sees the test. Prints one
Markdown row per run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression

from bundle import SaeWeights, SparseCodes
from offline.datasets import load_dataset
from offline.datasets.types import Dataset, Embeddings
from offline.evaluate.fidelity import fidelity
from offline.evaluate.panel import Panel
from offline.label.candidates import find_candidates
from offline.label.purity import measure_purity
from offline.recommenders import store
from offline.recommenders.mf import MatrixFactorization, MfConfig
from offline.recommenders.popularity import Popularity
from offline.recommenders.ranking import evaluate_ranking
from offline.recommenders.split import Split, temporal
from offline.reproduce.monosemanticity import TOP_OF_THE_PAPER, monosemanticity
from sae.config import SaeConfig
from sae.metrics import agreement
from sae.train import train_sae

Change = Callable[[SaeConfig], SaeConfig]
AT = (10, 20, 50)


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


def longer(times: int) -> Change:
    """So many times the steps of stage 2."""

    def change(config: SaeConfig) -> SaeConfig:
        assert config.stage2 is not None
        return stages(second={"steps": times * config.stage2.steps})(config)

    return change


BEFORE = stages(
    first={"steps": 3000, "k_users": 8, "k_items": 8},
    second={"steps": 1500, "learning_rate": 5e-3},
    norm_power=1.0,
    whitening=0.5,
    pair_sampling="uniform",
    hide_interactions=False,
    temperature=0.35,
)
"""The default that docs/decisions/003 found."""

RECIPES: dict[str, Change] = {
    "default": lambda config: config,
    "before": BEFORE,
    # One change of the default each.
    "unit norm": stages(norm_power=1.0),
    "half of the norm": stages(norm_power=0.5),
    "no whitening": stages(whitening=0.0),
    "whitening .8": stages(whitening=0.8),
    "stage 1 k 4": stages(first={"k_users": 4, "k_items": 4}),
    "stage 1 k 8": stages(first={"k_users": 8, "k_items": 8}),
    "items k 6": stages(second={"k_items": 6}),
    "items k 12": stages(second={"k_items": 12}),
    "items k 16": stages(second={"k_items": 16}),
    "users k 16": stages(second={"k_users": 16}),
    "users k 48": stages(second={"k_users": 48}),
    "items k 16, users k 48": stages(second={"k_items": 16, "k_users": 48}),
    "stage 2 reconstruction 1": stages(second={"reconstruction": 1.0}),
    "stage 2 reconstruction 2": stages(second={"reconstruction": 2.0}),
    "stage 2 three times as long": longer(3),
    "stage 2 six times as long": longer(6),
    "six times as long, items k 16, users k 48": both(longer(6), stages(second={"k_items": 16, "k_users": 48})),
    "six times as long, blocks of 256 x 512": both(longer(6), stages(block_users=256, block_items=512)),
    "nine times as long, items k 16, users k 48": both(longer(9), stages(second={"k_items": 16, "k_users": 48})),
    "blocks of 256 x 512": stages(block_users=256, block_items=512),
    "temperature .15": stages(temperature=0.15),
    "uniform blocks": stages(pair_sampling="uniform"),
    "nothing hidden": stages(hide_interactions=False),
    "temperature .35": stages(temperature=0.35),
    "stage 2 rate 5e-3": stages(second={"learning_rate": 5e-3}),
    "stage 2 reconstruction .1": stages(second={"reconstruction": 0.1}),
    "128 latents": stages(latents=128),
    "384 latents": stages(latents=384),
    "512 latents": stages(latents=512),
    "1024 latents": stages(latents=1024),
    # Other forms.
    "matryoshka": stages(matryoshka=(64,)),
    "matryoshka, three prefixes": stages(matryoshka=(32, 64, 128)),
    "batchtopk": stages(activation="batchtopk"),
    "relu": stages(first={"l1": 0.01}, second={"l1": 0.001}, activation="relu"),
    "separate towers": stages(towers="separate"),
    "no stage 1": stages(first={"steps": 1}),
    "stage-1-only": one_stage(),
    "stage-1-only, two latents": one_stage(k_users=2, k_items=2),
    "stage-1-only, one latent": one_stage(k_users=1, k_items=1),
    "Plackett-Luce": stages(second={"prediction_listwise": 0.0, "prediction_plackett_luce": 0.3}),
    "list-wise and Plackett-Luce": stages(second={"prediction_listwise": 0.7, "prediction_plackett_luce": 0.1}),
    "block mean square": stages(second={"prediction_listwise": 0.0, "prediction_block": 1.0}),
    "mean square over interactions": both(
        one_stage(prediction_mse=1.0), lambda c: c.model_copy(update={"pair_sampling": "interactions"})
    ),
    "the lead": both(
        BEFORE, stages(second={"k_users": 16, "reconstruction": 0.1, "learning_rate": 1e-2}, whitening=0.0)
    ),
}


def shorter(config: SaeConfig, share: float) -> SaeConfig:
    """The same with a share of every stage's steps."""
    parts = {
        name: stage.model_copy(update={"steps": max(1, round(stage.steps * share))})
        for name, stage in (("stage1", config.stage1), ("stage2", config.stage2))
        if stage is not None
    }
    return config.model_copy(update=parts)


def ceiling(embeddings: Embeddings, members: npt.NDArray[np.bool_]) -> str:
    """Purity of a logistic probe that is given the labels: judged on the items it was fitted to, and held out.

    What the embeddings hold; a latent found without labels should not be expected to do better. Held out: fitted on one
    half, the K / 2 best of the other, both ways, 3 halvings.
    """
    rows = embeddings.items / np.sqrt(np.linalg.norm(embeddings.items, axis=1, keepdims=True))
    rows = (rows - rows.mean(0)) / rows.std(0)
    everyone = np.ones(len(rows), np.bool_)
    rng = np.random.default_rng(0)
    halves = [rng.permutation(len(rows)) < len(rows) // 2 for _ in range(3)]
    ways = [(everyone, everyone, 1), *((a, ~a, 2) for half in halves for a in (half, ~half))]
    values = np.zeros((len(ways), len(AT)))
    for concept in members:
        for way, (fitted, judged, part) in enumerate(ways):
            probe = LogisticRegression(C=0.1, max_iter=500).fit(rows[fitted], concept[fitted])
            carried = concept[judged][np.argsort(-probe.decision_function(rows[judged]))]
            values[way] += [carried[: k // part].mean() / len(members) for k in AT]
    told = [" / ".join(f"{value:.3f}" for value in part) for part in (values[0], values[1:].mean(0))]
    return f"{told[0]}, held out at the same depth {told[1]}"


def row(
    name: str, seed: int, weights: SaeWeights, *, embeddings: Embeddings, users: int, split: Split, dataset: Dataset
) -> str:
    """Everything docs/decisions/003 shows of one run, without what the trainer knows itself."""
    panel = Panel.sample(embeddings, split.train, split.test, users, seed=0)
    kept = fidelity(embeddings, weights, panel, k=10, depth=30, persistence=0.9)
    members = labels(dataset)
    activations = weights.encode(embeddings.items, "item")
    codes = SparseCodes.from_dense(activations)
    alike = monosemanticity(activations, embeddings.items, TOP_OF_THE_PAPER)
    purity = measure_purity(codes, members, AT, halvings=10, seed=0)
    same_depth = measure_purity(codes, members, tuple(k // 2 for k in AT), halvings=10, seed=0)
    everything = [np.mean([concept[n].all_items for concept in purity]) for n in range(3)]
    held_out = [np.mean([concept[n].value for concept in purity]) for n in range(3)]
    half_depth = [np.mean([concept[n].value for concept in same_depth]) for n in range(3)]
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
        " / ".join(f"{value:.3f}" for value in half_depth),
        f"{(lifts > 0).mean():.3f}",
        f"{np.median(lifts):.2f}",
        f"{np.nanmean(alike):.3f}",
    ]
    return "| " + " | ".join(cells) + " |"


def labels(dataset: Dataset) -> npt.NDArray[np.bool_]:
    """Genres, or what stands in their place, bool [C, N]."""
    found = find_candidates(dataset.items).concepts
    return np.array([concept.members for concept in found if concept.family in {"genre", "tag"}])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--recipes", nargs="*", choices=list(RECIPES), default=["default"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument(
        "--recommender", type=Path, help="a trained one (benchmarks/recommenders.py), of the temporal split"
    )
    parser.add_argument("--users", type=int, default=2_000, help="whose lists are compared")
    parser.add_argument("--l2", type=float, default=MfConfig().l2, help="penalty of the matrix factorisation")
    parser.add_argument("--validation", action="store_true", help="hold out the end of the train part, not the test")
    parser.add_argument("--steps", type=float, default=1.0, help="share of every stage's steps")
    parser.add_argument("--ceiling", action="store_true", help="also what a probe fitted to the labels reaches")
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
    if options.recommender is None:
        trained = MatrixFactorization().fit(
            split.train, n_users, n_items, MfConfig(l2=options.l2), device=options.device
        )
    else:
        trained = store.load(options.recommender)
    embeddings = trained.embeddings
    popular = Popularity().fit(split.train, n_users, n_items).embeddings
    print(f"recommender {evaluate_ranking(trained, split.train, split.test)}")
    print(f"popularity  {evaluate_ranking(popular, split.train, split.test)}")
    if options.ceiling:
        print(f"ceiling     purity 10/20/50 of a probe fitted to the labels: {ceiling(embeddings, labels(dataset))}")
    print(
        "| recipe | seed | RBO both | RBO users | tau | NDCG kept | purity 10/20/50, all | held out "
        "| held out, same depth "
        "| latents that agree | median lift | monosemanticity, own space "
        "| EV users / items | L0 users / items | dead | seconds |"
    )
    for name in options.recipes:
        for seed in options.seeds:
            base = SaeConfig.for_data(
                embeddings.items.shape[1], n_items, n_users, network=trained.scorer is not None, seed=seed
            )
            result = train_sae(
                embeddings.items,
                embeddings.users,
                embeddings.item_bias,
                embeddings.metric,
                (split.train.user, split.train.item),
                shorter(RECIPES[name](base), options.steps),
                device=options.device,
                scorer=trained.scorer,
            )
            figures = result.metrics
            own = [
                f"{figures['explained_variance_users']:.3f} / {figures['explained_variance_items']:.3f}",
                f"{figures['l0_users']:.1f} / {figures['l0_items']:.1f}",
                f"{figures['dead_share']:.4f}",
                f"{figures['seconds']:.0f}",
            ]
            print(
                row(
                    name,
                    seed,
                    result.weights,
                    embeddings=trained.scored,
                    users=options.users,
                    split=split,
                    dataset=dataset,
                ),
                " | ".join(own),
                "|",
                flush=True,
            )


if __name__ == "__main__":
    main()
