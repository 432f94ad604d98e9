"""The calibration as a picture: what the dial promised against what users it was not found on were shown."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bundle import DialCheck
from bundle.errors import DataError

COLOURS = {"promote": "#1f77b4", "demote": "#d62728"}
FORMATS = (".svg", ".png", ".pdf")


def check_format(path: Path) -> None:
    """Refuse, before any work, a picture that could not be written.

    Raises:
        DataError: the name does not end in .svg, .png or .pdf.
    """
    if path.suffix.lower() not in FORMATS:
        raise DataError("figure", found=path.name, expected=f"a name that ends in {', '.join(FORMATS)}")


def draw_check(check: DialCheck, path: Path, concepts: Collection[str] | None = None) -> None:
    """One panel per channel: a point per concept, list length and strength; on the diagonal the dial is right."""
    channels = check.channels
    drawing = Figure(figsize=(4.9 * len(channels), 4.9), layout="constrained")
    for axes, channel in zip(drawing.subplots(1, len(channels), squeeze=False)[0], channels, strict=True):
        axes.plot((0, 1), (0, 1), color="#999999", linewidth=1, zorder=1)
        for action, colour in COLOURS.items():
            rows = [
                row
                for row in check.rows
                if (row.channel, row.action) == (channel, action) and (concepts is None or row.concept in concepts)
            ]
            axes.scatter(
                [share for row in rows for share in row.dial],
                [share for row in rows for share in row.measured],
                s=11, alpha=0.55, color=colour, linewidths=0, label=action, zorder=2,
            )  # fmt: skip
        axes.set_title(f"{channel} channel: mean error {check.error(channel, concepts):.3f}", loc="left")
        axes.set_xlabel("share of the list that the dial says")
        axes.set_ylabel(f"share measured on {check.users:,} other users")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_aspect("equal")
        axes.legend(frameon=False)
    drawing.savefig(path, dpi=130, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
