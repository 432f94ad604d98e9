"""`tiller bundle use`, `rollback` and `status`: which bundle is served, changed while it is served."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.admin_server import ADMIN, DEFAULT_ADMIN, ago, as_text, asking
from cli.policy_options import JSON

if TYPE_CHECKING:
    from protos.steering.v1 import admin_pb2 as pb

LINK = Annotated[
    Path | None,
    typer.Option(metavar="LINK", help="Point this link there instead; every server that was started with it follows."),
]
LOSSES = Annotated[
    bool,
    typer.Option("--accept-losses", help="Also where it lacks what policies in force and callers use now."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (use, rollback, status):
        app.command()(command)


def use(
    bundle: Annotated[
        str,
        typer.Argument(metavar="BUNDLE", help="A folder below --bundles-root; with --link any folder."),
    ],
    *,
    admin: ADMIN = DEFAULT_ADMIN,
    link: LINK = None,
    accept_losses: LOSSES = False,
) -> None:
    """Serve another bundle, without a restart and without losing a call.

    The server verifies and opens it beside the present one, warms it, and puts it in its place in one step; what it
    refuses changes nothing (exit code 1). That lasts until the server ends. With --link the bundle is verified here and
    a link is moved, in one step: every server and every worker process that was started with this link follows within
    seconds, and starts with it the next time.

    Example: tiller bundle use v2 --admin 127.0.0.1:50052
    """
    if link is not None:
        from bundle.link import point
        from cli.bundle_whole import verified

        verified(Path(bundle))
        before = point(link, Path(bundle))
        typer.echo(f"{link} leads to {link.resolve()}" + (f"; before, to {before}" if before else ""))
        return
    with asking(admin) as asked:
        _tell(asked.use_bundle(bundle, accept_losses=accept_losses))


def rollback(admin: ADMIN = DEFAULT_ADMIN, link: LINK = None, accept_losses: LOSSES = False) -> None:
    """Serve the bundle before the present one again, at once: the server kept it warm. Again, and it is forth.

    Example: tiller bundle rollback --admin 127.0.0.1:50052
    """
    if link is not None:
        from bundle.link import point_back

        now, before = point_back(link)
        typer.echo(f"{link} leads to {now} again; before, to {before}")
        return
    with asking(admin) as asked:
        _tell(asked.rollback_bundle(accept_losses=accept_losses))


def status(admin: ADMIN = DEFAULT_ADMIN, as_json: JSON = False) -> None:
    """Which bundle a running server answers from, since when, and why another one was refused (exit code 1).

    Example: tiller bundle status --admin 127.0.0.1:50052
    """
    with asking(admin) as asked:
        answer = asked.status()
    if as_json:
        typer.echo(as_text(answer))
    else:
        typer.echo(
            f"bundle    {answer.bundle_name} {answer.bundle_id}: {answer.items} items, {answer.concepts} concepts"
        )
        typer.echo(f"folder    {answer.bundle_folder}")
        typer.echo(f"loaded    {ago(answer.bundle_loaded_at)} ago")
        since = f"since the start, {ago(answer.started_at)} ago"
        typer.echo(f"swaps     {answer.bundle_swaps} taken, {answer.bundle_refusals} refused {since}")
        typer.echo(f"previous  {answer.previous_bundle_id or 'none yet'}")
        if answer.bundle_error:
            typer.echo(f"REFUSED   the last attempt: {answer.bundle_error}")
    if answer.bundle_error:
        raise typer.Exit(1)


def _tell(done: pb.LoadBundleResponse | pb.RollbackBundleResponse) -> None:
    word = done.outcome.replace("_", " ")
    typer.echo(f"{word}: bundle {done.bundle_id} is in force, after {done.seconds:.2f} s")
    if done.outcome == "refused":
        typer.echo(done.error)
        raise typer.Exit(1)
    if done.previous_bundle_id:
        typer.echo(f"tiller bundle rollback brings {done.previous_bundle_id} back")
