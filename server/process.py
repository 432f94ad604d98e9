"""What makes a running server a process: its signals, and the file that says where it listens."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from bundle.errors import TillerError


async def until_told_to_stop(on_hangup: Callable[[], Awaitable[object]]) -> None:
    """Wait for SIGTERM or SIGINT; on every SIGHUP run ``on_hangup``. A second signal to stop stops at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    under_way: set[asyncio.Future[object]] = set()

    def hang_up() -> None:
        task = asyncio.ensure_future(on_hangup())
        under_way.add(task)  # a task that nobody holds may vanish
        task.add_done_callback(under_way.discard)

    def ask_to_stop() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_to_stop)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    await stop.wait()


@contextmanager
def port_file(path: Path | None, content: Mapping[str, object]) -> Iterator[None]:
    """``content`` as JSON in a file, written in one step, while the block lasts.

    Raises:
        TillerError: it cannot be written.
    """
    if path is None:
        yield
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(content) + "\n")
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise TillerError(f"cannot write the port file {path}", found=error.strerror) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
