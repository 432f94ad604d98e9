"""One figure for all methods: NDCG kept on the way to the target, a row per recommender, a column per direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from offline.evaluate.frontier import PROGRESS, kept_along
from offline.evaluate.methods import METHODS

WAYS = {"suppress": "Suppress to 10 % of the share", "promote": "Promote to half of the list"}
STYLES: dict[str, tuple[str, str, float]] = {
    "oracle": ("#111111", "--", 1.6),
    "item": ("#0072b2", "-", 2.6),
    "item_label": ("#56b4e9", "-", 1.4),
    "item_audience": ("#009e73", "-", 2.2),
    "item_decoded": ("#009e73", "--", 1.6),
    "item_logistic": ("#009e73", ":", 1.4),
    "item_probe": ("#7f7f7f", "-", 1.4),
    "item_latent": ("#b39ddb", "-", 1.2),
    "query": ("#d55e00", "-", 2.2),
    "query_latent": ("#e69f00", "-", 1.4),
    "query_probe": ("#7f7f7f", "--", 1.2),
    "query_users": ("#7f7f7f", ":", 1.2),
    "query_centroid": ("#bdbdbd", "--", 1.2),
    "query_dimension": ("#c49c94", "-.", 1.2),
    "query_random_latent": ("#c49c94", "--", 1.2),
    "query_random": ("#c49c94", ":", 1.2),
    "papers": ("#cc79a7", "-", 2.2),
}


def draw(groups: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]], target: Path) -> None:
    """``target``.png and .svg; means over the concepts (and seeds) that reach the target, where half do."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none",
                         "svg.hashsalt": "tiller"}):  # fmt: skip
        figure = Figure(figsize=(10, 3.3 * len(groups) + 1.0), layout="constrained")
        axes = figure.subplots(len(groups), 2, squeeze=False)
        for line, ((dataset, recommender), units) in enumerate(groups.items()):
            for column, (direction, title) in enumerate(WAYS.items()):
                axis = axes[line, column]
                _panel(axis, [row for unit in units for row in unit["rows"] if row["direction"] == direction])
                axis.set_title(f"{dataset}, {recommender}: {title}", loc="left", fontsize=10)
        for axis in axes[-1]:
            axis.set_xlabel("part of the way from the unsteered share to the target")
        handles: dict[str, Any] = {}
        for axis in axes.ravel():
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, frameon=False)
        for suffix in (".png", ".svg"):
            figure.savefig(target.with_suffix(suffix), dpi=130, metadata={"Date": None} if suffix == ".svg" else None)


def _panel(axis: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    for method, (colour, line, width) in STYLES.items():
        own = [row for row in rows if row["method"] == method]
        kept = _mean_curve(method, own)
        if kept is not None:
            label = "oracle" if method == "oracle" else METHODS[method]
            axis.plot(PROGRESS, kept, color=colour, linestyle=line, linewidth=width, label=label)
    axis.set_ylabel("NDCG kept")
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    axis.xaxis.set_major_formatter(PercentFormatter(1.0))
    axis.set_ylim(bottom=max(0.4, axis.get_ylim()[0]))
    axis.grid(linewidth=0.4)


def _mean_curve(method: str, rows: Sequence[Mapping[str, Any]]) -> Any:
    if method == "oracle":
        ends = [row["ndcg_kept"] for row in rows if row["ndcg_kept"] is not None]
        return 1 + (np.mean(ends) - 1) * PROGRESS if ends else None
    # Of one set of concepts throughout: a mean over a changing set would jump where one drops out.
    there = [row for row in rows if row["reached"]]
    curves = [curve for row in there if (curve := kept_along(row)) is not None and np.isfinite(curve).all()]
    return np.mean(curves, 0) if curves and len(curves) >= len(rows) / 2 else None
