"""The picture of `tiller top`: one frame of the figures of one or several servers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.console import Signs
from cli.scrape import Scrape, Window, added

STAGES = ("decode", "user", "plan", "mask", "search", "edit", "explain", "encode")
BAR = 20
CONCEPTS, POLICIES = 10, 8
"""Rows shown; what was seen least is left out."""

RECOMMEND = "Recommend"


@dataclass(frozen=True)
class Seen:
    """One server: what happened in the window, or why it is away."""

    address: str
    window: Window | None
    away: str = ""


def frame(servers: Sequence[Seen], look: Signs, *, since_start: bool) -> RenderableType:
    """Everything that is known now."""
    there = [server.window for server in servers if server.window is not None]
    parts: list[RenderableType] = [_title(servers, there, since_start=since_start), _servers(servers)]
    if there:
        whole = Window(
            added(one.before for one in there), added(one.after for one in there), max(one.seconds for one in there)
        )
        tables = [_stages(whole, look), _concepts(whole, look), _policies(whole)]
        parts += [_calls(whole), *tables, _lists(whole), _drift(whole, there[0].after)]
    else:
        parts.append(Text("\nStart one: tiller serve --bundle DIR --metrics-port 9464", "dim"))
    return Group(*parts)


def _title(servers: Sequence[Seen], there: Sequence[Window], *, since_start: bool) -> Text:
    count = "1 server" if len(servers) == 1 else f"{len(servers)} servers"
    away = len(servers) - len(there)
    text = Text.assemble(("tiller top", "bold"), f"  {count}")
    if away:
        text.append(f", {away} away", "bold red")
    if there:
        text.append("  since the start" if since_start else f"  the last {max(w.seconds for w in there):.1f} s")
    return text.append(time.strftime("  %H:%M:%S"), "dim")


def _servers(servers: Sequence[Seen]) -> Table:
    table = _table()
    table.add_column("server", no_wrap=True)
    for name in ("req/s", "errors", "p50", "p99", "in flight", "shed/s"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("bundle", no_wrap=True, overflow="ellipsis")
    table.add_column("policies", no_wrap=True, overflow="ellipsis")
    for server in servers:
        seen = server.window
        if seen is None:
            table.add_row(server.address, Text("away", "bold red"), "", "", "", "", "", server.away)
            continue
        after = seen.after
        table.add_row(
            server.address,
            f"{seen.rate('tiller_requests_total'):.1f}",
            _errors(seen),
            _seconds(seen.quantile(0.5, "tiller_request_seconds", method=RECOMMEND)),
            _seconds(seen.quantile(0.99, "tiller_request_seconds", method=RECOMMEND)),
            f"{after.one('tiller_in_flight') or 0:.0f}",
            f"{seen.rate('tiller_shed_total'):.1f}",
            _bundle(after),
            _policy_state(after),
        )
    return table


def _errors(seen: Window) -> Text:
    """Part of the calls that failed inside the server; refusals are not failures."""
    codes = seen.by("tiller_requests_total", "code")
    failed, calls = sum(codes.get(code, 0.0) for code in ("INTERNAL", "UNKNOWN")), sum(codes.values())
    return Text(_percent(failed / calls) if calls else "-", "bold red" if failed else "")


def _bundle(after: Scrape) -> str:
    names = [labels for labels, value in after.select("tiller_bundle_info") if value]
    age = _age(after, "tiller_bundle_loaded_timestamp_seconds")
    return " ".join([*(f"{one['name']} {one['bundle_id']}" for one in names), age])


def _policy_state(after: Scrape) -> Text:
    revisions = [labels["revision"] for labels, value in after.select("tiller_policy_info") if value]
    if revisions == ["none"]:
        return Text("none", "dim")
    text = Text(" ".join([*revisions, _age(after, "tiller_policies_loaded_timestamp_seconds")]))
    return text.append("  REFUSED", "bold red") if after.one("tiller_policies_stale") else text


def _age(after: Scrape, series: str) -> str:
    at = after.one(series)
    if at is None:
        return ""
    seconds = max(0.0, after.at - at)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _calls(whole: Window) -> Text:
    codes = _most(whole.by("tiller_requests_total", "code"))
    text = Text("calls/s  ", "bold")
    text.append("  ".join(f"{code} {number / whole.seconds:.1f}" for code, number in codes) or "none yet")
    shed = [(reason, number) for reason, number in whole.by("tiller_shed_total", "reason").items() if number]
    if shed:
        text.append("  shed: " + "  ".join(f"{reason} {number / whole.seconds:.1f}" for reason, number in shed), "red")
    return text


def _stages(whole: Window, look: Signs) -> Table:
    means = {stage: whole.count("tiller_stage_seconds_sum", stage=stage) for stage in STAGES}
    total = sum(means.values())
    table = _table()
    table.add_column("stage", no_wrap=True)
    table.add_column("p50", justify="right", no_wrap=True)
    table.add_column("p99", justify="right", no_wrap=True)
    table.add_column("part of the time", no_wrap=True, width=BAR + 8)
    for stage in STAGES:
        part = means[stage] / total if total else 0.0
        table.add_row(
            stage,
            _seconds(whole.quantile(0.5, "tiller_stage_seconds", stage=stage)),
            _seconds(whole.quantile(0.99, "tiller_stage_seconds", stage=stage)),
            _bar(part, "cyan", look),
        )
    return table


def _concepts(whole: Window, look: Signs) -> RenderableType:
    """Mean share of each steered concept in the lists, without and with steering."""
    seen: list[tuple[float, str, str]] = []
    for labels, _ in whole.after.select("tiller_concept_share_count", when="after"):
        concept, action = labels["concept"], labels["action"]
        number = whole.count("tiller_concept_share_count", concept=concept, action=action, when="after")
        if number:
            seen.append((number, concept, action))
    if not seen:
        return Text("no steered list was compared with its unsteered one", "dim")
    table = _table()
    table.add_column("concept", no_wrap=True)
    table.add_column("action", no_wrap=True)
    table.add_column("share before", no_wrap=True, width=BAR + 8)
    table.add_column("share after", no_wrap=True, width=BAR + 8)
    table.add_column("lists", justify="right", no_wrap=True)
    seen = sorted(set(seen), key=lambda entry: (-entry[0], entry[1:]))
    for number, concept, action in seen[:CONCEPTS]:
        before, after = (
            whole.mean("tiller_concept_share", concept=concept, action=action, when=when)
            for when in ("before", "after")
        )
        colour = {"filter": "red", "demote": "yellow", "promote": "green"}.get(action, "cyan")
        table.add_row(concept, action, _bar(before, "cyan", look), _bar(after, colour, look), f"{number:.0f}")
    if len(seen) > CONCEPTS:
        table.add_row(f"and {len(seen) - CONCEPTS} more", "", "", "", "")
    return table


def _policies(whole: Window) -> RenderableType:
    evaluated = whole.count("tiller_policy_evaluations_total")
    fired: list[tuple[float, str, str]] = sorted(
        (-number, policy, mode)
        for mode in ("enforce", "shadow")
        for policy, number in whole.by("tiller_policy_fired_total", "policy", mode=mode).items()
        if number
    )
    statuses = whole.by("tiller_rules_total", "status")
    rules = "  ".join(f"{status} {number / whole.seconds:.1f}" for status, number in _most(statuses))
    line = Text.assemble(("rules/s  ", "bold"), rules or "none yet")
    if not fired:
        return line
    table = _table()
    table.add_column("policy", no_wrap=True)
    table.add_column("mode", no_wrap=True)
    table.add_column("fired/s", justify="right", no_wrap=True)
    table.add_column("of the answers", justify="right", no_wrap=True)
    for number, policy, mode in fired[:POLICIES]:
        part = _percent(-number / evaluated) if evaluated else "-"
        table.add_row(policy, mode, f"{-number / whole.seconds:.1f}", part)
    return Group(line, table)


def _lists(whole: Window) -> Text:
    answers = whole.count("tiller_requests_total", method=RECOMMEND, code="OK")
    short = whole.count("tiller_short_lists_total")
    text = Text.assemble(("lists    ", "bold"), "overlap with the unsteered list ")
    mean = whole.mean("tiller_overlap")
    text.append("-" if isnan(mean) else f"{mean:.0%} (p10 {whole.quantile(0.1, 'tiller_overlap'):.0%})")
    return text.append(f"   short {_percent(short / answers) if answers else '-'}")


def _drift(whole: Window, latest: Scrape) -> Text:
    verdicts = whole.by("tiller_user_vectors_total", "verdict")
    judged = verdicts.get("inside", 0.0) + verdicts.get("outside", 0.0)
    text = Text("drift    ", "bold")
    if not judged:
        unjudged = verdicts.get("unjudged", 0.0)
        told = f"{unjudged:.0f} vectors, the bundle knows no training" if unjudged else "no vectors from callers yet"
        return text.append(told, "dim")
    outside = verdicts.get("outside", 0.0) / judged
    worse = 1 - whole.count("tiller_user_error_rank_bucket", le="0.5") / judged
    trained = latest.one("tiller_training_quantile", figure="error", quantile="0.5")
    text.append(f"{judged:.0f} vectors: {_percent(outside)} outside (usual 0.1%)", "bold red" if outside > 0.01 else "")
    text.append(f", {worse:.0%} worse than the training's median (usual 50%)", "bold red" if worse > 0.75 else "")
    told = "" if trained is None else f", median {trained:.3f} in training"
    return text.append(f"; mean error {whole.mean('tiller_user_error'):.3f}{told}")


def _most(counted: dict[str, float]) -> list[tuple[str, float]]:
    """What was counted at all, most first."""
    return sorted(((name, number) for name, number in counted.items() if number), key=lambda entry: -entry[1])


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))


def _bar(part: float, colour: str, look: Signs) -> Text:
    if isnan(part):
        return Text("-", "dim")
    text = Text(f"{_percent(part):>6} ")
    return text.append(look.blocks * max(round(BAR * part), int(part > 0)), colour)


def _percent(part: float) -> str:
    return f"{100 * part:.1f}%"


def _seconds(seconds: float) -> str:
    if isnan(seconds):
        return "-"
    if seconds < 1e-3:
        return f"{1e6 * seconds:.0f} us"
    return f"{1e3 * seconds:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def present(servers: Iterable[Seen]) -> bool:
    """Whether any of them answers."""
    return any(server.window is not None for server in servers)
