"""`tiller bundle show` and `verify`; the commands that make or serve another bundle have files of their own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.bundle_align import align
from cli.bundle_label import label
from cli.bundle_serving import register
from cli.bundle_sign import keygen, sign
from cli.bundle_whole import verified
from cli.calibrating import calibrate
from cli.indexing import index

if TYPE_CHECKING:
    from bundle import Bundle, Manifest

app = typer.Typer(help="Look into a bundle, prove it whole, relabel it.", no_args_is_help=True, rich_markup_mode=None)

for command in (index, calibrate, label, align, keygen, sign):
    app.command()(command)
register(app)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Bundle folder.")]


@app.command()
def show(
    folder: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="Print manifest.json instead.")] = False,
) -> None:
    """What a bundle holds: sizes, score, SAE, concepts, how it was made, files.

    Example: tiller bundle show bundles/demo
    """
    from bundle import load_bundle, read_manifest

    if as_json:
        typer.echo(read_manifest(folder).model_dump_json(indent=2))
        return
    _print(load_bundle(folder, verify=False))


@app.command()
def verify(folder: Folder) -> None:
    """Prove a bundle whole: version, every checksum, every shape, and that its index and ONNX graphs load.

    Example: tiller bundle verify bundles/demo
    """
    manifest = verified(folder).manifest
    size = sum(entry.bytes for entry in manifest.files.values())
    typer.echo(f"{folder}: bundle {manifest.bundle_id} is whole: {len(manifest.files)} files, {_bytes(size)}")


def _print(bundle: Bundle) -> None:
    from rich.table import Table

    from cli.console import make_console

    console = make_console()
    manifest, dims = bundle.manifest, bundle.manifest.dims
    facts = Table.grid(padding=(0, 2))
    facts.add_row("bundle", f"{manifest.bundle_id}  {manifest.name}")
    facts.add_row("made", f"{manifest.created} by Tiller {manifest.tiller_version}")
    facts.add_row("recommender", f"{manifest.recommender}, {_score(manifest)}")
    facts.add_row("items", f"{dims.items:,} x {dims.embedding} numbers")
    facts.add_row("users", f"{dims.users:,}" if dims.users else "none stored; requests send the embedding")
    if manifest.history_length:
        facts.add_row("histories", f"the user tower reads the newest {manifest.history_length} items")
    facts.add_row("SAE", f"{dims.latents} latents; items {_activation(manifest, 'item')}, users "
                         f"{_activation(manifest, 'user')}")  # fmt: skip
    facts.add_row("concepts", _families(bundle))
    facts.add_row("made with", ", ".join(f"{key} {value}" for key, value in _plain(manifest.provenance)) or "-")
    console.print(facts)
    files = Table(box=None, padding=(0, 2), pad_edge=False)
    files.add_column("file")
    files.add_column("size", justify="right")
    files.add_column("sha256", style="dim")
    for name, entry in sorted(manifest.files.items()):
        files.add_row(name, _bytes(entry.bytes), entry.sha256[:12])
    console.print()
    console.print(files)


def _score(manifest: Manifest) -> str:
    if manifest.scorer == "network":
        rescored = manifest.index.rescored if manifest.index is not None else 0
        return "score = network, " + (f"over {rescored:,} candidates" if rescored else "over every item")
    if manifest.metric == "cosine":
        return "score = cosine"
    return "score = inner product" + (" + item bias" if manifest.item_bias else "")


def _activation(manifest: Manifest, side: str) -> str:
    spec = manifest.item_activation if side == "item" else manifest.user_activation
    if spec.kind == "topk":
        return f"top {spec.k}"
    return spec.kind if spec.threshold is None else f"{spec.kind} {spec.threshold:.3g}"


def _families(bundle: Bundle) -> str:
    concepts = bundle.contents.concepts.concepts
    offered = Counter(concept.family for concept in concepts if concept.offered)
    parts = ", ".join(f"{family} {count}" for family, count in offered.most_common()) or "none"
    missing = len(concepts) - offered.total()
    return f"{offered.total()} offered ({parts})" + (f"; {missing} looked for and not found" if missing else "")


def _plain(provenance: dict[str, object]) -> list[tuple[str, object]]:
    """The provenance's short values; the rest is in ``--json``."""
    return [(key, value) for key, value in provenance.items() if isinstance(value, str | int | float)]


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size:,} B"
