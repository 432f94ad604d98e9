"""`tiller demo`: the main job from end to end, on a catalogue whose truth is known or on a public data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_OUT = Path("bundles/demo")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    *,
    dataset: Annotated[str, typer.Option(metavar="NAME", help="synthetic, ml-1m, ml-100k or lastfm.")] = "synthetic",
    data: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Its archive or folder; left out: downloaded.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the bundle goes; an earlier one is replaced.")] = (
        DEFAULT_OUT
    ),
    seed: Annotated[int, typer.Option(min=0, help="Of data, training and the choice of users.")] = 0,
    items: Annotated[int | None, typer.Option(min=300, help="Items of the synthetic catalogue; unset: 5000.")] = None,
    users: Annotated[int | None, typer.Option(min=20, help="Users of the synthetic catalogue; unset: 20000.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of the SAE's first stage, half as many of its second; unset: 1500.")
    ] = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the table of lists as SVG.")] = None,
) -> None:
    """The main job end to end: data, training, concepts, bundle, server, and a user's lists side by side.

    Takes a minute or two on 2 cores. Leaves a bundle to go on with, and stops the server it started.

    Example: tiller demo --dataset ml-1m --data ml-1m.zip
    """
    from cli.demo_run import DemoPlan, run_demo

    run_demo(DemoPlan(dataset, data, out, seed, items, users, steps, svg))
