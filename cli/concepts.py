"""`tiller concepts list`, `show` and `search`: what can be steered, from a bundle or from a running server."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import concept_saving

if TYPE_CHECKING:
    from rich.table import Table

    from bundle import Steered
    from cli.concept_source import ConceptSource
    from client import Concept, CustomConcept

app = typer.Typer(help="What can be steered, and how well it was found.", no_args_is_help=True, rich_markup_mode=None)

DEFAULT_BUNDLE = Path("bundles/demo")

BundleOption = Annotated[
    Path | None, typer.Option("--bundle", metavar="DIR", help=f"Read this bundle; without --server: {DEFAULT_BUNDLE}.")
]
ServerOption = Annotated[str | None, typer.Option("--server", metavar="HOST:PORT", help="Ask this server instead.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(name="list")
def list_(
    bundle: BundleOption = None,
    server: ServerOption = None,
    family: Annotated[str, typer.Option(help="Only this family: genre, year, ..., latent.")] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that were looked for and not found, with the reason.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Every concept with its size and how well its read-out finds the members.

    Example: tiller concepts list --bundle bundles/demo --family genre
    """
    _show_many(_source(bundle, server).find(family=family, words="", everything=everything), as_json)


@app.command()
def search(
    words: Annotated[str, typer.Argument(help="Words to look for in names and in titles of the strongest items.")],
    bundle: BundleOption = None,
    server: ServerOption = None,
    family: Annotated[str, typer.Option(help="Only this family; 'latent' searches the latents.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Concepts whose name, or whose strongest items' titles, contain the words.

    Example: tiller concepts search "saddle" --bundle bundles/demo
    """
    _show_many(_source(bundle, server).find(family=family, words=words, everything=False), as_json)


@app.command()
def show(
    concept: Annotated[str, typer.Argument(help="genre:horror, or latent:113.")],
    bundle: BundleOption = None,
    server: ServerOption = None,
    top: Annotated[int, typer.Option(min=1, max=100, help="How many of the strongest items.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """One concept or latent: quality, the latents that make it, its strongest items.

    Example: tiller concepts show genre:horror --bundle bundles/demo
    """
    source = _source(bundle, server)
    view = source.get(concept, top)
    if as_json:
        typer.echo(json.dumps(asdict(view), ensure_ascii=False, indent=1))
    else:
        _print_one(view, source.steered(concept))


concept_saving.register(app)


def _source(bundle: Path | None, server: str | None) -> ConceptSource:
    from cli.concept_source import BundleConcepts, ServerConcepts

    if server is None:
        return BundleConcepts(bundle or DEFAULT_BUNDLE)
    if bundle is not None:
        from cli.refuse import UsageRefused

        raise UsageRefused("--bundle and --server", found="both", expected="one of them")
    return ServerConcepts(server)


def _show_many(views: list[Concept], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([asdict(view) for view in views], ensure_ascii=False, indent=1))
        return
    if not views:
        typer.echo("no concept matches; `tiller concepts list` shows all of them")
        return
    from cli.console import make_console

    make_console().print(_table(views))


def _table(views: list[Concept]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2), pad_edge=False)
    table.add_column("concept", no_wrap=True)
    for heading in ("items", "AUC", "precision", "recall", "purity@10", "attainable"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("read-out")
    for view in views:
        if view.quality is None:
            said = "" if view.offered else f"not offered: {view.not_offered_reason}"
            said = _made_of(view.definition) if view.definition is not None and view.offered else said
            table.add_row(view.id, f"{view.items:,}", "", "", "", "", "", said)
            continue
        found = view.quality
        ten = next((entry for entry in found.purity if entry.k == 10), None)
        purity = (f"{ten.value:.2f}", f"{ten.attainable:.2f}") if ten else ("", "")
        table.add_row(
            view.id, f"{view.items:,}", f"{found.auc:.3f}", f"{found.precision:.2f}", f"{found.recall:.2f}",
            *purity, found.readout,
        )  # fmt: skip
    return table


def _print_one(view: Concept, steered: Steered | None) -> None:
    from rich.table import Table

    from cli.console import make_console

    console = make_console()
    console.print(_facts(view, steered))
    if not view.top_items:
        return
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    table.add_column("strongest items", no_wrap=True, overflow="ellipsis")
    table.add_column("id", no_wrap=True)
    table.add_column("read-out", justify="right")
    table.add_column("label")
    for item in view.top_items:
        table.add_row(item.title, item.item_id, f"{item.value:.2f}", "yes" if item.labelled else "")
    console.print()
    console.print(table)


def _made_of(custom: CustomConcept) -> str:
    if custom.concepts:
        weighted = sorted(custom.concepts.items(), key=lambda part: -part[1])
        return " + ".join(f"{weight:g} {concept}" for concept, weight in weighted)
    sides = {"like": custom.like, "unlike": custom.unlike, "items": custom.items}
    return "; ".join(f"{word} {', '.join(ids)}" for word, ids in sides.items() if ids)


def _facts(view: Concept, steered: Steered | None) -> Table:
    from rich.table import Table

    of_latent = view.family == "latent"
    facts = Table.grid(padding=(0, 2))
    facts.add_row("concept", f"{view.id}  {view.display_name}")
    counted = "activate it" if of_latent else "are members" if view.kind == "custom" else "carry the label"
    facts.add_row("items", f"{view.items:,} {counted}")
    if not view.offered:
        facts.add_row("not offered", view.not_offered_reason)
    if view.definition is not None:
        facts.add_row("made of", _made_of(view.definition))
        facts.add_row("stands in", f"{view.definition.file}:{view.definition.line}")
    if view.quality is not None:
        found = view.quality
        facts.add_row("found", f"AUC {found.auc:.3f}; precision {found.precision:.2f} and recall {found.recall:.2f} "
                               f"at the threshold (chance: {found.base_rate:.3f})")  # fmt: skip
        facts.add_row("read-out", found.readout)
        purity = "  ".join(f"@{entry.k} {entry.value:.2f} of {entry.attainable:.2f}" for entry in found.purity)
        facts.add_row("purity", purity or "-")
    if steered is not None:
        left = "-" if steered.left_1 is None else f"{steered.left_1:.0%} of its share"
        reached = "-" if steered.reached_1 is None else f"{steered.reached_1:.0%} of the list"
        facts.add_row("channel", f"{steered.channel} (measured on {steered.users:,} users)")
        facts.add_row("reach", f"demote 1 leaves {left}; promote 1 brings it to {reached}")
        if steered.poor:
            facts.add_row("WARNING", f"poor reach: {steered.poor}")
    if view.latents and not of_latent:
        facts.add_row("latents", "  ".join(f"{latent} ({weight:+.2f})" for latent, weight in view.latents[:8]))
    return facts
