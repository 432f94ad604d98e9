"""Looks again whenever the policy folder, or what the bundle's path leads to, may have changed.

The system tells of changes inside a watched folder at once; every few seconds everything is looked at all the same, for
what it does not tell: a link to another folder now, a network file system, a folder made anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from watchfiles import awatch

from server.reload.listener import Listener
from server.reload.served import Served

GROUPED_MS, STEP_MS = 400, 100
"""Changes that come within the first time are one; the second is how often the watching thread wakes."""

MOST_LINKS = 40


async def watch_policies(served: Served, folder: Path, poll_seconds: float, listener: Listener) -> None:
    """Reload the policies whenever their folder may have changed, until cancelled."""

    async def again() -> None:
        await served.reload("watch")

    await _watch(lambda: (folder,), poll_seconds, again, lambda reason: listener.unwatched("policy folder", reason))


async def watch_bundle(served: Served, path: Path, poll_seconds: float, listener: Listener) -> None:
    """Take another bundle whenever the path leads to another one, until cancelled."""

    async def again() -> None:
        await served.look_again("watch")

    await _watch(
        lambda: link_folders(path), poll_seconds, again, lambda reason: listener.unwatched("bundle path", reason)
    )


def link_folders(path: Path) -> tuple[Path, ...]:
    """The folders in which a path can come to lead elsewhere: that of its last name, and of every link on its way."""
    found: dict[Path, None] = {}
    left, links = path.absolute(), 0
    found[left.parent] = None
    walked = Path(left.anchor)
    names = list(left.parts[1:])
    while names and links < MOST_LINKS:
        name = names.pop(0)
        if name == "..":
            walked = walked.parent
            continue
        step = walked / name
        try:
            target = step.readlink()
        except OSError:
            walked = step
            continue
        links += 1
        found[walked] = None
        if target.is_absolute():
            walked = Path(target.anchor)
        names = [*target.parts[target.is_absolute() :], *names]
    return tuple(folder for folder in found if folder.is_dir())


async def _watch(
    folders: Callable[[], tuple[Path, ...]], poll_seconds: float, again: Callable[[], Awaitable[None]],
    unwatched: Callable[[str], None],
) -> None:  # fmt: skip
    told = False
    while True:
        watched = folders()
        mark = _identity(watched)
        try:
            async for _ in awatch(
                *watched, watch_filter=None, debounce=GROUPED_MS, step=STEP_MS, recursive=False, yield_on_timeout=True,
                rust_timeout=max(1, int(poll_seconds * 1000)),
            ):  # fmt: skip
                await again()
                now = folders()
                if now != watched or _identity(now) != mark:
                    break
        except (OSError, RuntimeError) as error:  # a folder is gone, or the system watches no more folders
            if not told and all(folder.exists() for folder in watched):
                told = True
                unwatched(str(error))
            await asyncio.sleep(poll_seconds)
            await again()


def _identity(folders: tuple[Path, ...]) -> list[tuple[int, int] | None]:
    return [_of(folder) for folder in folders]


def _of(folder: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        found = folder.stat()
        return found.st_dev, found.st_ino
    return None
