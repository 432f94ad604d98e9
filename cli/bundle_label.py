"""`tiller bundle label`: names, thresholds and concepts of one's own, put into a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import make_console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundle import Concept


def label(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Bundle folder.")],
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="YAML file: concept id, and what is given to it.")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the new bundle.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace what is at --out; without it, DIR.")] = False,
) -> None:
    """Give a bundle names, thresholds and concepts of your own, which `tiller bundle align` carries to the next one.

    A concept of your own is a list of items or a latent. Items have a read-out fitted to them, measured on items it was
    not fitted on, and refused where the codes do not know them, as a concept of the metadata is.

    Example: tiller bundle label bundles/demo labels.yaml --out bundles/named
    """
    from bundle import concept_files, load_bundle, refuse_occupied, write_with
    from cli.refuse import UsageRefused
    from offline.align.labels import put_labels, read_labels

    if out is None and not replace:
        raise UsageRefused("where to write the new bundle", hint="Name a folder: --out; or replace DIR: --replace.")
    target = out or folder
    refuse_occupied(target, replace=replace)
    given = read_labels(labels)
    bundle = load_bundle(folder)
    labelled = put_labels(bundle, given)
    manifest = write_with(
        bundle,
        target,
        concept_files(labelled.concepts, labelled.arrays),
        fields={"dims": bundle.manifest.dims.model_copy(update={"concepts": len(labelled.arrays.gains)})},
        provenance={"labelled": {"from": bundle.manifest.bundle_id, "labels": given.model_dump(exclude_none=True)}},
        replace=replace,
    )
    _print(labelled.touched)
    typer.echo(f"{target}: bundle {manifest.bundle_id}")


def _print(concepts: Sequence[Concept]) -> None:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in ("concept", "called", "read-out"):
        table.add_column(name, no_wrap=True)
    for name in ("items", "threshold", "AUC", "precision", "recall"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("by hand")
    for concept in concepts:
        quality = concept.quality
        figures = ("-",) * 3 if quality is None else (quality.auc, quality.precision, quality.recall)
        table.add_row(
            concept.id, concept.display_name, concept.readout, f"{concept.items:,}", f"{concept.threshold or 0:.2f}",
            *(value if isinstance(value, str) else f"{value:.2f}" for value in figures), ", ".join(concept.by_hand),
        )  # fmt: skip
    make_console().print(table)
