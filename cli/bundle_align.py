"""`tiller bundle align`: what people gave to one bundle, carried over to the next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import make_console

if TYPE_CHECKING:
    from cli.policy_use import Use
    from offline.align.carry import Alignment
    from offline.align.report import AlignReport, ConceptFate

SHOWN = 15


def align(  # noqa: PLR0917 - options, each by its name
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Bundle whose names, thresholds and labels go over.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Bundle that gets them.")],
    policies: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Policy files that must keep every concept they name.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the aligned bundle.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace what is at --out; without it, NEW.")] = False,
    least_match: Annotated[
        float, typer.Option(min=0, max=1, help="Correlation from which on a named latent becomes its match.")
    ] = 0.9,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the report and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Carry names, thresholds and labels that people gave over to a newly trained bundle.

    Items are matched by id, latents by the items that activate them. Prints what was kept and lost. Refuses, with exit
    code 2 and nothing written, where a policy would lose its concept. Exit code 1: done, and a policy names a latent by
    a number that now means another.

    Example: tiller bundle align bundles/monday bundles/tuesday --policies examples/policies --out bundles/aligned
    """
    from bundle import concept_files, load_bundle, refuse_occupied, write_with
    from cli.policy_use import judge
    from cli.refuse import UsageRefused
    from offline.align.carry import align as carry
    from server.policy import load_policies

    target = out or new
    if not dry_run:
        if out is None and not replace:
            raise UsageRefused("where to write the bundle", hint="Name a folder: --out; or replace NEW: --replace.")
        refuse_occupied(target, replace=replace)
    used = load_policies(policies)
    source = load_bundle(new)
    aligned = carry(load_bundle(old), source, least_match=least_match)
    uses = judge(used, aligned.report, {c.id for c in aligned.concepts.concepts if c.offered})
    if as_json:
        typer.echo(json.dumps({**aligned.report.document(), "policies": [asdict(use) for use in uses]}, indent=1))
    else:
        _print(aligned.report, uses)
    _refuse_lost(uses, aligned)
    if not dry_run:
        manifest = write_with(
            source,
            target,
            concept_files(aligned.concepts, aligned.arrays),
            fields={"dims": source.manifest.dims.model_copy(update={"concepts": len(aligned.arrays.gains)})},
            provenance={"aligned": aligned.report.summary()},
            replace=replace,
        )
        if not as_json:
            typer.echo(f"{target}: bundle {manifest.bundle_id}")
    if any(use.verdict == "latent" for use in uses):
        raise typer.Exit(1)


def _refuse_lost(uses: Sequence[Use], aligned: Alignment) -> None:
    from cli.refuse import UsageRefused

    lost = [use for use in uses if use.verdict == "lost"]
    if not lost:
        return
    reasons = {fate.id: fate.reason for fate in aligned.report.lost}
    told = "; ".join(f"{use} ({reasons.get(use.concept, 'no latent of the new bundle is like it')})" for use in lost)
    what = "a policy would lose its concept" if len(lost) == 1 else f"{len(lost)} rules would lose their concepts"
    raise UsageRefused(
        f"{what}, nothing was written: {told}",
        hint="Change the policies, train again, or serve the old bundle.",
    )


def _print(report: AlignReport, uses: Sequence[Use]) -> None:
    from offline.align.report import LEVELS

    typer.echo(
        f"items     {report.items_common:,} in both, of {report.items_old:,} in {report.old} "
        f"and {report.items_new:,} in {report.new}"
    )
    found = ", ".join(f"{report.survive(level)} at {level:g}" for level in LEVELS)
    typer.echo(f"latents   of {len(report.latents)} active ones matched with a held-out correlation of: {found}")
    counts = {kind: sum(fate.outcome == kind for fate in report.concepts) for kind in ("moved", "refitted", "lost")}
    kept = len(report.concepts) - sum(counts.values())
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    typer.echo(f"concepts  of {len(report.concepts)}: {kept} found again by the training, {told}")
    if report.appeared:
        more = "" if len(report.appeared) <= SHOWN else f" and {len(report.appeared) - SHOWN} more"
        typer.echo(f"new       {', '.join(report.appeared[:SHOWN])}{more}")
    _table(report)
    for fate in report.lost:
        typer.echo(f"lost: {fate.id}: {fate.reason}")
    for use in uses:
        if use.verdict == "latent":
            typer.echo(f"{use}: write {use.rewrite} instead (match {use.match:.2f}), or name it: tiller bundle label")
        elif use.verdict == "unknown":
            typer.echo(f"{use}: neither bundle offers it")


def _table(report: AlignReport) -> None:
    """Concepts that a person had a hand in or that changed most, the worst first."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for name in ("concept", "outcome"):
        table.add_column(name, no_wrap=True)
    for name in ("items", "AUC", "threshold", "same members", "strongest latent"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("carried")

    def weight(fate: ConceptFate) -> tuple[bool, float]:
        return not fate.carried and fate.outcome == "kept", -1.0 if fate.agreement is None else fate.agreement

    ranked = sorted(report.concepts, key=weight)
    for fate in ranked[:SHOWN]:
        latent = "-" if fate.latent is None else f"{fate.latent} -> {'-' if fate.to is None else fate.to}"
        table.add_row(
            fate.id, fate.outcome, f"{fate.items_old:,} -> {'-' if fate.items_new is None else f'{fate.items_new:,}'}",
            _moved(fate.auc_old, fate.auc_new), _moved(fate.threshold_old, fate.threshold_new),
            "-" if fate.agreement is None else f"{fate.agreement:.0%}",
            latent if fate.match is None else f"{latent} ({fate.match:.2f})",
            ", ".join(fate.carried).replace("display_name", "name"),
        )  # fmt: skip
    make_console().print(table)
    if len(ranked) > SHOWN:
        typer.echo(f"and {len(ranked) - SHOWN} more, found again; all of them: --json")


def _moved(old: float | None, new: float | None) -> str:
    return f"{'-' if old is None else f'{old:.2f}'} -> {'-' if new is None else f'{new:.2f}'}"
