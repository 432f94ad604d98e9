"""The table of docs/decisions/007: recommenders beside popularity and item-kNN, by data set and protocol.

    python benchmarks/recommenders.py --data ../shared/data --out runs/recommenders
    python benchmarks/recommenders.py --data ../shared/data --out runs/recommenders --cells ml-1m/leave_last_out/sasrec

Every trained recommender is kept in ``OUT/DATA-NAME-PROTOCOL-SEED/recommender.safetensors`` with its figures (for
ML-1M without ``DATA-``) and is not trained again; an unfinished one goes on from its last epoch. ``--seconds`` ends a
slice after the epoch in which they have passed (exit code 3: call again). ``--table`` prints what is there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from offline.datasets import load_dataset
from offline.datasets.types import Dataset
from offline.recommenders import store
from offline.recommenders.item_knn import ItemKnn
from offline.recommenders.popularity import Popularity
from offline.recommenders.ranking import evaluate_ranking
from offline.recommenders.registry import make_recommender
from offline.recommenders.split import Split, hold_out

ARCHIVES = {"ml-1m": "ml-1m-rebuilt.zip", "lastfm": "hetrec2011-lastfm-2k.zip"}
PROTOCOLS = {"ml-1m": ("temporal", "leave_last_out", "paper"), "lastfm": ("temporal", "paper")}
CELLS = [f"{data}/{way}/{name}" for data in PROTOCOLS for way in PROTOCOLS[data] for name in ("mf", "ncf", "sasrec")]
FILE = "recommender.safetensors"


class SliceEnds(Exception):
    """The slice's seconds have passed."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the archives")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cells", nargs="*", default=CELLS, help="DATA/PROTOCOL/NAME ...")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print(table(options.out))
        return 0
    torch.set_num_threads(options.threads)
    ends = time.monotonic() + options.seconds
    try:
        for cell in options.cells:
            data, protocol, name = cell.split("/")
            dataset = load_dataset(data, options.data / ARCHIVES[data], seed=options.seed)
            assert dataset.interactions is not None
            split = hold_out(dataset.interactions, protocol, seed=options.seed)
            baselines(dataset, split, options.out / f"{data}-{protocol}-{options.seed}.json")
            folder = options.out / f"{'' if data == 'ml-1m' else data + '-'}{name}-{protocol}-{options.seed}"
            if not (folder / FILE).exists():
                train(name, dataset, split, folder, seed=options.seed, ends=ends, told=cell)
    except SliceEnds:
        return 3
    print(table(options.out))
    return 0


def baselines(dataset: Dataset, split: Split, path: Path) -> None:
    """Popularity and item-kNN, once."""
    if path.exists():
        return
    users, items = len(dataset.user_ids), dataset.items.num_rows
    found = {}
    for name in ("popularity", "item_knn"):
        started = time.perf_counter()
        if name == "popularity":
            scores = Popularity().fit(split.train, users, items)
        else:
            scores = ItemKnn(split.train, users, items).scores
        found[name] = {
            **evaluate_ranking(scores, split.train, split.test),
            "seconds": round(time.perf_counter() - started, 1),
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1))


def train(name: str, dataset: Dataset, split: Split, folder: Path, *, seed: int, ends: float, told: str) -> None:
    """Fit, rank and keep; the seconds of all slices together."""
    clock = folder / "seconds.json"
    before = json.loads(clock.read_text()) if clock.exists() else 0.0
    started = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)

    def progress(epoch: int, total: int, figures: Mapping[str, float]) -> None:
        spent = before + time.perf_counter() - started
        print(f"{told} epoch {epoch} of {total}, loss {figures['loss']:.4f}, {spent:.0f} s", flush=True)
        clock.write_text(json.dumps(spent))
        if time.monotonic() > ends and epoch < total:
            raise SliceEnds

    made = make_recommender(name).fit(
        split.train,
        len(dataset.user_ids),
        dataset.items.num_rows,
        seed=seed,
        progress=progress,
        checkpoint=folder / "fit.safetensors",
    )
    seconds = round(before + time.perf_counter() - started, 1)
    figures: dict[str, Any] = evaluate_ranking(made, split.train, split.test)
    store.save(replace(made, facts={**made.facts, "seconds": seconds, "ranking": figures}), folder / FILE)
    clock.unlink(missing_ok=True)
    print(f"{told} {figures}, {seconds} s", flush=True)


def table(out: Path) -> str:
    """What is there, as Markdown."""
    lines = [
        "| data, protocol | recommender | seed | NDCG@10 | Recall@10 | seconds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]

    def line(where: str, name: str, seed: str, figures: Mapping[str, float], seconds: float) -> str:
        return f"| {where} | {name} | {seed} | {figures['ndcg@10']:.4f} | {figures['recall@10']:.4f} | {seconds} |"

    for data, protocols in PROTOCOLS.items():
        for protocol in protocols:
            for path in sorted(out.glob(f"{data}-{protocol}-*.json")):
                seed, where = path.stem.rsplit("-", 1)[1], f"{data}, {protocol}"
                for name, figures in json.loads(path.read_text()).items():
                    lines.append(line(where, name, seed, figures, figures["seconds"]))
                for name in ("mf", "ncf", "sasrec"):
                    file = out / f"{'' if data == 'ml-1m' else data + '-'}{name}-{protocol}-{seed}" / FILE
                    if file.exists():
                        facts = store.load(file).facts
                        lines.append(line(where, name, seed, facts["ranking"], facts["seconds"]))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
