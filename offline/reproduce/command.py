"""The command behind ``tiller reproduce``: options to a configuration, progress, and what was found in the end."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.table import Table

from bundle.errors import TrainingError
from offline.reproduce import bars
from offline.reproduce.config import Paper, ReproduceConfig
from offline.reproduce.run import reproduce
from offline.reproduce.ui import make_ui

PAPERS: tuple[Paper, ...] = get_args(Paper)


def execute(
    paper: str,
    *,
    fast: bool,
    ours: bool,
    seeds: str | None,
    device: str,
    data: Path | None,
    out: Path | None,
    command: str,
) -> None:
    """Run it, and print where the results lie and how they compare.

    Raises:
        TrainingError: no such paper, or seeds that are none; DataError: an archive is missing.
    """
    chosen = next((name for name in PAPERS if name == paper), None)
    if chosen is None:
        raise TrainingError("paper", found=repr(paper), expected=f"one of {', '.join(PAPERS)}")
    folder = out or Path("runs") / (f"{paper}-fast" if fast else paper)
    config = ReproduceConfig(
        paper=chosen,
        out=folder,
        fast=fast,
        ours=ours,
        seeds=parse_seeds(seeds),
        device=device,
        data=data,
        command=command,
    )
    document = reproduce(config, make_ui(Console(stderr=True)))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=140)
    table = Table(box=None, pad_edge=False)
    for head in ("on", "figure", "published", "bar", "ours", ""):
        table.add_column(head, justify="right" if head == "ours" else "left")
    for row in document["bars"]:
        value = "-" if row["ours"] is None else f"{row['ours']:.1%}" if row["percent"] else f"{row['ours']:.3f}"
        said = "not measured" if row["reached"] is None else "reached" if row["reached"] else "not reached"
        table.add_row(row["on"], row["metric"], row["published"] or "-", row["bar"], value, said)
    console.print(table)
    hit, known = bars.reached(document["bars"])
    console.print(f"\n{hit} of {known} bars reached. {folder}/evaluation.html, evaluation.json, figures/")


def parse_seeds(text: str | None) -> tuple[int, ...]:
    """``"0,1,2"`` to (0, 1, 2); nothing to ().

    Raises:
        TrainingError: something else, or a seed twice.
    """
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts) or len(set(parts)) != len(parts):
        raise TrainingError("--seeds", found=repr(text), expected="whole numbers with commas, each once, like 0,1,2")
    return tuple(int(part) for part in parts)
