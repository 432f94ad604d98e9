"""What `tiller recommend` and `tiller explain` ask alike: who, which rules, and where."""

from __future__ import annotations

from typing import Annotated

import typer

DEFAULT_SERVER = "127.0.0.1:50051"

_PART = "WHAT[=STRENGTH|=share:PART]"

USER = Annotated[str | None, typer.Option(metavar="USER_ID", help="A user of the bundle.")]
HISTORY = Annotated[
    str | None,
    typer.Option(metavar="ID,ID,...", help="Instead: items somebody touched, newest last (user tower only)."),
]
SERVER = Annotated[str, typer.Option(metavar="HOST:PORT", help="A running server.")]
PROMOTE = Annotated[list[str] | None, typer.Option(metavar=_PART, help="Raise it, 0 to 1 (unset: 0.5), or to a share.")]
DEMOTE = Annotated[list[str] | None, typer.Option(metavar=_PART, help="Lower it, 0 to 1 (unset: 0.5), or to a share.")]
FILTER = Annotated[
    list[str] | None,
    typer.Option("--filter", metavar="WHAT[=label|activation|either]", help="Return no member of it."),
]
K = Annotated[int, typer.Option("--k", "-k", min=1, help="Length of the list.")]
CHANNEL = Annotated[str, typer.Option(help="Where soft rules act: item or query.")]
ATTRIBUTE = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="What policies are matched against: surface=kids.")
]
