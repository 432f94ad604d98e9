"""Figures of the reproductions: as files (PNG and SVG), and in the page with the page's own colours."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from offline.evaluate import figures
from offline.reproduce.store import replace_file

Draw = Callable[[], Figure]

DPI = 160
MARKERS = "osD^v"
DASHES = ("-", "--", "-.", ":")

INK, RULE = "#16202a", "#d9e0e6"
SERIES = ("#0b62a8", "#c8580a", "#2c7d4f", "#8a4f9e", "#6b7680")

VARIABLES = {INK: "var(--ink)", RULE: "var(--rule)", **{colour: f"var(--c{n + 1})" for n, colour in enumerate(SERIES)}}
"""What stands on the page for a colour of the files, so that figures follow light and dark."""


@dataclass(frozen=True)
class Drawing:
    """A figure by name, with what it shows in words; drawn once, as ``NAME.svg`` and ``NAME.png``."""

    name: str
    caption: str
    draw: Draw

    @cached_property
    def files(self) -> dict[str, bytes]:
        """Both files by ending; the same bytes for the same figures."""
        own = {figures.INK: INK, figures.RULE: RULE}
        style = {
            key: own.get(value, value) if isinstance(value, str) else value for key, value in figures.STYLE.items()
        }
        made: dict[str, bytes] = {}
        with mpl.rc_context(style):
            drawing = self.draw()
            FigureCanvasAgg(drawing)
            for kind, options in (("svg", {"metadata": {"Date": None, "Creator": None}}), ("png", {"dpi": DPI})):
                out = io.BytesIO()
                drawing.savefig(out, format=kind, transparent=kind == "svg", facecolor="white", **options)
                made[kind] = out.getvalue()
                drawing.set_layout_engine("none")  # it is laid out, and that takes longest
        return made

    def on_page(self) -> str:
        """Inline SVG in the page's colours."""
        return figures.embedded(self.files["svg"].decode(), self.name, VARIABLES)

    def save(self, folder: Path) -> None:
        """Write both files."""
        for kind, content in self.files.items():
            replace_file(folder / f"{self.name}.{kind}", partial(_write, content))


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def lines(
    panels: Sequence[tuple[str, Sequence[tuple[str, Sequence[float], Sequence[float | None]]]]],
    xlabel: str,
    *,
    columns: int = 2,
    height: float = 2.6,
    levels: Sequence[Sequence[tuple[float, str, int]]] = (),
    categorical: bool = False,
    percent: bool = False,
) -> Figure:
    """Small multiples of lines, one legend below.

    A panel is its title and lines ``(label, x, y)``; a label has one colour throughout. ``levels``: per panel
    horizontal marks ``(y, label, colour)``. ``categorical``: x in equal steps, whatever the numbers.
    """
    rows = -(-len(panels) // columns)
    drawing = Figure(figsize=(4.6 * columns, height * rows + 0.5), layout="constrained")
    axes = drawing.subplots(rows, columns, squeeze=False).ravel()
    labels = list(dict.fromkeys(label for _, content in panels for label, _, _ in content))
    for n, (axis, (title, content)) in enumerate(zip(axes, panels, strict=False)):
        ticks: Sequence[float] = []
        for label, x, y in content:
            place = labels.index(label)
            at = range(len(x)) if categorical else x
            ticks = x if len(x) > len(ticks) else ticks
            axis.plot(
                list(at),
                [float("nan") if value is None else value for value in y],
                color=SERIES[place % len(SERIES)],
                marker=MARKERS[place % len(MARKERS)],
                markersize=4.5,
                linestyle=DASHES[place // len(SERIES) % len(DASHES)],
                label=label,
            )
        for value, label, colour in levels[n] if n < len(levels) else ():
            axis.axhline(value, color=SERIES[colour % len(SERIES)], linestyle=":", linewidth=1.4, label=label)
        if categorical:
            axis.set_xticks(range(len(ticks)), [f"{value:g}" for value in ticks])
        if percent:
            axis.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0))
        axis.set_title(title)
        axis.margins(y=0.12)
    for axis in axes[len(panels) :]:
        axis.remove()
    for axis in axes[max(0, len(panels) - columns) : len(panels)]:
        axis.set_xlabel(xlabel)
    _legend(drawing, axes[: len(panels)])
    return drawing


def paths(
    panels: Sequence[tuple[str, Sequence[tuple[str, Sequence[float], Sequence[float | None]]]]],
    xlabel: str,
    ylabel: str,
    *,
    points: Sequence[tuple[float, float]] = (),
    points_in: Sequence[int] = (),
) -> Figure:
    """Paths through a plane, one per way, and published ``points`` as stars in the panels ``points_in``."""
    drawing = Figure(figsize=(min(4.6 * len(panels), 10.6), 3.5), layout="constrained")
    axes = drawing.subplots(1, len(panels), squeeze=False).ravel()
    labels = list(dict.fromkeys(label for _, content in panels for label, _, _ in content))
    for n, (axis, (title, content)) in enumerate(zip(axes, panels, strict=True)):
        for label, x, y in content:
            place = labels.index(label)
            known = [(a, b) for a, b in zip(x, y, strict=True) if b is not None]
            if known:
                axis.plot(
                    *zip(*known, strict=True),
                    color=SERIES[place % len(SERIES)],
                    marker=MARKERS[place % len(MARKERS)],
                    markersize=4.5,
                    label=label,
                )
        if points and n in points_in:
            axis.plot(*zip(*points, strict=True), linestyle="", marker="*", markersize=11, color=INK, label="published")
        axis.set_title(title)
        axis.set_xlabel(xlabel)
        axis.margins(0.06)
    axes[0].set_ylabel(ylabel)
    _legend(drawing, axes)
    return drawing


def dots(
    names: Sequence[str],
    columns: Sequence[tuple[str, Sequence[Sequence[float | None]]]],
    series: Sequence[str],
    xlabel: str,
) -> Figure:
    """A row per name, a dot per series, a panel per column."""
    drawing = Figure(figsize=(4.6 * len(columns), 0.24 * len(names) + 1.3), layout="constrained")
    axes = drawing.subplots(1, len(columns), squeeze=False, sharey=True).ravel()
    for axis, (title, content) in zip(axes, columns, strict=True):
        for place, (label, values) in enumerate(zip(series, content, strict=True)):
            axis.plot(
                [float("nan") if value is None else value for value in values],
                range(len(names)),
                linestyle="",
                marker="|" if place == len(series) - 1 else MARKERS[place],
                markersize=9 if place == len(series) - 1 else 5,
                color=INK if place == len(series) - 1 else SERIES[place],
                label=label,
            )
        axis.set_yticks(range(len(names)), names)
        axis.set_title(title)
        axis.set_xlabel(xlabel)
    axes[0].invert_yaxis()
    _legend(drawing, axes[:1])
    return drawing


def bars(
    panels: Sequence[tuple[str, Sequence[str], Sequence[float], Sequence[int]]],
    columns: int = 2,
    height: float = 2.4,
    percent: bool = False,
) -> Figure:
    """Bars: per panel title, names, values, and the places that are highlighted."""
    rows = -(-len(panels) // columns)
    drawing = Figure(figsize=(4.6 * columns, height * rows), layout="constrained")
    axes = drawing.subplots(rows, columns, squeeze=False).ravel()
    for axis, (title, names, values, marked) in zip(axes, panels, strict=False):
        colours = [SERIES[1] if place in marked else SERIES[0] for place in range(len(values))]
        axis.bar(range(len(values)), values, color=colours, width=0.8 if len(values) < 40 else 1.0)
        if len(names) <= 24:
            axis.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
        axis.grid(visible=False, axis="x")
        axis.set_title(title)
        if percent:
            axis.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0))
    for axis in axes[len(panels) :]:
        axis.remove()
    return drawing


def scatter(
    panels: Sequence[tuple[str, Sequence[float], Sequence[float]]], edges: Sequence[int], ylabel: str
) -> Figure:
    """Latents by number against a value, with the edges of the levels."""
    drawing = Figure(figsize=(4.6 * len(panels), 3.1), layout="constrained")
    axes = drawing.subplots(1, len(panels), squeeze=False, sharey=True).ravel()
    for place, (axis, (title, x, y)) in enumerate(zip(axes, panels, strict=True)):
        axis.plot(x, y, linestyle="", marker="o", markersize=3, color=SERIES[place])
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0))
        for edge in edges[:-1]:
            axis.axvline(edge - 0.5, color=INK, linewidth=0.9, linestyle=":")
        axis.set_title(title)
        axis.set_xlabel("latent")
    axes[0].set_ylabel(ylabel)
    return drawing


def _legend(drawing: Figure, axes: Any) -> None:
    found: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if len(found) > 1:
        drawing.legend(list(found.values()), list(found), loc="outside lower center", ncols=min(3, len(found)))
