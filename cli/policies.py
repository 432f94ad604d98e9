"""`tiller policy validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Check policy files before a server reads them.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Keep `validate` a subcommand: typer makes the only command of a group the group itself."""


@app.command()
def validate(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of *.yaml policy files.")],
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also check that this bundle offers the concepts they name.")
    ] = None,
) -> None:
    """Check every policy file: syntax, keys, values, names; with --bundle also the concepts.

    Faults name file, line, field and the nearest valid key (exit code 2). Warnings, such as a concept that the bundle
    does not offer, make the exit code 1.

    Example: tiller policy validate examples/policies --bundle bundles/demo
    """
    from server.policy import check_attributes, check_concepts, load_policies

    policies = load_policies(folder)
    warnings = check_attributes(policies)
    if bundle is not None:
        from bundle import LATENT_FAMILY, load_bundle

        contents = load_bundle(bundle, verify=False).contents
        offered = {concept.id for concept in contents.concepts.concepts if concept.offered}
        offered |= {f"{LATENT_FAMILY}:{latent}" for latent in range(contents.sae.latents)}
        warnings += check_concepts(policies, offered)
    for warning in warnings:
        typer.echo(str(warning))
    rules = sum(len(policy.rules) for policy in policies.policies)
    count = f"{_count(len(policies.policies), 'policy', 'policies')}, {_count(rules, 'rule', 'rules')}"
    told = f"{count}, revision {policies.revision}"
    if warnings:
        typer.echo(f"{folder}: {told}; {_count(len(warnings), 'warning', 'warnings')}")
        raise typer.Exit(1)
    typer.echo(f"{folder}: {told}: valid")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
