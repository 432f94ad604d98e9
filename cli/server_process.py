"""A server as a child process, for as long as a `with` block lasts."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bundle.errors import TillerError

START_LIMIT = 60.0
"""Seconds a server may take to load its bundle and listen."""

STOP_LIMIT = 10.0


class ServerFailed(TillerError):
    """The server process ended, or did not listen in time."""


@contextmanager
def served(bundle: Path) -> Iterator[str]:
    """Serve ``bundle`` on a free loopback port; gives its address, and stops it whatever happens inside.

    Raises:
        ServerFailed: with the last lines of its log.
    """
    with serving(bundle) as addresses:
        yield str(addresses["grpc"])


@contextmanager
def serving(bundle: Path, *options: object, start_limit: float = START_LIMIT) -> Iterator[dict[str, Any]]:
    """The same with more options; gives everything that the server says of itself (server.app.Addresses)."""
    given = ("--bundle", bundle, "--host", "127.0.0.1", "--port", 0, "--metrics-port", 0, *options)
    with started("server", *given, start_limit=start_limit) as addresses:
        yield addresses


@contextmanager
def started(module: str, *arguments: object, start_limit: float = START_LIMIT) -> Iterator[dict[str, Any]]:
    """Run a module of ours that takes ``--port-file`` until the block ends; gives that file's content.

    Raises:
        ServerFailed: with the last lines of its log.
    """
    with TemporaryDirectory(prefix="tiller-") as folder:
        port_file, log = Path(folder) / "address.json", Path(folder) / "server.log"
        with log.open("wb") as output:
            # Its own session: a Ctrl-C in the terminal is for us, and we stop the server in order.
            process = subprocess.Popen(
                [*command(module), *map(str, arguments), "--port-file", str(port_file)],
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True, env=environment(),
            )  # fmt: skip
        try:
            yield _addresses(process, port_file, log, start_limit)
        finally:
            _stop(process)


def command(module: str) -> list[str]:
    """How to run a module of ours; ``-P``: never one of the same name in the caller's folder."""
    return [sys.executable, "-P", "-m", module]


def environment() -> dict[str, str]:
    """Ours, with the folder that this program's own ``server`` package lies in: never a ``server/`` of the caller."""
    spec = importlib.util.find_spec("server")
    found = Path(spec.origin).parent.parent if spec is not None and spec.origin else Path.cwd()
    path = os.pathsep.join(filter(None, [str(found), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}


def _addresses(process: subprocess.Popen[bytes], port_file: Path, log: Path, limit: float) -> dict[str, Any]:
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if port_file.is_file():
            addresses: dict[str, Any] = json.loads(port_file.read_text())
            return addresses
        if process.poll() is not None:
            raise ServerFailed(f"the server ended with code {process.returncode}", found=_tail(log))
        time.sleep(0.02)
    raise ServerFailed(f"the server did not listen within {limit:g} s", found=_tail(log))


def _tail(log: Path) -> str:
    return " / ".join(log.read_text(errors="replace").strip().splitlines()[-3:]) or "no word in its log"


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
