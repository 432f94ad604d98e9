"""`tiller policy preview`, `list`, `status` and `reload`: what a running server is asked through its admin service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.admin_server import ADMIN, DEFAULT_ADMIN, ago, as_text, asking
from cli.policy_options import AT, ATTRIBUTE, EXAMPLES, JSON, SEED, USERS, K, attributes_of, moment


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(preview)
    app.command("list")(list_)
    app.command()(status)
    app.command("reload")(reload_)


def preview(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the candidate policies, all of them.")],
    *,
    admin: ADMIN = DEFAULT_ADMIN,
    users: USERS = 200,
    k: K = 10,
    attribute: ATTRIBUTE = None,
    at: AT = None,
    seed: SEED = 0,
    examples: EXAMPLES = 1,
    as_json: JSON = False,
) -> None:
    """Who would see what differently if a running server took FOLDER: shares, overlap, examples. Changes nothing.

    The server asks its own engine for a sample of the bundle's users, under the policies in force and under FOLDER's,
    in every situation that a different policy asks for, or in the one that --attribute names.

    Example: tiller policy preview examples/policies --admin 127.0.0.1:50052 --attribute surface=kids
    """
    from server.policy import compile_files, read_folder

    files, problems = read_folder(folder)
    compile_files(files, str(folder), problems)  # with every fault of every file, before a server is asked
    with asking(admin) as asked:
        answer = asked.preview(
            files, users=users, seed=seed, k=k, attributes=attributes_of(attribute), at=moment(at) or 0.0
        )
    if as_json:
        typer.echo(as_text(answer))
        return
    from cli.console import make_console
    from cli.policy_picture import print_preview

    before = f"in force ({answer.revision_before})"
    print_preview(answer, make_console(), before=before, after=str(folder), examples=examples)


def list_(admin: ADMIN = DEFAULT_ADMIN, as_json: JSON = False) -> None:
    """The policies that a running server holds to, with what looks wrong about them.

    Example: tiller policy list --admin 127.0.0.1:50052
    """
    with asking(admin) as asked:
        answer = asked.policies()
    if as_json:
        typer.echo(as_text(answer))
        return
    for policy in answer.policies:
        notes = [
            word
            for word, on in (
                ("disabled", not policy.enabled), ("shadow", policy.mode == 2), ("mandatory", policy.mandatory),
                ("not now", not policy.open), (f"priority {policy.priority}", policy.priority != 0),
            )
            if on
        ]  # fmt: skip
        typer.echo(f"{policy.name}  {policy.owner}" + (f"  ({', '.join(notes)})" if notes else ""))
        typer.echo(f"  when {' and '.join(policy.conditions) or 'always'}")
        typer.echo(f"  {'; '.join(policy.rule_words)}")
    for warning in answer.warnings:
        typer.echo(f"warning: {warning.message}")
    typer.echo(f"{len(answer.policies)} policies, revision {answer.policy_revision}")


def status(admin: ADMIN = DEFAULT_ADMIN, as_json: JSON = False) -> None:
    """Which policies a running server holds to, since when, and whether its folder could be loaded.

    Exit code 1 while what lies in the folder is refused; the faults are listed.

    Example: tiller policy status --admin 127.0.0.1:50052
    """
    with asking(admin) as asked:
        answer = asked.status()
    if as_json:
        typer.echo(as_text(answer))
    else:
        typer.echo(
            f"bundle    {answer.bundle_name} {answer.bundle_id}: {answer.items} items, {answer.concepts} concepts"
        )
        where = answer.policy_folder or "no policy folder"
        typer.echo(f"policies  {answer.policies}, revision {answer.policy_revision}, from {where}")
        loaded, checked = (ago(at) for at in (answer.policies_loaded_at, answer.policies_checked_at))
        typer.echo(f"loaded    {loaded} ago; looked at {checked} ago")
        since = f"since the start, {ago(answer.started_at)} ago"
        typer.echo(f"reloads   {answer.reloads} taken, {answer.refusals} refused {since}")
        if answer.stale:
            typer.echo(f"STALE     what lies in the folder is refused; an earlier revision serves:\n{answer.error}")
    if answer.stale:
        raise typer.Exit(1)


def reload_(admin: ADMIN = DEFAULT_ADMIN) -> None:
    """Have a running server read its policy folder again, now. Exit code 1 where that is refused.

    Watching does this by itself; by hand also an empty folder is taken, which may be a mount that comes late.

    Example: tiller policy reload --admin 127.0.0.1:50052
    """
    with asking(admin) as asked:
        answer = asked.reload()
    typer.echo(f"{answer.outcome}: revision {answer.policy_revision} is in force")
    if answer.outcome == "refused":
        typer.echo(answer.error)
        raise typer.Exit(1)
