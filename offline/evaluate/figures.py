"""Figures of the page as inline SVG: text stays text, and colours are the page's, so they follow light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from offline.evaluate.frontier import PROGRESS, mean_curves

INK, RULE = "#010101", "#020202"
SERIES = ("#030301", "#030302", "#030303", "#030304", "#030305")
"""Stand-ins that ``inline`` replaces by the page's CSS variables."""

VARIABLES = {INK: "var(--ink)", RULE: "var(--rule)", **{colour: f"var(--c{n + 1})" for n, colour in enumerate(SERIES)}}

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tiller",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
}

CHANNELS = {"item": "item channel", "query": "query channel"}


def dose_response(curves: Sequence[dict[str, Any]]) -> str:
    """Share of the concept and NDCG kept against strength, for demotion and promotion, a line per channel."""
    with mpl.rc_context(STYLE):
        ranked = any(curve["ndcg_kept"] is not None for curve in curves)
        drawing = Figure(figsize=(9.2, 5.6 if ranked else 3.0), layout="constrained")
        axes = drawing.subplots(2 if ranked else 1, 2, sharex=True, squeeze=False)
        titles = {"suppress": "Demote: part of the base share that is left", "promote": "Promote: share of the list"}
        for column, (direction, title) in enumerate(titles.items()):
            for curve in (curve for curve in curves if curve["direction"] == direction):
                place = list(CHANNELS).index(curve["channel"])
                look = {"color": SERIES[place], "marker": "os"[place], "label": CHANNELS[curve["channel"]]}
                axes[0, column].plot(curve["strengths"], curve["share"], **look)
                if ranked:
                    axes[1, column].plot(curve["strengths"], curve["ndcg_kept"], **look)
            axes[0, column].set_title(title)
            axes[0, column].set_ylim(0, 1.04)
            axes[0, column].yaxis.set_major_formatter(PercentFormatter(1.0))
            axes[-1, column].set_xlabel("strength")
            if ranked:
                axes[1, column].set_title("NDCG relative to unsteered")
                axes[1, column].yaxis.set_major_formatter(PercentFormatter(1.0))
        if ranked:
            low = min(axes[1, 0].get_ylim()[0], axes[1, 1].get_ylim()[0])
            high = max(axes[1, 0].get_ylim()[1], axes[1, 1].get_ylim()[1], 1.02)
            for axis in axes[1]:
                axis.set_ylim(low, high)
        axes[0, 0].legend(loc="upper right")
        return inline(drawing, "dose")


def costs(means: Sequence[dict[str, Any]], names: dict[str, str]) -> str:
    """NDCG kept against overlap with the oracle's list at equal effect: a point per way to steer."""
    with mpl.rc_context(STYLE):
        drawing = Figure(figsize=(9.2, 3.4), layout="constrained")
        axes = drawing.subplots(1, 2)
        titles = {"suppress": "Suppress to the same share", "promote": "Promote to the same share"}
        for axis, (direction, title) in zip(axes, titles.items(), strict=True):
            for row in (row for row in means if row["direction"] == direction and row["shared_overlap"] is not None):
                place = (list(names).index(row["method"]) - 1) % len(SERIES)
                colour, marker = (INK, "*") if row["method"] == "oracle" else (SERIES[place], "osD^v"[place])
                axis.plot(
                    row["shared_overlap"],
                    row["shared_ndcg_kept"],
                    linestyle="",
                    color=colour,
                    marker=marker,
                    markersize=8,
                    label=names[row["method"]],
                )
            axis.set_title(title)
            axis.set_xlabel("overlap with the oracle's list")
            axis.yaxis.set_major_formatter(PercentFormatter(1.0))
            axis.margins(0.12)
        axes[0].set_ylabel("NDCG kept")
        handles, labels = axes[0].get_legend_handles_labels()
        if handles:
            drawing.legend(handles, labels, loc="outside lower center", ncols=2)
        return inline(drawing, "costs")


def frontier(rows: Sequence[dict[str, Any]], names: dict[str, str]) -> str:
    """NDCG kept on the way from the unsteered share to the target: a line per way to steer, over the same concepts."""
    with mpl.rc_context(STYLE):
        drawing = Figure(figsize=(9.2, 3.6), layout="constrained")
        axes = drawing.subplots(1, 2)
        titles = {"suppress": "Suppress: on the way to the target", "promote": "Promote: on the way to the target"}
        for axis, (direction, title) in zip(axes, titles.items(), strict=True):
            own = [row for row in rows if row["direction"] == direction]
            for place, (method, kept) in enumerate(mean_curves(own).items()):
                oracle = method == "oracle"
                axis.plot(
                    PROGRESS,
                    kept,
                    color=INK if oracle else SERIES[(place - 1) % len(SERIES)],
                    linestyle=(0, (4, 3)) if oracle else "-",
                    label=names[method],
                )
            axis.set_title(title)
            axis.set_xlabel("part of the way")
            axis.xaxis.set_major_formatter(PercentFormatter(1.0))
            axis.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes[0].set_ylabel("NDCG kept")
        handles, labels = axes[0].get_legend_handles_labels()
        if handles:
            drawing.legend(handles, labels, loc="outside lower center", ncols=2)
        return inline(drawing, "frontier")


def training(history: Sequence[dict[str, Any]]) -> str:
    """Loss, explained variance, L0 and dead share over the steps of all stages."""
    panels = (
        ("loss", "loss"),
        ("explained_variance", "explained variance"),
        ("l0", "L0"),
        ("dead_share", "dead share"),
    )
    with mpl.rc_context(STYLE):
        drawing = Figure(figsize=(9.2, 4.2), layout="constrained")
        axes = drawing.subplots(2, 2, sharex=True).ravel()
        steps, ends = _steps(history)
        for axis, (key, title) in zip(axes, panels, strict=True):
            _stages(axis, history, steps, key)
            axis.set_title(title)
            for end in ends[:-1]:
                axis.axvline(end, color=INK, linewidth=0.8, linestyle=":")
            if key == "loss" and all(row.get("loss", 0) > 0 for row in history):
                axis.set_yscale("log")
            if key == "dead_share":
                axis.yaxis.set_major_formatter(PercentFormatter(1.0))
        for axis in axes[2:]:
            axis.set_xlabel("step")
        return inline(drawing, "training")


def _steps(history: Sequence[dict[str, Any]]) -> tuple[list[int], list[int]]:
    """Steps counted on over the stages, and where each stage ends."""
    steps, ends, before = [], [], 0
    for place, row in enumerate(history):
        steps.append(before + int(row["step"]))
        if place + 1 == len(history) or history[place + 1]["stage"] != row["stage"]:
            before = steps[-1]
            ends.append(before)
    return steps, ends


def _stages(axis: Axes, history: Sequence[dict[str, Any]], steps: Sequence[int], key: str) -> None:
    for place, stage in enumerate(dict.fromkeys(row["stage"] for row in history)):
        points = [
            (step, row[key]) for step, row in zip(steps, history, strict=True) if row["stage"] == stage and key in row
        ]
        if points:
            axis.plot(*zip(*points, strict=True), color=SERIES[place % len(SERIES)])


def inline(drawing: Figure, name: str) -> str:
    """The SVG element alone, its ids made unique on the page, its colours the page's."""
    out = io.StringIO()
    drawing.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return embedded(out.getvalue(), name, VARIABLES)


def embedded(svg: str, name: str, variables: Mapping[str, str]) -> str:
    """An SVG file as an element of a page: ids unique by ``name``, colours replaced by the page's ``variables``."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for colour, variable in variables.items():
        svg = svg.replace(colour, variable)
    return svg.replace("<svg ", '<svg role="img" aria-hidden="true" ', 1)
