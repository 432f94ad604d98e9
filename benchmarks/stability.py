"""What survives another seed of the SAE, another seed of the recommender, and a night of new data (docs/alignment.md).

    python -m benchmarks.stability --data ml-1m.zip --out runs/stability

Trains the matrix factorisation and the SAE with the defaults of ``tiller train``: SAE seeds 0, 1, 2 on one
recommender; recommender seeds 1 and 2, each with its own SAE seed; and, for the night, recommender and SAE seed 0 on
the training interactions without the latest 2 %. Compares all of them through their item codes. The codes of a run are
kept in ``--out``, so that a killed script goes on; ``--at-most 1`` trains one run and stops. Prints Markdown and writes
it to ``--out``/stability.md, every figure to stability.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.metrics import average_precision_score

from bundle import SparseCodes
from offline.align.match import NOBODY, Common, match_latents
from offline.datasets import load_dataset
from offline.datasets.types import Dataset, Interactions
from offline.label import Candidate, LabelConfig, find_candidates
from offline.recommenders.mf import MatrixFactorization
from offline.recommenders.split import temporal
from offline.stability import QUALITIES, ReadoutPair, Stability, compare, compare_readouts, read_out
from sae.config import SaeConfig
from sae.train import train_sae

NIGHT = 0.02
"""Share of the interactions that one night brings; the latest."""

NAMED, NAMED_ITEMS = 100, 20
"""Latents that are named for the comparison of ways to carry them over, and the fewest items of one."""

BINS = (-1.0, 0.3, 0.5, 0.7, 0.9, 1.01)


class Run(NamedTuple):
    """A recommender and an SAE on it."""

    recommender: int
    sae: int
    before_the_night: bool = False

    @property
    def name(self) -> str:
        """Of its file."""
        return f"r{self.recommender}-s{self.sae}" + ("-before" if self.before_the_night else "")


FIRST = Run(0, 0)
PAIRS: dict[str, list[tuple[Run, Run]]] = {
    "SAE retrained, other seed": [(FIRST, Run(0, 1)), (FIRST, Run(0, 2)), (Run(0, 1), Run(0, 2))],
    "a night of data, same seeds": [(Run(0, 0, True), FIRST)],
    "both retrained, other seeds": [(FIRST, Run(1, 1)), (FIRST, Run(2, 2)), (Run(1, 1), Run(2, 2))],
}


def train(run: Run, interactions: Interactions, dataset: Dataset) -> tuple[SparseCodes, float]:
    """Item codes [N, L] of a run, and the seconds it took."""
    began = time.perf_counter()
    if run.before_the_night:
        interactions = interactions.take(interactions.order <= np.quantile(interactions.order, 1 - NIGHT))
    n_users, n_items = len(dataset.user_ids), dataset.items.num_rows
    known = MatrixFactorization().fit(interactions, n_users, n_items, seed=run.recommender).embeddings
    config = SaeConfig.for_data(known.items.shape[1], n_items, n_users, seed=run.sae)
    pairs = (interactions.user, interactions.item)
    weights = train_sae(known.items, known.users, known.item_bias, known.metric, pairs, config).weights
    return SparseCodes.from_dense(weights.encode(known.items, "item")), time.perf_counter() - began


def remembered(folder: Path, run: Run) -> tuple[SparseCodes, float] | None:
    """What an earlier call of this script left of a run."""
    file = folder / f"{run.name}.npz"
    if not file.is_file():
        return None
    with np.load(file) as kept:
        codes = SparseCodes(kept["indptr"], kept["indices"], kept["values"], int(kept["latents"]))
        return codes, float(kept["seconds"])


def remember(folder: Path, run: Run, codes: SparseCodes, seconds: float) -> None:
    part = folder / f"{run.name}.part.npz"
    np.savez(
        part, indptr=codes.indptr, indices=codes.indices, values=codes.values, latents=codes.latents, seconds=seconds
    )
    part.replace(folder / f"{run.name}.npz")


def figures(found: Stability, families: Sequence[str]) -> dict[str, Any]:
    """Every share of one comparison."""
    return {
        "latents": {str(quality): found.latents_at(quality) for quality in QUALITIES},
        "median": float(np.median(found.match.held_out[found.alive])),
        "families": {
            family: {
                "concepts": len(found.of(family)),
                "best_latent": {str(quality): found.concepts_at(quality, family) for quality in QUALITIES},
                "stays_pure": found.stay_pure(family),
            }
            for family in families
        },
    }


def concept_figures(pairs: Sequence[ReadoutPair], families: Sequence[str]) -> dict[str, Any]:
    """What became of the concepts themselves, by family."""
    of = {family: [pair for pair in pairs if pair.family == family] for family in families}
    return {
        family: {
            "survive": float(np.mean([pair.survives for pair in rows])),
            "auc_first": float(np.mean([pair.auc[0] for pair in rows])),
            "auc_second": float(np.mean([pair.auc[1] for pair in rows])),
            "largest_loss": float(max(pair.auc[0] - pair.auc[1] for pair in rows)),
            "correlation": float(np.mean([pair.correlation for pair in rows])),
        }
        for family, rows in of.items()
    }


def named_latents(first: SparseCodes, second: SparseCodes) -> list[dict[str, float]]:
    """Latents as if a person had named them: finding their items again by the match, or by a read-out fitted to them.

    By quality of the match: how many latents, and average precision either way, the read-out's on held-out items.
    """
    rows = np.arange(len(first))
    match = match_latents(first, second, Common(rows, rows))
    active, found = first.dense() > 0, second.dense()
    able = np.flatnonzero(active.sum(0) >= NAMED_ITEMS)
    chosen = np.random.default_rng(0).permutation(able)[:NAMED]
    concepts = [Candidate(f"custom:{latent}", "custom", str(latent), active[:, latent]) for latent in chosen]
    fitted = read_out(second, concepts, LabelConfig())
    figures = []
    for low, high in pairwise(BINS):
        inside = [n for n, latent in enumerate(chosen) if low <= match.held_out[latent] < high]
        by_match = [
            average_precision_score(active[:, chosen[n]], found[:, match.to[chosen[n]]])
            for n in inside
            if match.to[chosen[n]] != NOBODY
        ]
        figures.append(
            {
                "from": low,
                "latents": len(inside),
                "match": float(np.mean(by_match)) if by_match else 0.0,
                "readout": float(np.mean([fitted[n].average_precision for n in inside])) if inside else 0.0,
            }
        )
    return figures


def mean(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of nested figures."""
    return {
        key: mean([row[key] for row in rows]) if isinstance(value, dict) else float(np.mean([row[key] for row in rows]))
        for key, value in rows[0].items()
    }


def table(results: dict[str, dict[str, Any]], families: Sequence[str]) -> str:
    """Markdown: latents, then a table per family."""
    heads = [f"at {quality}" for quality in QUALITIES]
    lines = [
        "| compared | median r | latents " + " | ".join(heads) + " |",
        "| --- | " + " | ".join(["---"] * (1 + len(heads))) + " |",
    ]
    for name, row in results.items():
        shares = " | ".join(f"{value:.2f}" for value in row["latents"].values())
        lines.append(f"| {name} | {row['median']:.2f} | {shares} |")
    lines += ["", "| best latent of | compared | " + " | ".join(heads) + " | match as pure |"]
    lines.append("| --- | --- | " + " | ".join(["---"] * (1 + len(heads))) + " |")
    for family in families:
        for name, row in results.items():
            of = row["families"][family]
            shares = " | ".join(f"{value:.2f}" for value in of["best_latent"].values())
            lines.append(f"| {family} ({of['concepts']:.0f}) | {name} | {shares} | {of['stays_pure']:.2f} |")
    lines += ["", "| concepts of | compared | survive | mean AUC | largest loss | correlation of read-outs |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for family in families:
        for name, row in results.items():
            if "concepts" in row:
                of = row["concepts"][family]
                lines.append(
                    f"| {family} | {name} | {of['survive']:.2f} | {of['auc_first']:.3f}, {of['auc_second']:.3f} | "
                    f"{of['largest_loss']:.3f} | {of['correlation']:.2f} |"
                )
    return "\n".join(lines) + "\n"


def named_table(results: dict[str, list[dict[str, float]]]) -> str:
    lines = ["", "| named latents | match from | latents | AP by the match | AP by a read-out |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for name, rows in results.items():
        for row in rows:
            if row["latents"]:
                told = f"{max(row['from'], 0):.1f} | {row['latents']} | {row['match']:.2f} | {row['readout']:.2f}"
                lines.append(f"| {name} | {told} |")
    return "\n".join(lines) + "\n"


def named(dataset: Dataset) -> list[Candidate]:
    """Concepts that are large enough to be labelled (docs/concepts.md)."""
    config = LabelConfig()
    found = find_candidates(dataset.items, config).concepts
    most = config.max_share * dataset.items.num_rows
    return [concept for concept in found if config.min_members <= int(concept.members.sum()) <= most]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/stability"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--at-most", type=int, default=100, help="train so many runs and stop; the next call goes on")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)

    dataset = load_dataset(options.dataset, options.data)
    assert dataset.interactions is not None
    interactions = temporal(dataset.interactions).train
    runs = sorted({run for pairs in PAIRS.values() for pair in pairs for run in pair})
    codes, seconds, trained = {}, {}, 0
    for run in runs:
        known = remembered(options.out, run)
        if known is None:
            if trained == options.at_most:
                print(f"{run.name} and later runs are still to be trained: call again")
                return
            known = train(run, interactions, dataset)
            remember(options.out, run, *known)
            trained += 1
            print(f"{run.name}: {known[1]:.0f} s", flush=True)
        codes[run], seconds[run.name] = known

    concepts = named(dataset)
    families = list(dict.fromkeys(concept.family for concept in concepts))
    results: dict[str, dict[str, Any]] = {}
    config = LabelConfig()
    read = {run: read_out(codes[run], concepts, config) for run in runs}
    for name, pairs in PAIRS.items():
        results[name] = mean(
            [
                {
                    **figures(compare(codes[a], codes[b], concepts), families),
                    "concepts": concept_figures(compare_readouts(read[a], read[b], concepts, config), families),
                }
                for a, b in pairs
            ]
        )
    results["chance: items shuffled"] = figures(
        compare(codes[FIRST], codes[Run(0, 1)], concepts, shuffle=True), families
    )
    named_pairs = {name: named_latents(codes[pairs[0][0]], codes[pairs[0][1]]) for name, pairs in PAIRS.items()}
    text = table(results, families) + named_table(named_pairs)
    print(text)
    (options.out / "stability.md").write_text(text)
    document = {"threads": options.threads, "seconds": seconds, "results": results, "named_latents": named_pairs}
    (options.out / "stability.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
