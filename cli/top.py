"""`tiller top`: what one or several servers do now, from their /metrics, in the terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cli.scrape import Scrape
    from cli.top_screen import Seen

DEFAULT_METRICS = "127.0.0.1:9464"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(top)


def top(
    *,
    metrics: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST:PORT", help=f"Its --metrics-port; may be repeated (unset: {DEFAULT_METRICS})."),
    ] = None,
    interval: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option(help="Print one frame, averages since the start, and end.")] = False,
) -> None:
    """What servers do now: calls, errors, latency by stage, what the rules do to the lists, drift, what is served.

    Reads /metrics like a Prometheus would and needs none. Ctrl-C ends it. Where the output is no terminal, one frame is
    printed. Exit code 1 where that one frame found no server.

    Example: tiller top --metrics 127.0.0.1:9464 --metrics 127.0.0.1:9465
    """
    from rich.live import Live

    from cli.console import make_console, signs
    from cli.top_screen import frame, present

    addresses = list(dict.fromkeys(metrics or [DEFAULT_METRICS]))
    console = make_console()
    look = signs(console)
    known: dict[str, Scrape] = {}
    servers = _look(addresses, known, first=True)
    first = frame(servers, look, since_start=True)
    if once or not console.is_terminal:
        console.print(first)
        if not present(servers):
            raise typer.Exit(1)
        return
    with Live(first, console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(interval)
            live.update(frame(_look(addresses, known), look, since_start=False), refresh=True)


def _look(addresses: Sequence[str], known: dict[str, Scrape], *, first: bool = False) -> list[Seen]:
    """Scrape every server: what was counted since the last look, at the ``first`` one since its start.

    ``known`` is brought up to date.
    """
    from cli.scrape import Away, fetch, window
    from cli.top_screen import Seen

    found = []
    for address in addresses:
        try:
            now = fetch(address)
        except Away as error:
            known.pop(address, None)
            found.append(Seen(address, None, str(error)))
            continue
        if first or address in known:
            found.append(Seen(address, window(known.get(address), now)))
        else:
            found.append(Seen(address, None, "it is back: figures with the next look"))
        known[address] = now
    return found
