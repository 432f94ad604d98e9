"""What steering costs, method by method, for every concept of a family: the table of docs/results.md.

    python benchmarks/steering_table.py bundles/ml-1m --dataset ml-1m --data ml-1m.zip

Measures a bundle that ``tiller train --dataset`` made, on the temporal split it was trained with: 1,000 sampled users,
all methods of offline.evaluate.methods, the whole catalogue. Prints Markdown and writes it, and every figure as JSON,
to ``--out``.md and ``--out``.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

from bundle import Bundle, load_bundle
from bundle.errors import DataError
from offline.datasets import load_dataset
from offline.datasets.types import Dataset, Embeddings, Interactions
from offline.evaluate import EvaluateConfig, evaluate
from offline.evaluate.methods import METHODS
from offline.heldout import held_out_scores
from offline.label import LabelConfig
from offline.recommenders.split import temporal

SHARE = 0.2

# The experiment that the design started from: ML-1M, another matrix factorisation (64 dimensions), TopK 16 of 256
# trained in one stage, 18 genres x 3 seeds. Target reached, NDCG kept, overlap; of promotion: NDCG kept, overlap.
EARLIER: dict[str, tuple[str, str, str, str, str]] = {
    "oracle": ("1.00", ".981", "1", ".920", "1"),
    "item_label": ("1.00", ".985", ".988", ".912", ".77"),
    "item_logistic": ("1.00", ".977", ".919", ".890", ".71"),
    "item_logistic_32": (".93", ".971", ".864", ".874", ".67"),
    "item_probe": ("1.00", ".982", ".948", ".868", ".65"),
    "item_latent": (".19", "(.990)", "(.90)", ".731", ".47"),
    "query": ("1.00", ".905", ".640", ".769", ".52"),
    "query_latent": (".91", ".840", ".524", ".658", ".39"),
    "papers": (".93", ".868", ".39", ".697", ".32"),
}

SHOWN = ("item", "item_logistic", "query")
"""Methods of the table of single concepts."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--dataset", required=True, help="the data set the bundle was trained on")
    parser.add_argument("--data", type=Path, help="its archive or folder; left out: downloaded")
    parser.add_argument("--family", default="genre", help="concepts of this family")
    parser.add_argument("--users", type=int, default=1000, help="users sampled among those with held-out items")
    parser.add_argument("--seed", type=int, default=0, help="of the sampled users")
    parser.add_argument("--out", type=Path, default=Path("runs/steering_table"), help="without suffix")
    given = parser.parse_args()

    started = time.perf_counter()
    bundle = load_bundle(given.bundle)
    seed = int(bundle.manifest.provenance.get("seed", 0))
    dataset = load_dataset(given.dataset, given.data, seed=seed)
    document = measure(bundle, dataset, family=given.family, users=given.users, seed=given.seed)
    document["benchmark"] = {
        "bundle": bundle.manifest.bundle_id,
        "seed": given.seed,
        "seconds": round(time.perf_counter() - started, 1),
        "cpus": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "machine": platform.machine(),
    }
    text = markdown(document)
    print(text)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.with_suffix(".json").write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    given.out.with_suffix(".md").write_text(text + "\n")


def measure(bundle: Bundle, dataset: Dataset, *, family: str, users: int, seed: int) -> dict[str, Any]:
    """The evaluation of one family with every method and no ceiling on the work."""
    contents = bundle.contents
    interactions = _aligned(bundle, dataset)
    split = temporal(interactions, SHARE)
    vectors = np.ascontiguousarray(contents.item_vectors)
    embeddings = Embeddings(vectors, np.ascontiguousarray(contents.user_vectors), contents.item_bias, contents.metric)
    labelling = bundle.manifest.provenance.get("config", {}).get("label", {})
    known = {name: value for name, value in labelling.items() if name in LabelConfig.model_fields}
    known["seed"] = int(bundle.manifest.provenance.get("seed", 0))
    config = EvaluateConfig(
        steering_users=users,
        families=(family,),
        max_concepts=1000,
        methods=tuple(METHODS),
        work=1e15,
        seed=seed,
    )
    return evaluate(
        embeddings=embeddings,
        weights=contents.sae,
        codes=contents.item_codes,
        concepts=contents.concepts,
        arrays=contents.arrays,
        items=contents.items,
        train=split.train,
        test=split.test,
        config=config,
        held_out=held_out_scores(contents.item_codes, vectors, LabelConfig.model_validate(known)),
        provenance=bundle.manifest.provenance,
    )


def markdown(document: dict[str, Any]) -> str:
    """Means beside the earlier experiment, then every concept."""
    part, facts = document["steering"], document["benchmark"]
    lines = [
        f"{part['concepts']} concepts, {part['users']:,} users, top {part['k']}; bundle {facts['bundle']}, "
        f"seed {facts['seed']}, {facts['seconds']} s on {facts['cpus']} cores ({facts['machine']}, "
        f"threads: {facts['threads']}).",
        "",
        "| method | suppress: target reached | share left | NDCG kept | overlap | promote: target reached | NDCG kept "
        "| overlap | earlier experiment: suppress reached / NDCG / overlap; promote NDCG / overlap |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, title in part["methods"].items():
        down, up = (_mean(part, name, direction) for direction in ("suppress", "promote"))
        if down is None:
            continue
        earlier = EARLIER.get(name)
        beside = "–" if earlier is None else " / ".join(earlier[:3]) + "; " + " / ".join(earlier[3:])
        lines.append(
            f"| {title} | {_two(down['reached'])} | {_three(down['share_left'])} | {_three(down['ndcg_kept'])} "
            f"| {_three(down['overlap'])} | {_two(up['reached'] if up else None)} "
            f"| {_three(up['ndcg_kept'] if up else None)} | {_three(up['overlap'] if up else None)} | {beside} |"
        )
    lines += ["", "NDCG kept / overlap per concept, at the target (share left, where it is missed):", ""]
    heads = [f"{word}: {part['methods'][name].split(':')[0]}" for word in ("suppress", "promote") for name in SHOWN]
    lines.append("| concept | base share | " + " | ".join(heads) + " |")
    lines.append("| --- | --- |" + " --- |" * len(heads))
    rows = {(row["concept"], row["direction"], row["method"]): row for row in part["rows"]}
    for concept in dict.fromkeys(row["concept"] for row in part["rows"]):
        base = next(row["base_share"] for row in part["rows"] if row["concept"] == concept)
        cells = [_cell(rows.get((concept, way, name))) for way in ("suppress", "promote") for name in SHOWN]
        lines.append(f"| {concept} | {_three(base)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _aligned(bundle: Bundle, dataset: Dataset) -> Interactions:
    """The data set's interactions, if its rows are the bundle's rows.

    Raises:
        DataError: they are not, or the bundle stores no users or the data set has no interactions.
    """
    contents = bundle.contents
    if dataset.interactions is None or contents.user_ids is None:
        raise DataError(
            "steering table",
            found="a bundle without users" if contents.user_ids is None else "a data set without interactions",
            expected="both",
            hint="Train with users stored in the bundle (the default).",
        )
    ids = contents.items["item_id"].to_pylist()
    if ids != dataset.items["item_id"].to_pylist() or contents.user_ids != dataset.user_ids:
        raise DataError(
            "steering table",
            found="other items or users in the bundle than in the data set",
            expected="the data set that the bundle was trained on",
        )
    return dataset.interactions


def _mean(part: dict[str, Any], method: str, direction: str) -> dict[str, Any] | None:
    return next((row for row in part["means"] if (row["method"], row["direction"]) == (method, direction)), None)


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return "–"
    if not row["reached"]:
        return f"missed ({_three(row['share'])})"
    return f"{_three(row['ndcg_kept'])} / {_three(row['overlap'])}"


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _three(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
