"""The tables of docs/results.md on one training, from the evaluation.json that it wrote.

python -m benchmarks.reference_tables runs/ml-1m
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

VARIANTS = {"both": "users and items", "user": "users only", "error_preserving": "what is served, no rule"}
DEPTHS = (10, 20, 50)


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="folder of the training")
    found = json.loads((parser.parse_args().bundle / "evaluation.json").read_text())
    print("\n\n".join((_ranking(found), _sae(found), _fidelity(found), _concepts(found), _dial(found))))


def _ranking(found: dict[str, Any]) -> str:
    names = {"recommender": "recommender", "popularity": "popularity", "item_knn": "item-kNN"}
    rows = [
        (name, *(_3(found["recommender"][key][m], 4) for m in ("ndcg@10", "recall@10"))) for key, name in names.items()
    ]
    return _table(("", "NDCG@10", "Recall@10"), rows)


def _sae(found: dict[str, Any]) -> str:
    sae = found["sae"]
    return (
        f"SAE: {sae['latents']} latents, {sae['l0_items']:.1f} active per item and {sae['l0_users']:.0f} per user, "
        f"{sae['dead_share']:.1%} dead; explained variance {_3(sae['explained_variance_items'])} of items, "
        f"{_3(sae['explained_variance_users'])} of users; {sae['latents_agreeing']:.0%} of the latents mean the same "
        "for users and items (a user's push along one raises the items that activate it)."
    )


def _fidelity(found: dict[str, Any]) -> str:
    keys = ("rbo_truncated", "rbo_extrapolated", "kendall_tau", "ndcg_kept", "recall_kept")
    head = ("reconstructed", "RBO, truncated (identical .958)", "RBO, extrapolated", "Kendall's tau", "NDCG@10 kept",
            "Recall@10 kept")  # fmt: skip
    variants = found["fidelity"]["variants"]
    return _table(head, [(name, *(_3(variants[key][k]) for k in keys)) for key, name in VARIANTS.items()])


def _concepts(found: dict[str, Any]) -> str:
    head = ("concept", "items", "read-out", "AUC", "precision", "recall", *(f"purity@{k}" for k in DEPTHS), "base rate")
    rows = []
    for one in found["concepts"]["offered"]:
        quality = one["quality"]
        purity = {entry["k"]: entry for entry in quality["purity"]}
        rows.append(
            (one["id"], f"{one['items']:,}", one["readout"], _3(quality["auc"]), _3(quality["precision"], 2),
             _3(quality["recall"], 2), *(_purity(purity[k]) for k in DEPTHS), _3(quality["base_rate"]))
        )  # fmt: skip
    return (
        _table(head, rows) + "\n\n" + _means(found["concepts"]["offered"]) + _missing(found["concepts"]["not_offered"])
    )


def _means(offered: list[dict[str, Any]]) -> str:
    genres = [one["quality"] for one in offered if one["family"] == "genre"]

    def mean(values: Iterable[float]) -> float:
        return statistics.fmean(values)

    def purity(kind: str) -> str:
        by_depth = zip(*([entry[kind] for entry in one["purity"]] for one in genres), strict=True)
        return " / ".join(_3(mean(values), 2) for values in by_depth)

    return (
        f"Mean of the {len(genres)} genres: AUC {_3(mean(one['auc'] for one in genres))}, precision "
        f"{_3(mean(one['precision'] for one in genres), 2)}, recall {_3(mean(one['recall'] for one in genres), 2)}, "
        f"purity@10/20/50 held out {purity('value')}, chosen and scored on all items {purity('all_items')}."
    )


def _missing(not_offered: list[dict[str, Any]]) -> str:
    told = "; ".join(f"{one['id']} ({one['reason']})" for one in not_offered)
    return f" Not offered: {told}." if told else ""


def _dial(found: dict[str, Any]) -> str:
    """Of the genres, both channels beside each other."""
    channels: dict[str, dict[str, Any]] = {}
    for one in found["steering"]["reach"]:
        if one["family"] == "genre":
            channels.setdefault(one["concept"], {})[one["channel"]] = one
    keys = ("left_0.5", "left_1", "reached_0.5", "reached_1")
    rows = []
    for name, by in channels.items():
        both = (" / ".join(_3(by[channel][key], 2) for channel in ("item", "query")) for key in keys)
        rows.append((name, _3(by["item"]["base_share"]), *both))
    head = ("genre", "base share", "share left, demote 0.5", "demote 1", "share reached, promote 0.5", "promote 1")
    return _table(head, rows)


def _purity(entry: dict[str, float]) -> str:
    most = f" ({_3(entry['attainable'], 2)})" if entry["attainable"] < 0.995 else ""
    return _3(entry["value"], 2) + most


def _3(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
