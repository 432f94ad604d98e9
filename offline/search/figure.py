"""The frontier as a table and as a figure: purity against fidelity, every trial and the confirmed points."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from offline.search.bench import AT, depths_text, mean_purity, spread

Line = dict[str, Any]
Values = tuple[float, float]
"""Purity and RBO."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tiller",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
}
GREY, BLUE, ORANGE = "#9aa5b1", "#2563a8", "#c2571a"


def by_name(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """Confirmed runs of every point, in order of their first appearance."""
    groups: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        groups[line["name"]].append(line)
    return dict(groups)


def table(lines: Sequence[Line]) -> str:
    """Markdown: a row per confirmed point, means over its seeds, half the range behind the first figure."""
    rows = [
        "| point | seeds | RBO both / users | tau | NDCG kept | purity 10/20/50, all | held out | L0 items | dead "
        "| agree |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, runs in by_name(lines).items():
        mean = {key: float(np.mean([run[key] for run in runs])) for key in runs[0] if isinstance(runs[0][key], float)}
        cells = [
            name,
            str(len(runs)),
            f"{spread([run['rbo_truncated_both'] for run in runs])} / {mean['rbo_truncated_user']:.3f}",
            f"{mean['kendall_tau_both']:.3f}",
            f"{mean['ndcg_kept_both']:.3f}" if "ndcg_kept_both" in mean else "-",
            depths_text(mean, "purity"),
            depths_text(mean, "heldout"),
            f"{mean['l0_items']:.1f}",
            f"{mean['dead_share']:.2%}",
            f"{mean['agreement']:.3f}",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def draw_frontier(
    trials: Sequence[Values],
    front: Sequence[Values],
    lines: Sequence[Line],
    file: Path,
    default: Values | None = None,
) -> None:
    """Write the figure; ``trials``, ``front`` and the ``default`` among them are (purity, RBO) of what decides,
    ``lines`` of what reports.
    """
    with mpl.rc_context(STYLE):
        drawing = Figure(figsize=(9.2, 3.9), layout="constrained")
        left, right = drawing.subplots(1, 2)
        left.scatter([rbo for _, rbo in trials], [purity for purity, _ in trials], s=18, color=GREY, label="trial")
        left.plot(
            [rbo for _, rbo in front], [purity for purity, _ in front], "o-", ms=5, color=BLUE, label="frontier"
        )  # fmt: skip
        if default is not None:
            left.scatter([default[1]], [default[0]], s=52, marker="D", color=ORANGE, label="default", zorder=3)
        left.set(
            title="Trials, on the half that decides", xlabel="RBO, both towers", ylabel="held-out purity / attainable"
        )
        left.legend(loc="lower left", frameon=False)
        for name, runs in by_name(lines).items():
            x = float(np.mean([run["rbo_truncated_both"] for run in runs]))
            y = float(np.mean([mean_purity(run) for run in runs]))
            here = name.startswith("default")
            right.scatter([x], [y], s=46 if here else 26, marker="D" if here else "o", color=ORANGE if here else BLUE)
            right.annotate(name, (x, y), textcoords="offset points", xytext=(5, 5), fontsize=8.5)
        right.margins(0.15)
        right.set(
            title="Trained in full, on the half that reports",
            xlabel="RBO, both towers",
            ylabel=f"held-out purity, mean of {', '.join(map(str, AT))}",
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        drawing.savefig(file, format=file.suffix[1:], metadata={"Date": None} if file.suffix == ".svg" else None)
