"""What benchmarks/steering_table.py measured, put together: tables as Markdown, every mean as JSON, one figure.

Means are over the concepts of a unit first, then over the seeds; the spread is the standard deviation over seeds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frontier_bars import bars
from benchmarks.frontier_figure import draw
from offline.evaluate.frontier import areas
from offline.evaluate.methods import DIRECTIONS, METHODS

TITLES = {"oracle": "oracle: hard filter by label; quota re-rank by label", **METHODS}
COLLATERAL = ("off_target", "coverage", "diversity", "popularity_shift")

# The experiment that the design started from: ML-1M, another matrix factorisation (64 dimensions), TopK 16 of 256
# trained in one stage, 18 genres x 3 seeds. Suppression: reached, NDCG kept, overlap; promotion: NDCG kept, overlap.
EARLIER: dict[str, str] = {
    "oracle": "1.00 / .981 / 1; .920 / 1",
    "item_label": "1.00 / .985 / .988; .912 / .77",
    "item_logistic_seen": "1.00 / .977 / .919; .890 / .71",
    "item_logistic_32": ".93 / .971 / .864; .874 / .67",
    "item_probe_seen": "1.00 / .982 / .948; .868 / .65",
    "item_latent": ".19 / (.990) / (.90); .731 / .47",
    "query": "1.00 / .905 / .640; .769 / .52",
    "query_probe": "1.00 / .890 / .705; .849 / .60",
    "query_centroid": "1.00 / .796 / .601; .862 / .55",
    "query_latent": ".91 / .840 / .524; .658 / .39",
    "papers": ".93 / .868 / .39; .697 / .32",
}


def read_units(folder: Path) -> list[dict[str, Any]]:
    """Facts and rows of every unit of the folder, in the order of their names."""
    out = []
    for path in sorted(folder.glob("*.jsonl")):
        facts = json.loads(path.with_suffix(".json").read_text())
        lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
        rows = [row for line in lines for row in line["rows"]]
        seconds = sum(line["seconds"] for line in lines)
        out.append(facts | {"rows": rows, "measured": len(lines), "seconds": round(seconds, 1)})
    return out


def write_report(folder: Path) -> None:
    """frontier.md, frontier.json, frontier.png and frontier.svg of the units that the folder holds."""
    units = read_units(folder)
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for unit in units:
        groups.setdefault((unit["dataset"], unit["recommender"]), []).append(unit)
    tables = {f"{dataset} {recommender}": means(own) for (dataset, recommender), own in groups.items()}
    text = "\n".join(
        part for (dataset, recommender), own in groups.items() for part in section(dataset, recommender, own)
    )
    (folder / "frontier.md").write_text(text + "\n")
    (folder / "frontier.json").write_text(json.dumps(tables, indent=1, allow_nan=False) + "\n")
    if groups:
        draw(groups, folder / "frontier")
    print(text)


def means(units: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per direction and method: every figure as [mean over seeds, standard deviation over seeds]."""
    out = []
    for direction in DIRECTIONS:
        for method in TITLES:
            per_seed = [one for unit in units if (one := _of_unit(unit, direction, method))]
            if not per_seed:
                continue
            figures = {}
            for key in per_seed[0]:
                values = [one[key] for one in per_seed if one[key] is not None]
                figures[key] = [float(np.mean(values)), float(np.std(values))] if values else None
            out.append({"direction": direction, "method": method, "seeds": len(per_seed), **figures})
    return out


def _of_unit(unit: Mapping[str, Any], direction: str, method: str) -> dict[str, float | None]:
    rows = [row for row in unit["rows"] if (row["direction"], row["method"]) == (direction, method)]
    if not rows:
        return {}
    there = [row for row in rows if row["reached"]]
    below = areas([row for row in unit["rows"] if row["direction"] == direction])
    own = [value for (_, _, name), value in below.items() if name == method]
    left = [row["share"] / row["base_share"] for row in rows if row["base_share"] > 0]
    out: dict[str, float | None] = {
        "reached": len(there) / len(rows),
        "left": _mean(left) if direction == "suppress" else _mean(row["share"] for row in rows),
        "area": _mean(own),
    }
    for key in ("ndcg_kept", "ndcg_kept_base_order", "overlap", *COLLATERAL):
        out[key] = _mean(row.get(key) for row in there)
    return out


def section(dataset: str, recommender: str, units: Sequence[Mapping[str, Any]]) -> list[str]:
    """Tables of one data set and recommender."""
    first, table = units[0], {(row["method"], row["direction"]): row for row in means(units)}
    seconds = sum(unit["seconds"] for unit in units)
    seeds = ", ".join(str(unit["seed"]) for unit in units)
    concepts = "/".join(str(unit["measured"]) for unit in units)
    lines = [
        f"### {dataset}, {recommender}: {concepts} concepts, {first['users']:,} users, seeds {seeds}",
        "",
        f"Recommender NDCG@10 {_plain(u['ranking']['ndcg@10'] for u in units)}; SAE {first['latents']} latents; "
        f"{seconds:.0f} s of steering.",
        "",
        "| method | suppress: reached | left | NDCG kept | in base order | overlap | area | off target | "
        "promote: reached | NDCG kept | in base order | overlap | area | off target |",
        "| --- |" + " --- |" * 13,
    ]
    for method, title in TITLES.items():
        down, up = table.get((method, "suppress")), table.get((method, "promote"))
        if down is None and up is None:
            continue
        keys = ("ndcg_kept", "ndcg_kept_base_order", "overlap", "area", "off_target")
        cells = [_cell(down, "reached", 2), _cell(down, "left"), *(_cell(down, key) for key in keys)]
        cells += [_cell(up, "reached", 2), *(_cell(up, key) for key in keys)]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    lines += bars(table) if dataset == "ml-1m" else []
    lines += ["", "Coverage, diversity within a list and popularity shift, at the target:", ""]
    lines += ["| method | " + " | ".join(f"{d}: {k}" for d in DIRECTIONS for k in COLLATERAL[1:]) + " |"]
    lines += ["| --- |" + " --- |" * 6]
    for method, title in TITLES.items():
        cells = [_cell(table.get((method, d)), key) for d in DIRECTIONS for key in COLLATERAL[1:]]
        if any(cell != "–" for cell in cells):
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
    if dataset == "ml-1m" and recommender == "mf":
        lines += ["", "The earlier experiment: suppress reached / NDCG / overlap; promote NDCG / overlap:", ""]
        lines += [f"- {TITLES[name]}: {figures}" for name, figures in EARLIER.items()]
    return [*lines, ""]


def _cell(row: Mapping[str, Any] | None, key: str, digits: int = 3) -> str:
    if row is None or row.get(key) is None:
        return "–"
    mean, spread = row[key]
    return f"{mean:.{digits}f}" + (f" ± {spread:.{digits}f}" if row["seeds"] > 1 else "")


def _plain(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)


def _mean(values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None
