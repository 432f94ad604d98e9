"""`tiller bench`: options, and what happens in which order."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.bench.result import Bar, Catalogue, Machine, Options, Result
    from offline.progress import Progress

SIZES = (4_000, 100_000, 1_000_000)
QUICK_SIZES = (4_000, 100_000)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)


def bench(  # noqa: PLR0917 - options, each by its name
    items: Annotated[
        list[int] | None,
        typer.Option("--items", help="Size of a made catalogue; again for more. Default 4000, 100000 and 1000000."),
    ] = None,
    bundle: Annotated[
        list[Path] | None, typer.Option("--bundle", help="A bundle of yours in their place; again for more.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for bench.json, bench.md, bench.svg and bench.png.")
    ] = Path("runs/bench"),
    compare: Annotated[
        Path | None, typer.Option("--compare", help="bench.json of an earlier run: say what changed beyond noise.")
    ] = None,
    gate: Annotated[bool, typer.Option("--gate", help="Exit 1 if a bar is missed or something became worse.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="About a minute: 4,000 and 100,000 items, 3 short rounds.")
    ] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Server processes sharing the port.")] = 1,
    rounds: Annotated[int | None, typer.Option("--rounds", min=2, help="Rounds of throughput. Default 5.")] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.05, help="Of each measurement of throughput. Default 1.")
    ] = None,
    latency_seconds: Annotated[
        float | None, typer.Option("--latency-seconds", min=0.05, help="Of each measurement of latency. Default 2.")
    ] = None,
    share: Annotated[
        list[float] | None,
        typer.Option("--share", min=0.05, max=0.95, help="Load for latency, as part of a case's own throughput; again "
                     "for more. Default 0.5 and 0.7."),
    ] = None,
    k: Annotated[int, typer.Option("--k", min=1, max=500, help="Length of a list.")] = 30,
    batch: Annotated[int, typer.Option("--batch", min=2, max=256, help="Lists in a batch.")] = 32,
    in_flight: Annotated[int, typer.Option("--in-flight", min=1, help="Calls in flight at saturation.")] = 32,
) -> None:  # fmt: skip
    """How many lists a second, and how long does one take? A real server beside an echo service and the bare index.

    Read every figure against its neighbours of the same run: "echo" answers the same messages and does nothing, "bare
    FAISS" searches the same index with no server around it, and what the two allow together, 1 / (1/echo + 1/FAISS),
    is what a server could reach that adds nothing. Calls come from a process of its own: throughput with a fixed
    number of calls in flight, latency with calls that start at times drawn beforehand and are counted from those
    times, so that a stall cannot hide. All cases take turns within a round; medians over rounds.

    Made catalogues need the train extra, are made in seconds (a million items: about half a minute) and kept in
    OUT/catalogues. A whole run takes about eight minutes. Keep the machine quiet meanwhile.

    Example: tiller bench --quick

    Example: tiller bench --bundle bundles/mine --share 0.6 --compare runs/before/bench.json --gate
    """
    from cli.bench import report, result
    from cli.console import make_console
    from cli.refuse import UsageRefused

    if items and bundle:
        raise UsageRefused("--items and --bundle", found="both", expected="one of them")
    earlier = None if compare is None else result.read_result(compare)  # before the work, not after it
    options = result.Options(
        k=k, rounds=rounds or (3 if quick else 5), seconds=seconds or (0.4 if quick else 1.0),
        shares=tuple(share or ((0.5,) if quick else (0.5, 0.7))), latency_rounds=2 if quick else 3,
        latency_seconds=latency_seconds or (0.7 if quick else 2.0), batch=batch, in_flight=in_flight, workers=workers,
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    found = _run(bundle or items or (QUICK_SIZES if quick else SIZES), options, out / "catalogues")
    bars = result.bars(found)
    changes = [] if earlier is None else result.compare(found, earlier)

    console = make_console()
    report.print_result(found, console)
    report.print_bars(bars, console)
    if earlier is not None:
        report.print_changes(changes, console)
    _save(found, bars, out)
    console.print(f"Written: {out}/bench.json, bench.md" + _draw(found, out), soft_wrap=True)
    if gate and (not all(bar.met for bar in bars) or any(change.verdict == "worse" for change in changes)):
        raise typer.Exit(1)


def _run(sources: Sequence[Path | int], options: Options, kept: Path) -> Result:
    """Measure bundles, or made catalogues of a size, one after the other."""
    from rich.console import Console

    from cli.bench.result import Result
    from offline.progress import make_progress

    progress = make_progress(Console(stderr=True))
    try:
        found = tuple(_one(source, options, kept, progress) for source in sources)
    finally:
        progress.close()
    return Result(
        made=datetime.now(UTC).isoformat(timespec="seconds"), machine=_machine(), options=options, catalogues=found
    )


def _one(source: Path | int, options: Options, kept: Path, progress: Progress) -> Catalogue:
    from cli.bench.measure import measure, measurements
    from cli.bench.workload import MOST_RULES, make_cases, make_workload

    name = f"{source:,} items" if isinstance(source, int) else source.name
    if isinstance(source, int):
        from cli.bench.catalogue import kept_catalogue

        progress.stage(f"{name}: making the catalogue")
        source = kept_catalogue(kept, source, MOST_RULES)
    progress.stage(f"{name}: measuring")
    cases = make_cases(options.batch)
    steps = count(1)
    with TemporaryDirectory(prefix="tiller-bench-") as folder:
        work = make_workload(source, cases, options.k)
        total = measurements(len(cases), options)
        return measure(work, cases, options, Path(folder), lambda: progress.step(next(steps), total, {}))


def _machine() -> Machine:
    from bundle import __version__
    from cli.bench.result import Machine

    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(
        cores=cores, cpu=model[1] if model else platform.machine(), python=platform.python_version(), tiller=__version__
    )


def _save(found: Result, bars: Sequence[Bar], out: Path) -> None:
    from rich.console import Console

    from cli.bench import report

    (out / "bench.json").write_text(found.model_dump_json(indent=1) + "\n")
    with (out / "bench.md").open("w") as file:
        page = Console(file=file, width=400, highlight=False, markup=False)
        report.print_result(found, page, markdown=True)
        report.print_bars(bars, page, markdown=True)


def _draw(found: Result, out: Path) -> str:
    if find_spec("matplotlib") is None:
        return "; no picture without matplotlib (pip install 'tiller[train]')."
    from cli.bench.figure import draw

    draw(found, out / "bench")
    return ", bench.svg, bench.png."
