"""Draws panels as Grafana lays them out: titles, units, legends and lines from answers of a real Prometheus."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

MOST_LINES = 8
DARK, PAPER, INK, FAINT = "#111217", "#181b1f", "#ccccdc", "#2c3235"
COLOURS = ("#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#f2495c", "#b877d9", "#8ab8ff", "#ffa6b0")

UNITS: dict[str, Callable[[float], str]] = {
    "reqps": lambda value: f"{value:g} req/s",
    "ops": lambda value: f"{value:g}/s",
    "s": lambda value: f"{1e3 * value:.3g} ms",
    "percentunit": lambda value: f"{100 * value:.3g} %",
    "bytes": lambda value: f"{value / 2**20:.0f} MiB",
    "short": lambda value: f"{value:g}",
}


@dataclass(frozen=True)
class Line:
    """One series: its legend, seconds since the beginning, values."""

    name: str
    seconds: list[float]
    values: list[float]


@dataclass(frozen=True)
class Drawn:
    """A panel of the dashboard and its lines."""

    panel: dict[str, Any]
    lines: list[Line]


def legend(template: str, labels: dict[str, str]) -> str:
    """``{{label}}`` filled in."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), template)


def draw(panels: Sequence[Drawn], out: Path, title: str) -> None:
    """All panels in their places on the grid, as one file; its ending says which format."""
    columns = max(one.panel["gridPos"]["x"] // one.panel["gridPos"]["w"] for one in panels) + 1
    rows = max(one.panel["gridPos"]["y"] // one.panel["gridPos"]["h"] for one in panels) + 1
    figure = Figure(figsize=(6.2 * columns, 3.5 * rows), facecolor=DARK)
    figure.suptitle(title, color=INK, fontsize=13, x=0.012, y=1 - 0.12 / rows, ha="left")
    axes = figure.subplots(rows, columns, squeeze=False)
    for row in axes:
        for place in row:
            place.set_visible(False)
    for one in panels:
        position = one.panel["gridPos"]
        place = axes[position["y"] // position["h"]][position["x"] // position["w"]]
        place.set_visible(True)
        _panel(place, one)
    figure.subplots_adjust(left=0.045, right=0.99, top=1 - 0.42 / rows, bottom=0.32 / rows, wspace=0.2, hspace=0.72)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=72, facecolor=DARK)


def _panel(place: Axes, one: Drawn) -> None:
    unit = UNITS[one.panel["fieldConfig"]["defaults"]["unit"]]
    place.set_facecolor(PAPER)
    place.set_title(one.panel["title"], color=INK, fontsize=11, loc="left", fontweight="bold")
    lines = sorted(one.lines, key=lambda line: -max(line.values, default=0.0))
    for number, line in enumerate(lines[:MOST_LINES]):
        colour = COLOURS[number % len(COLOURS)]
        place.plot(line.seconds, line.values, color=colour, linewidth=1.4, label=line.name[:44])
    if not lines:
        place.text(0.5, 0.5, "No data", color=INK, ha="center", va="center", transform=place.transAxes)
    else:
        if len(lines) > MOST_LINES:
            place.set_title(f"the highest {MOST_LINES} of {len(lines)}", color=INK, fontsize=8, loc="right")
        place.legend(
            loc="upper left", bbox_to_anchor=(-0.02, -0.13), ncols=2, fontsize=7.5, frameon=False, labelcolor=INK,
            handlelength=1.2, columnspacing=1.0,
        )  # fmt: skip
    place.set_ylim(bottom=0)
    place.yaxis.set_major_formatter(FuncFormatter(lambda value, _: unit(value)))
    place.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} s"))
    place.yaxis.set_major_locator(MaxNLocator(4))
    place.tick_params(colors=INK, labelsize=8, length=0)
    place.grid(color=FAINT, linewidth=0.6)
    for edge in place.spines.values():
        edge.set_color(FAINT)
