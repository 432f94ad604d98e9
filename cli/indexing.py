"""`tiller bundle index`: another index for a bundle, measured on the served path before anything is written."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from cli.console import make_console

if TYPE_CHECKING:
    from bundle import Bundle, IndexEntry, IndexKind, IndexParams


def index(  # noqa: PLR0917 - options, each by its name
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Bundle folder.")],
    kind: Annotated[str, typer.Option(help="flat, hnsw, hnsw-sq8, ivf, ivf-sq8 or ivf-pq.")],
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Instead of the default; may be repeated.")
    ] = None,
    gate: Annotated[float, typer.Option(min=0, max=1, help="Recall that every kind of query must reach.")] = 0.95,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the new bundle.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace what is at --out; without it, DIR.")] = False,
    queries: Annotated[int, typer.Option(min=1, help="Requests measured per kind of query.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of the centroids and of the choice of requests.")] = 0,
) -> None:
    """Give a bundle another search index, and refuse to where it finds too little.

    Measures recall@10 and @100 against exact search on the served path: unsteered, steered at full strength on both
    channels, and under filters that let 50 %, 10 % and 1 % pass. Prints it, writes it into the new bundle's manifest.
    Where a network scores, the index is over proxies made here, and the network ranks its --param rescored candidates.

    Example: tiller bundle index bundles/demo --kind hnsw --param ef_search=256 --out bundles/demo-hnsw
    """
    from bundle import IndexKind, beside, load_bundle, refuse_occupied, write_reindexed
    from cli.refuse import UsageRefused

    if kind not in get_args(IndexKind):
        raise UsageRefused("--kind", found=repr(kind), expected=", ".join(get_args(IndexKind)))
    if out is None and not replace:
        raise UsageRefused("where to write the new bundle", hint="Name a folder with --out, or replace DIR: --replace.")
    target = out or folder
    bundle = load_bundle(folder)
    refuse_occupied(target, replace=replace)
    bundle = _proxied(bundle, seed)
    chosen: IndexKind = kind  # type: ignore[assignment]
    with beside(target, "index") as workshop:
        file = workshop / "index.faiss"
        entry = _make(bundle, chosen, _given(param or ()), file, gate=gate, queries=queries, seed=seed)
        manifest = write_reindexed(
            bundle, target, lambda path: _copy(file, path), entry, proxy=bundle.contents.proxy, replace=replace
        )
    typer.echo(f"{target}: bundle {manifest.bundle_id}, {kind} index ({_told(entry.params)})")


def _proxied(bundle: Bundle, seed: int) -> Bundle:
    """The same, with new proxies where a network scores."""
    if bundle.manifest.scorer == "metric":
        return bundle
    from dataclasses import replace

    from offline.proxy import proxy_of

    return replace(bundle, contents=replace(bundle.contents, proxy=proxy_of(bundle.contents, seed=seed)))


def _make(
    bundle: Bundle, kind: IndexKind, given: dict[str, int], file: Path, *, gate: float, queries: int, seed: int
) -> IndexEntry:
    """Build the index into ``file``, measure it, print what was found.

    Raises:
        UsageRefused: under the gate, with what to raise.
    """
    import faiss
    from rich.console import Console

    from bundle import IndexEntry
    from cli.index_advice import advise
    from cli.index_recall import Comparison
    from cli.refuse import UsageRefused
    from offline.index import build_index, make_params, write_index
    from offline.progress import make_progress
    from offline.proxy import CANDIDATES

    network = bundle.contents.proxy is not None
    items, dim = bundle.contents.index_vectors.shape
    rescored = min(given.pop("rescored", CANDIDATES[0]), items) if network else 0
    attempts = [make_params(kind, given, items, dim)]
    if kind.startswith("hnsw") and "euclidean" not in given:
        attempts.append(make_params(kind, {**given, "euclidean": 1}, items, dim))
    progress = make_progress(Console(stderr=True))

    def step(done: int, of: int) -> None:
        progress.step(done, of, {})

    def attempt(params: IndexParams) -> tuple[IndexEntry, Comparison | None]:
        entry = IndexEntry.model_construct(  # not valid before it is measured
            kind=kind, params=params.model_dump(), faiss_version=faiss.__version__, seed=seed, gate=gate,
            asked_as="users", recall=(), rescored=rescored,
        )  # fmt: skip
        progress.stage(f"building the {kind} index" + (f" ({_told(entry.params)})" if entry.params else ""))
        write_index(build_index(bundle.contents, kind, params, seed=seed, step=step), file)
        if kind == "flat" and not network:
            return IndexEntry.model_validate(entry.model_dump()), None
        comparison = Comparison(bundle, faiss.read_index(str(file)), count=queries, seed=seed, rescored=rescored)
        progress.stage(f"asking {queries} requests of each kind")
        measured = {"recall": comparison.ask(params, step), "asked_as": comparison.whose}
        return IndexEntry.model_validate(entry.model_dump() | measured), comparison

    try:
        entry, comparison = attempt(attempts[0])
        for params in attempts[1:]:
            if not entry.passed:  # which edges find more depends on the catalogue
                other, compared = attempt(params)
                if _lowest(other) > _lowest(entry):
                    entry, comparison = other, compared
        if not entry.passed and comparison is not None:
            failed = [row.query for row in entry.recall if row.lowest < gate]
            advice = f"Raise --param rescored={2 * rescored}, the candidates that the network ranks."
            if kind != "flat":
                progress.stage("under the gate: looking for what helps")
                raised = advise(kind, entry.settings, gate, items, lambda more: comparison.ask(more, step, failed))
                advice = f"{raised} {advice}" if network else raised
    finally:
        progress.close()
    _print(entry)
    worst = entry.worst
    if worst is not None and not entry.passed:
        raise UsageRefused(
            f"{kind} index ({worst.query}): recall {worst.lowest:.3f} is under the gate, nothing was written",
            expected=f"{gate:g} or more", hint=advice,
        )  # fmt: skip
    return entry


def _lowest(entry: IndexEntry) -> float:
    return entry.worst.lowest if entry.worst is not None else 1.0


def _print(entry: IndexEntry) -> None:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2), pad_edge=False)
    table.add_column("query")
    for heading in ("recall@10", "recall@100", "ms", "flat ms"):
        table.add_column(heading, justify="right")
    for row in entry.recall:
        low = " <" if row.lowest < entry.gate else ""
        table.add_row(
            row.query + low, f"{row.recall_at_10:.3f}", f"{row.recall_at_100:.3f}", f"{row.milliseconds:.2f}",
            f"{row.flat_milliseconds:.2f}",
        )  # fmt: skip
    make_console().print(table)
    if entry.asked_as == "items":
        typer.echo("This bundle stores no users, so items asked; real users lie elsewhere and may find less.")


def _given(texts: Sequence[str]) -> dict[str, int]:
    from cli.refuse import UsageRefused

    given: dict[str, int] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not name or not value.isascii() or not value.isdigit():
            raise UsageRefused("--param", found=repr(text), expected="NAME=VALUE with a whole number, as ef_search=256")
        given[name] = int(value)
    return given


def _told(params: dict[str, int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in params.items())


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
