"""The frontier of docs/decisions/008 as a figure: purity against fidelity, from the page's own table.

    python benchmarks/sae_frontier.py docs/decisions/008-sae-forms-and-defaults.md docs/images/sae-frontier.svg

Every row of the table whose header starts with ``| point |`` is a point: x is the first number of ``RBO both / users``,
y the mean of the three purities on all items. What no other point beats in both is joined.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from offline.search.figure import BLUE, GREY, ORANGE, STYLE


class Point(NamedTuple):
    """A row of the table."""

    name: str
    rbo: float
    purity: float


def read_points(page: str) -> list[Point]:
    """Points of the first table that has the columns."""
    lines = page.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| point |"))
    header = [cell.strip() for cell in lines[start].strip("|").split("|")]
    rbo = next(i for i, cell in enumerate(header) if cell.startswith("RBO"))
    purity = next(i for i, cell in enumerate(header) if cell.startswith("purity"))
    points = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        numbers = [float(text) for text in re.findall(r"\d*\.\d+", cells[purity])][:3]
        first = re.search(r"\d*\.\d+", cells[rbo])
        assert first is not None
        points.append(Point(cells[0].replace("*", ""), float(first[0]), sum(numbers) / len(numbers)))
    return points


def best(points: list[Point]) -> list[Point]:
    """What no other point beats in both, by ascending fidelity."""
    kept = [p for p in points if not any(q != p and q.rbo >= p.rbo and q.purity >= p.purity for q in points)]
    return sorted(kept, key=lambda point: point.rbo)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("figure", type=Path)
    options = parser.parse_args()
    points = read_points(options.page.read_text())
    front = best(points)
    with mpl.rc_context(STYLE):
        drawing = Figure(figsize=(7.6, 4.2), layout="constrained")
        axes = drawing.subplots()
        axes.plot([point.rbo for point in front], [point.purity for point in front], color=BLUE, lw=1.5, zorder=1)
        for point in points:
            here = point.name == "default"
            colour = ORANGE if here else BLUE if point in front else GREY
            axes.scatter([point.rbo], [point.purity], s=70 if here else 30, color=colour, marker="D" if here else "o")
            right = point.rbo > sum(p.rbo for p in points) / len(points)
            axes.annotate(
                point.name,
                (point.rbo, point.purity),
                textcoords="offset points",
                xytext=(9, 5) if here or not right else (-7, -12),
                ha="left" if here or not right else "right",
                fontsize=8.5,
            )
        axes.axvline(0.75, color=GREY, lw=0.8, ls="--")
        axes.margins(0.12)
        axes.set(xlabel="fidelity: RBO, both towers reconstructed (bar .75)", ylabel="purity, mean of @10, @20, @50")
        options.figure.parent.mkdir(parents=True, exist_ok=True)
        drawing.savefig(options.figure, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
