"""`tiller token new`: a token for a caller, and the lines that let it in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

app = typer.Typer(help="Tokens that let callers in.", no_args_is_help=True, rich_markup_mode=None)

SCOPES = ("recommend", "preview", "admin")


@app.callback()
def tokens() -> None:
    """Tokens that let callers in."""


@app.command()
def new(
    name: Annotated[str, typer.Option(metavar="NAME", help="Who it is for; refusals and logs name it.")],
    scope: Annotated[list[str], typer.Option(metavar="|".join(SCOPES), help="What it is for; may be repeated.")],
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires; left out: never.")] = None,
) -> None:
    """A new token on the last line, for the caller; above it the lines for the server's --tokens file.

    The file holds a hash only, so the token is shown this once. Give a caller a second token before you take the first
    away: both are valid as long as both are in the file, which a server reads again when it changes.

    Example: tiller token new --name home-page --scope recommend --days 90
    """
    import json

    from cli.refuse import UsageRefused
    from server.guard.tokens import new_token

    for one in scope:
        if one not in SCOPES:
            raise UsageRefused(f"--scope {one}", found=repr(one), expected=" | ".join(SCOPES))
    token, digest = new_token()
    lines = [
        f"  - name: {json.dumps(name)}",
        f'    sha256: "{digest}"',
        f"    scopes: [{', '.join(dict.fromkeys(scope))}]",
    ]
    if days is not None:
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
        lines.append(f"    expires: {until.isoformat().replace('+00:00', 'Z')}")
    typer.echo("Put these lines under tokens: in the server's --tokens file.", err=True)
    typer.echo("\n".join(lines))
    typer.echo("The token, for the caller's --token-file or TILLER_TOKEN_FILE. It is not shown again.", err=True)
    typer.echo(token)
