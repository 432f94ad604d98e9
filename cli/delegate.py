"""`tiller train` and `tiller serve`: the same programs as `python -m offline.train_sae` and `python -m server`.

Arguments are handed on untouched, ``--help`` too, so that the two ways can never differ.
"""

from __future__ import annotations

import typer

UNTOUCHED = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command(context_settings=UNTOUCHED)(train)
    app.command(context_settings=UNTOUCHED)(serve)


def train(context: typer.Context) -> None:
    """Train the SAE on your embeddings and export a bundle (needs the train extra).

    Example: tiller train --items items.parquet --users users.parquet --out bundles/mine
    """


def serve(context: typer.Context) -> None:
    """Serve a bundle over gRPC.

    Example: tiller serve --bundle bundles/demo --port 50051
    """
