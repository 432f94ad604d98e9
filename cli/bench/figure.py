"""The picture of a run: per catalogue what a server may at most do here, what it does, and how long it takes."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cli.bench.result import Catalogue, Result
from cli.bench.workload import ECHO, ECHO_BATCH, FAISS, NO_RULE

STYLE: dict[Any, Any] = {"svg.hashsalt": "tiller", "font.size": 9}
COLOURS = {ECHO: "0.75", ECHO_BATCH: "0.75", NO_RULE: "tab:blue", "batch, no rule": "tab:blue"}
MARKERS = "os^D"


def draw(result: Result, stem: Path) -> None:
    """Write ``stem``.svg and ``stem``.png."""
    with mpl.rc_context(STYLE):
        rows = len(result.catalogues)
        figure = Figure(figsize=(11, 0.4 + 3.4 * rows), layout="constrained")
        axes = figure.subplots(rows, 2, squeeze=False)
        for one, (left, right) in zip(result.catalogues, axes, strict=True):
            _throughput(one, left)
            _latency(one, result.options.shares, right)
        figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(stem.with_suffix(".png"), dpi=110)


def _throughput(one: Catalogue, axes: Axes) -> None:
    cases = [case for case in one.throughput if case not in {FAISS, ECHO, ECHO_BATCH}]
    middle = [median(one.throughput[case]) for case in cases]
    low = [m - min(one.throughput[case]) for m, case in zip(middle, cases, strict=True)]
    high = [max(one.throughput[case]) - m for m, case in zip(middle, cases, strict=True)]
    axes.barh(cases, middle, xerr=[low, high], color=[COLOURS.get(case, "tab:orange") for case in cases])
    for place, case in enumerate(cases):
        allowed = median(one.allowed(case))
        label = "what echo + bare FAISS allow" if place == 0 else None
        axes.plot([allowed, allowed], [place - 0.4, place + 0.4], color="k", linewidth=1.5, label=label)
    axes.invert_yaxis()
    axes.set_title(one.name)
    axes.set_xlabel("lists per second; whiskers: slowest and fastest round")
    axes.legend(loc="lower right", fontsize="small")


def _latency(one: Catalogue, shares: tuple[float, ...], axes: Axes) -> None:
    cases = list(one.latency)
    for share, colour in zip(shares, mpl.color_sequences["tab10"], strict=False):
        for quantile, marker in zip(("p50", "p99"), MARKERS, strict=False):
            found = {case: getattr(one.latency[case][f"{share:g}"], quantile) for case in cases}
            known = [case for case in cases if found[case]]
            values = [median(found[case]) for case in known]
            axes.plot(
                values, [cases.index(case) for case in known], marker, color=colour, label=f"{quantile} at {share:.0%}"
            )
    axes.set_yticks(range(len(cases)), cases)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds from the intended start")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize="small")
