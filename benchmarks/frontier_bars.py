"""The steering frontier's bars beside what codes alone reach, in both orders, and what the oracle itself keeps.

The bars are EVALUATION's, set from an experiment on ML-1M in which the oracles kept .981 and .920 of NDCG; where the
oracle of this recommender keeps less, a bar can lie above what perfect labels give, so the oracle stands beside. NDCG
kept has two values: lists in the order of the steered scores (ORDER_STEERED), and the same items in the order of the
base scores (ORDER_BASE of a request); a bar is reached in an order by itself. Overlap does not know an order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BARS: tuple[tuple[str, str, str, float], ...] = (
    ("suppress", "reached", "target reached", 1.0),
    ("suppress", "ndcg_kept", "NDCG kept", 0.98),
    ("suppress", "overlap", "overlap with the hard filter's list", 0.95),
    ("promote", "ndcg_kept", "NDCG kept", 0.92),
    ("promote", "overlap", "overlap with the quota's list", 0.80),
)
"""Direction, figure, its name and the bar: at least so much."""

CODES = {"item_audience": "codes of those who took the item", "item_decoded": "the item's own code"}
ORDERED = {"ndcg_kept": "ndcg_kept_base_order"}

Table = Mapping[tuple[str, str], Mapping[str, Any]]
"""Rows of ``benchmarks.frontier_report.means`` by method and direction."""


def bars(table: Table) -> list[str]:
    """Lines of Markdown; none where no method by codes alone was measured."""
    methods = {method: title for method, title in CODES.items() if (method, "suppress") in table}
    if not methods:
        return []
    heads = [part for title in methods.values() for part in (f"{title}: steered order", "base order")]
    lines = ["", "Codes alone against the bars (+: reached):", ""]
    lines += ["| | bar | " + " | ".join(heads) + " | oracle |", "| --- |" + " --- |" * (len(heads) + 2)]
    for direction, key, name, bar in BARS:
        cells = []
        for method in methods:
            row = table.get((method, direction))
            cells += [_cell(row, key, bar), _cell(row, ORDERED[key], bar) if key in ORDERED else ""]
        oracle = _value(table.get(("oracle", direction)), key)
        given = "–" if oracle is None else f"{oracle:.3f}"
        lines.append(f"| {direction}: {name} | {bar:.2f} | " + " | ".join(cells) + f" | {given} |")
    return lines


def _value(row: Mapping[str, Any] | None, key: str) -> float | None:
    return None if row is None or row.get(key) is None else float(row[key][0])


def _cell(row: Mapping[str, Any] | None, key: str, bar: float) -> str:
    value = _value(row, key)
    return "–" if value is None else f"{value:.3f}" + (" +" if round(value, 3) >= bar else "")
