"""The steering frontier: every way to steer, every concept of a family, by recommender and seed; docs/results.md.

    python -m benchmarks.steering_table --dataset ml-1m --data ml-1m.zip --recommender mf --seeds 0 1 2

A unit is a recommender and a seed (of the SAE, of the halves of the items and of the sampled users): the recommender
comes from ``--recommenders`` where it lies there (benchmarks/recommenders.py) and is trained otherwise, the SAE is
trained with its defaults on the temporal split, then every concept is steered by all methods of
offline.evaluate.methods. Everything is kept as it is done, in ``--out``: run the same command again and it goes on.
``--report`` puts all units of the folder together: frontier.md, frontier.json, and the figure as PNG and SVG.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frontier_report import write_report
from bundle import Concept
from offline.config import make_sae_config
from offline.datasets import load_dataset
from offline.datasets.types import Dataset
from offline.evaluate import EvaluateConfig
from offline.evaluate.choice import chosen_concepts
from offline.evaluate.collateral import Collateral
from offline.evaluate.doses import Base
from offline.evaluate.methods import METHODS, Methods
from offline.evaluate.panel import Panel
from offline.evaluate.steering import mean_ndcg, steer_concept
from offline.evaluate.subject import HeldOutScores, Subject
from offline.heldout import held_out_scores
from offline.label import Audience, LabelConfig, label_concepts
from offline.recommenders import store
from offline.recommenders.base import TrainedRecommender
from offline.recommenders.ranking import evaluate_ranking, network_scores
from offline.recommenders.registry import make_recommender
from offline.recommenders.split import Split, hold_out
from offline.stages import encode_items
from sae.metrics import measure
from sae.train import train_sae

FAMILIES = {"ml-1m": "genre", "ml-100k": "genre", "lastfm": "tag"}
CURVE = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Unit:
    """A recommender and a seed, with what is known of them on disk."""

    dataset: str
    recommender: str
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.dataset}-{self.recommender}-{self.seed}"

    @property
    def facts(self) -> Path:
        """Recommender, SAE and what was asked for."""
        return self.folder / f"{self.name}.json"

    @property
    def rows(self) -> Path:
        """One line per concept."""
        return self.folder / f"{self.name}.jsonl"

    def done(self) -> set[str]:
        """Concepts that are measured; a last line that a killed run left unfinished is dropped."""
        if not self.rows.exists():
            return set()
        kept = [line for line in self.rows.read_text().splitlines() if line.endswith("}")]
        self.rows.write_text("".join(f"{line}\n" for line in kept))
        return {json.loads(line)["concept"] for line in kept}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ml-1m", choices=sorted(FAMILIES))
    parser.add_argument("--data", type=Path, help="its archive or folder; left out: downloaded")
    parser.add_argument("--recommender", nargs="+", default=["mf"], choices=["mf", "ncf", "sasrec"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--concepts", type=int, default=20, help="the largest of the family (ML-1M has 18)")
    parser.add_argument("--users", type=int, default=500, help="users sampled among those with held-out items")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), metavar="METHOD")
    parser.add_argument("--recommenders", type=Path, default=Path("runs/recommenders"), help="trained ones, by name")
    parser.add_argument("--out", type=Path, default=Path("runs/frontier"))
    parser.add_argument("--report", action="store_true", help="only put together what the folder holds")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if not given.report:
        dataset = load_dataset(given.dataset, given.data, seed=0)
        for recommender in given.recommender:
            for seed in given.seeds:
                run(Unit(given.dataset, recommender, seed, given.out), dataset, given)
    write_report(given.out)


def run(unit: Unit, dataset: Dataset, given: argparse.Namespace) -> None:
    """Measure what is not measured yet of one unit."""
    started = time.perf_counter()
    if unit.facts.exists() and set(json.loads(unit.facts.read_text())["concepts"]) <= unit.done():
        return
    assert dataset.interactions is not None
    split = hold_out(dataset.interactions, "temporal")
    trained = recommender_of(unit, dataset, split, given.recommenders)
    subject, held_out, facts = prepared(unit, dataset, split, trained, given.concepts)
    config = EvaluateConfig(
        steering_users=given.users, methods=tuple(given.methods), curve_points=CURVE, collateral=True, seed=unit.seed
    )
    chosen = chosen_concepts(subject.offered, given.concepts, (FAMILIES[unit.dataset],))
    panel = Panel.sample(subject.embeddings, split.train, split.test, given.users, unit.seed)
    base = Base.of(panel.base_scores(subject.embeddings), config.k)
    methods = Methods(subject, panel, base, held_out, unit.seed)
    taken = np.bincount(split.train.item, minlength=dataset.items.num_rows)
    labels = {concept.id: subject.labels(concept) for concept in chosen}
    collateral = Collateral.of(labels, subject.embeddings.items, taken)
    facts |= {
        "users": len(panel.users),
        "concepts": [concept.id for concept in chosen],
        "ndcg_unsteered": mean_ndcg(panel, base.lists),
        "methods": given.methods,
        "cpus": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }
    unit.facts.write_text(json.dumps(facts, indent=1) + "\n")
    print(f"{unit.name}: prepared in {time.perf_counter() - started:.0f} s", flush=True)
    done = unit.done()
    for concept in chosen:
        if concept.id not in done:
            measure_one(unit, concept, methods, config, collateral)


def measure_one(unit: Unit, concept: Concept, methods: Methods, config: EvaluateConfig, collateral: Collateral) -> None:
    """One line more."""
    started = time.perf_counter()
    rows, responses = steer_concept(concept, methods, config, collateral)
    line = {"concept": concept.id, "seconds": round(time.perf_counter() - started, 1), "rows": rows}
    with unit.rows.open("a") as file:
        file.write(json.dumps(line | {"responses": responses}, allow_nan=False) + "\n")
    print(f"{unit.name}: {concept.id} {line['seconds']} s", flush=True)


def recommender_of(unit: Unit, dataset: Dataset, split: Split, folder: Path) -> TrainedRecommender:
    """The trained one of that seed; of seed 0, where only that one is there and training takes long; or a new one."""
    prefix = "" if unit.dataset == "ml-1m" else f"{unit.dataset}-"
    own = unit.folder / f"{unit.name}.safetensors"
    seeds = (unit.seed,) if unit.recommender == "mf" else (unit.seed, 0)
    kept = [folder / f"{prefix}{unit.recommender}-temporal-{seed}" / "recommender.safetensors" for seed in seeds]
    for path in (own, *kept):
        if path.exists():
            return store.load(path)
    trained = make_recommender(unit.recommender).fit(
        split.train, len(dataset.user_ids), dataset.items.num_rows, seed=unit.seed
    )
    store.save(trained, own)
    return trained


def prepared(
    unit: Unit, dataset: Dataset, split: Split, trained: TrainedRecommender, concepts: int
) -> tuple[Subject, HeldOutScores, dict[str, Any]]:
    """The SAE and the concepts of a recommender; the held-out read-outs; what the report says of them."""
    embeddings, network = trained.embeddings, trained.scorer
    config = make_sae_config(
        {},
        dim=embeddings.items.shape[1],
        n_items=len(embeddings.items),
        n_users=len(embeddings.users),
        seed=unit.seed,
        network=network is not None,
    )
    checkpoint = unit.folder / f"{unit.name}.sae"
    weights = train_sae(
        embeddings.items,
        embeddings.users,
        item_bias=embeddings.item_bias,
        metric=embeddings.metric,
        pairs=(split.train.user, split.train.item),
        config=config,
        scorer=network,
        checkpoint_dir=checkpoint,
    ).weights
    codes = encode_items(weights, embeddings.items)
    labelling = LabelConfig(columns=(FAMILIES[unit.dataset],), max_per_family=concepts, seed=unit.seed)
    popularity = np.bincount(split.train.item, minlength=dataset.items.num_rows)
    audience = Audience(embeddings.users, split.train.user, split.train.item)
    found = label_concepts(
        dataset.items,
        codes,
        embeddings.items,
        weights,
        embeddings.metric,
        config=labelling,
        popularity=popularity,
        audience=audience,
        network=None
        if network is None
        else (lambda users, items: network_scores(network, users, items), embeddings.users),
    )
    held_out = held_out_scores(
        codes, embeddings.items, labelling, sae=weights, popularity=popularity, audience=audience, seen=True
    )
    facts = {
        "dataset": unit.dataset,
        "recommender": unit.recommender,
        "seed": unit.seed,
        "recommender_seed": trained.facts.get("seed"),
        "ranking": evaluate_ranking(trained, split.train, split.test),
        "sae": measure(weights, embeddings.users, embeddings.items),
        "latents": weights.latents,
    }
    return Subject(trained.scored, weights, codes, found.concepts, found.arrays), held_out, facts


if __name__ == "__main__":
    main()
