"""`tiller policy`: check, test and compare policy files; with a running server, preview, list, status and reload."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import policy_running
from cli.policy_options import AT, ATTRIBUTE, BUNDLE, EXAMPLES, JSON, SEED, USERS, K, attributes_of, moment

if TYPE_CHECKING:
    from cli.policy_cases import Verdict
    from server.steer import Engine

app = typer.Typer(
    help="Check, test and compare policy files; ask a running server what they would change.", no_args_is_help=True,
    rich_markup_mode=None,
)  # fmt: skip


@app.command()
def validate(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of *.yaml policy files.")],
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also check that this bundle offers the concepts they name.")
    ] = None,
) -> None:
    """Check every policy file: syntax, keys, values, names; with --bundle also the concepts.

    Faults name file, line, field and the nearest valid key (exit code 2). Warnings, such as a concept that the bundle
    does not offer, make the exit code 1; notes, such as a campaign that is over, do not.

    Example: tiller policy validate examples/policies --bundle bundles/demo
    """
    from server.policy import check_attributes, check_concepts, check_reach, load_policies

    policies = load_policies(folder)
    warnings = check_attributes(policies)
    if bundle is not None:
        from bundle import LATENT_FAMILY, load_bundle

        contents = load_bundle(bundle, verify=False).contents
        offered = {concept.id for concept in contents.concepts.concepts if concept.offered}
        offered |= {f"{LATENT_FAMILY}:{latent}" for latent in range(contents.sae.latents)}
        warnings += check_concepts(policies, offered, frozenset(contents.items["item_id"].to_pylist()))
    for warning in warnings:
        typer.echo(str(warning))
    for note in check_reach(policies, time.time()):
        typer.echo(f"note: {note}")
    rules = sum(len(policy.rules) for policy in policies.policies)
    count = f"{_count(len(policies.policies), 'policy', 'policies')}, {_count(rules, 'rule', 'rules')}"
    told = f"{count}, revision {policies.revision}"
    if warnings:
        typer.echo(f"{folder}: {told}; {_count(len(warnings), 'warning', 'warnings')}")
        raise typer.Exit(1)
    typer.echo(f"{folder}: {told}: valid")


@app.command()
def schema(
    cases: Annotated[bool, typer.Option("--cases", help="Of the case files of `tiller policy test` instead.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it here instead of printing it.")] = None,
) -> None:
    """The JSON Schema of policy files, for editors that complete keys and mark faults while one types.

    In VS Code with the YAML extension: write it beside the policies, and begin each file with the line
    # yaml-language-server: $schema=policies.schema.json

    Example: tiller policy schema --out examples/policies/policies.schema.json
    """
    from server.policy.json_schema import case_schema, policy_schema

    text = json.dumps(case_schema() if cases else policy_schema(), indent=1) + "\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text)
    except OSError as error:
        from cli.refuse import UsageRefused

        raise UsageRefused(f"cannot write {out}", found=error.strerror) from error
    typer.echo(f"{out}: written")


@app.command("test")
def run_cases(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of *.yaml policy files.")],
    cases: Annotated[
        list[Path] | None, typer.Argument(metavar="[CASES]...", help="Case files or folders; default FOLDER/tests.")
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The bundle to make lists with, where a case looks at them."),
    ] = None,
) -> None:
    """Hold policies to what their team expects of them: who is reached, what is absent, which share, what stays.

    A case names a request and what must hold for it (docs/policies.md). Exit code 0: every case passed; 1: one failed,
    with what was expected and what was found; 2: a file is refused. Meant for CI, beside `tiller policy validate`.

    Example: tiller policy test examples/policies --bundle bundles/demo
    """
    from cli.policy_cases import run
    from server.policy import load_policies
    from server.policy.cases import load_cases

    policies = load_policies(folder)
    loaded = load_cases(cases or [folder / "tests"])
    engine = _engine(bundle) if bundle is not None else None
    if engine is not None:
        engine = replace(engine, policies=policies)
    failed = 0
    for case in loaded:
        verdict = run(case, policies, engine)
        failed += bool(verdict.faults)
        _print_verdict(verdict)
    passed = len(loaded) - failed
    typer.echo(f"{_count(len(loaded), 'case', 'cases')}: {passed} passed, {failed} failed")
    if failed:
        raise typer.Exit(1)


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="Folder of policies as they are.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="Folder of policies as they would be.")],
    *,
    bundle: BUNDLE,
    users: USERS = 200,
    k: K = 10,
    attribute: ATTRIBUTE = None,
    at: AT = None,
    seed: SEED = 0,
    examples: EXAMPLES = 1,
    as_json: JSON = False,
) -> None:
    """Who sees what differently under B than under A: policies in words, users reached, shares, overlap, examples.

    Asks the server's own engine for a sample of the bundle's users, in every situation that a different policy asks for
    (surface=kids, say), or in the one that --attribute names.

    Example: tiller policy diff examples/policies candidate --bundle bundles/demo --users 100
    """
    from server.policy import load_policies
    from server.preview import Sample, compare

    sides = [load_policies(folder) for folder in (before, after)]
    engine = _engine(bundle)
    sample = Sample(users=users, seed=seed, k=k, attributes=attributes_of(attribute), at=moment(at))
    now, then = (replace(engine, policies=side) for side in sides)
    preview = compare(now, then, sample)
    if as_json:
        typer.echo(json.dumps(asdict(preview), ensure_ascii=False, indent=1))
        return
    from cli.console import make_console
    from cli.policy_picture import print_preview

    print_preview(preview, make_console(), before=str(before), after=str(after), examples=examples)


policy_running.register(app)


def _engine(bundle: Path) -> Engine:
    import faiss

    from bundle import load_bundle
    from server.steer import Engine

    faiss.omp_set_num_threads(1)
    return Engine.open(load_bundle(bundle, verify=False))


def _print_verdict(verdict: Verdict) -> None:
    case = verdict.case
    typer.echo(f"{'FAIL' if verdict.faults else 'ok  '}  {case.entry.name}")
    if verdict.faults:
        typer.echo(f"        {case.file}:{case.line}, {_count(verdict.users, 'user', 'users')} asked")
    for fault in verdict.faults:
        typer.echo(f"        {fault}")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
