"""`tiller train`, `tiller search`, `tiller serve`: `python -m offline.train_sae`, `offline.search` and `server`.

Arguments are handed on untouched, ``--help`` too, so that the two ways can never differ.
"""

from __future__ import annotations

import os

import typer

UNTOUCHED = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(context_settings=UNTOUCHED)(train)
    app.command(context_settings=UNTOUCHED)(search)
    app.command(context_settings=UNTOUCHED)(serve)


def train(context: typer.Context) -> None:
    """Train the SAE on your embeddings and export a bundle (needs the train extra).

    Example: tiller train --items items.parquet --users users.parquet --out bundles/mine
    """
    from offline.train_sae import main

    raise typer.Exit(main(context.args))


def search(context: typer.Context) -> None:
    """Search the SAE's hyper-parameters: the frontier between purity and fidelity (needs the extras train and search).

    Example: tiller search --data ml-1m.zip --out runs/search --trials 24
    """
    from offline.search.__main__ import main

    raise typer.Exit(main(context.args))


def serve(context: typer.Context) -> None:
    """Serve a bundle over gRPC.

    Example: tiller serve --bundle bundles/demo --port 50051
    """
    # As server.__main__ does: read by OpenMP and BLAS when they are first imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from server.app import main

    raise typer.Exit(main(context.args))
