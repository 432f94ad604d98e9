"""`tiller reproduce`: the experiments of two papers, done again from one command."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(reproduce)


def reproduce(
    paper: Annotated[str, typer.Argument(metavar="PAPER", help="arviv2025 or klenitskiy2025.")],
    *,
    fast: Annotated[bool, typer.Option("--fast", help="Laptop-sized: short training, few users and concepts.")] = False,
    ours: Annotated[
        bool,
        typer.Option("--ours", help="arviv2025: Tiller's SAE alone, which the bars ask about; the rest can follow."),
    ] = False,
    seeds: Annotated[
        str | None, typer.Option(metavar="N,N", help="Seeds, with commas; left out: 0,1,2 (0 with --fast).")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the archives; left out: downloaded.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the results; left out: runs/PAPER or runs/PAPER-fast.")
    ] = None,
) -> None:
    """Reproduce a paper beside what it published: evaluation.json, evaluation.html and figures (needs the train extra).

    A killed run goes on where it was when the same command is given again.

    Example: tiller reproduce arviv2025 --fast --data ../shared/data
    """
    from offline.reproduce.command import execute

    typed = shlex.join(["tiller", *sys.argv[1:]])
    execute(paper, fast=fast, ours=ours, seeds=seeds, device=device, data=data, out=out, command=typed)
