"""`tiller policy preview`, `list`, `status` and `reload`: what a running server is asked through its admin service."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.policy_options import AT, ATTRIBUTE, EXAMPLES, JSON, SEED, USERS, K, attributes_of, moment

if TYPE_CHECKING:
    from client.admin import TillerAdmin

DEFAULT_ADMIN = "127.0.0.1:50052"
ADMIN = Annotated[str, typer.Option("--admin", metavar="HOST:PORT", help="The server's --admin-port.")]


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
    with _asking(admin) as asked:
        answer = asked.preview(
            files, users=users, seed=seed, k=k, attributes=attributes_of(attribute), at=moment(at) or 0.0
        )
    if as_json:
        typer.echo(_json(answer))
        return
    from cli.console import make_console
    from cli.policy_picture import print_preview

    before = f"in force ({answer.revision_before})"
    print_preview(answer, make_console(), before=before, after=str(folder), examples=examples)


def list_(admin: ADMIN = DEFAULT_ADMIN, as_json: JSON = False) -> None:
    """The policies that a running server holds to, with what looks wrong about them.

    Example: tiller policy list --admin 127.0.0.1:50052
    """
    with _asking(admin) as asked:
        answer = asked.policies()
    if as_json:
        typer.echo(_json(answer))
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
    with _asking(admin) as asked:
        answer = asked.status()
    if as_json:
        typer.echo(_json(answer))
    else:
        typer.echo(
            f"bundle    {answer.bundle_name} {answer.bundle_id}: {answer.items} items, {answer.concepts} concepts"
        )
        where = answer.policy_folder or "no policy folder"
        typer.echo(f"policies  {answer.policies}, revision {answer.policy_revision}, from {where}")
        loaded, checked = (_ago(at) for at in (answer.policies_loaded_at, answer.policies_checked_at))
        typer.echo(f"loaded    {loaded} ago; looked at {checked} ago")
        since = f"since the start, {_ago(answer.started_at)} ago"
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
    with _asking(admin) as asked:
        answer = asked.reload()
    typer.echo(f"{answer.outcome}: revision {answer.policy_revision} is in force")
    if answer.outcome == "refused":
        typer.echo(answer.error)
        raise typer.Exit(1)


@contextmanager
def _asking(target: str) -> Iterator[TillerAdmin]:
    """A client; a server that does not answer is refused with what to do.

    Raises:
        AdminUnreachable: nobody answers there, or not the admin service.
    """
    from bundle.errors import TillerError
    from client.admin import TillerAdmin
    from client.errors import TillerRpcError

    try:
        with TillerAdmin(target) as client:
            yield client
    except TillerRpcError as error:
        if error.code.name in {"UNAVAILABLE", "UNIMPLEMENTED"}:
            hint = "Start the server with --admin-port 50052, or name its port: --admin HOST:PORT."
            raise TillerError(f"no admin service answers at {target}", hint=hint) from error
        raise


def _json(message: Any) -> str:
    from google.protobuf.json_format import MessageToDict

    said = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return json.dumps(said, ensure_ascii=False, indent=1)


def _ago(at: float) -> str:
    seconds = max(0.0, time.time() - at)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
