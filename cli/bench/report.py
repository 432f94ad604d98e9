"""What a person reads of a run: one table per catalogue, the bars, and what changed since another run."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.bench.result import Bar, Catalogue, Change, Latency, Result
from cli.bench.workload import BATCH, ECHO, ECHO_BATCH, FAISS, NO_RULE

VERDICTS = {"worse": "red", "better": "green", "same": ""}


def print_result(result: Result, console: Console, *, markdown: bool = False) -> None:
    """Every catalogue's table."""
    style = box.MARKDOWN if markdown else box.SIMPLE_HEAD
    for one in result.catalogues:
        console.print()
        memory = f"; server {one.server_bytes / 2**20:,.0f} MiB" if one.server_bytes else ""
        console.print(Text(f"{one.name}, k = {result.options.k}{memory}", "bold"))
        console.print()
        console.print(_table(one, result, style))
    console.print()
    console.print(_how(result), soft_wrap=True)


def print_bars(bars: Sequence[Bar], console: Console, *, markdown: bool = False) -> None:
    """Each bar with what was found."""
    table = Table("catalogue", "bar", "found", "bound", "", box=box.MARKDOWN if markdown else box.SIMPLE_HEAD)
    for bar in bars:
        sign = "≥" if bar.least else "≤"
        table.add_row(
            bar.catalogue, bar.what, f"{bar.found:.2f}", f"{sign} {bar.bound:.2f}",
            Text("met" if bar.met else "MISSED", "green" if bar.met else "red"),
        )  # fmt: skip
    if bars:
        console.print()
        console.print(table)


def print_changes(changes: Sequence[Change], console: Console, *, markdown: bool = False) -> None:
    """Cost now over cost then, in units of what echo and FAISS took in either run."""
    table = Table("catalogue", "case", "figure", "now / then", "", box=box.MARKDOWN if markdown else box.SIMPLE_HEAD)
    for change in changes:
        table.add_row(
            change.catalogue, change.case, "time per list" if change.figure == "throughput" else change.figure,
            f"{change.factor:.2f}", Text(change.verdict, VERDICTS[change.verdict]),
        )  # fmt: skip
    console.print()
    console.print(table)
    count = {verdict: sum(change.verdict == verdict for change in changes) for verdict in VERDICTS}
    console.print(f"{count['worse']} worse, {count['better']} better, {count['same']} the same within their noise.")


def _table(one: Catalogue, result: Result, style: box.Box) -> Table:
    shares = [f"{share:g}" for share in result.options.shares]
    table = Table(box=style)
    table.add_column("case")
    for name in ("lists/s", "range", "of echo + FAISS", "time / no rule"):
        table.add_column(name, justify="right")
    for share in shares:
        table.add_column(f"p50 / p90 / p99 ms at {float(share):.0%}", justify="right")
    for case, rates in one.throughput.items():
        steered = case not in {ECHO, ECHO_BATCH, FAISS}
        table.add_row(
            case, f"{median(rates):,.0f}", f"{min(rates):,.0f}-{max(rates):,.0f}",
            f"{one.of_allowed(case):.2f}" if steered else "",
            f"{one.cost(case):.2f}" if steered and case not in {NO_RULE, BATCH} else "",
            *(_times(one.latency.get(case, {}).get(share)) for share in shares),
        )  # fmt: skip
    return table


def _times(latency: Latency | None) -> str:
    if latency is None:
        return ""
    if not latency.p50:
        return "overloaded"
    return " / ".join(f"{median(found):.2f}" for found in (latency.p50, latency.p90, latency.p99))


def _how(result: Result) -> str:
    options, machine = result.options, result.machine
    late = max(
        (each.client_late_p99 for one in result.catalogues for case in one.latency.values() for each in case.values()),
        default=0.0,
    )
    busy = max(one.client_cpu for one in result.catalogues)
    workers = "1 worker" if options.workers == 1 else f"{options.workers} workers"
    return (
        f"lists/s: closed loop, at most {options.in_flight} calls in flight per worker (2 batches of {options.batch}), "
        f"median of {options.rounds} rounds of {options.seconds:g} s. ms: open loop, Poisson "
        f"arrivals at that share of the case's own lists/s, from the intended start, median of "
        f"{options.latency_rounds} rounds of {options.latency_seconds:g} s. The client used at most {busy:.0%} of a "
        f"core and started 99 % of its calls within {late:.2f} ms of their time. {workers}; {machine.cores} cores of "
        f"{machine.cpu}; Python {machine.python}, Tiller {machine.tiller}; {result.made}."
    )
