"""Asking the admin service of a running server: its address, a client, and what answers are printed with."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from client.admin import TillerAdmin

DEFAULT_ADMIN = "127.0.0.1:50052"
ADMIN = Annotated[str, typer.Option("--admin", metavar="HOST:PORT", help="The server's --admin-port.")]


@contextmanager
def asking(target: str) -> Iterator[TillerAdmin]:
    """A client; a server that does not answer is refused with what to do.

    Raises:
        TillerError: nobody answers there, or not the admin service.
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


def as_text(message: Any) -> str:
    """A message as JSON, every field of it."""
    from google.protobuf.json_format import MessageToDict

    said = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return json.dumps(said, ensure_ascii=False, indent=1)


def ago(at: float) -> str:
    """How long ago an instant (Unix seconds) was."""
    seconds = max(0.0, time.time() - at)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
