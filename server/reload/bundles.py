"""A path to a bundle, looked at while its bundle is served: what it leads to, and whether that has changed."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bundle.errors import BundleError, TillerError
from server.errors import NotAllowed

Outcome = Literal["loaded", "unchanged", "refused", "rolled_back"]

REST_SECONDS = 0.1
"""Between two looks that must agree: a copy writes a bundle file by file."""

MOST_LOOKS = 600


@dataclass(frozen=True, slots=True)
class Swap:
    """What an attempt to serve another bundle came to. ``bundle_id`` is the one in force now; ``error``: why not."""

    outcome: Outcome
    bundle_id: str
    seconds: float
    error: TillerError | None = None


@dataclass(frozen=True, slots=True)
class BundleStatus:
    """Times are Unix seconds. ``folder``: where the bundle in force lies; ``previous``: id of the one kept for a
    rollback, empty for none; ``error``: why the last attempt was refused, None once another one came into force.
    """

    path: str
    folder: str
    loaded_at: float
    swaps: int
    refusals: int
    previous: str
    error: TillerError | None


Mark = tuple[object, ...]


def mark_of(path: Path) -> Mark:
    """Tells two states of what a path leads to apart: the folder behind its links, and its files' sizes and times."""
    try:
        folder = path.resolve(strict=True)
        own = folder.stat()
        files = tuple(
            sorted((entry.name, entry.stat().st_size, entry.stat().st_mtime_ns) for entry in os.scandir(folder))
        )
    except (OSError, RuntimeError) as error:  # RuntimeError: links that lead to each other
        return ("gone", type(error).__name__)
    return (str(folder), own.st_dev, own.st_ino, files)


def rested(path: Path) -> Mark:
    """The mark once two looks agree.

    Raises:
        BundleError: it went on changing for a minute.
    """
    before = mark_of(path)
    for _ in range(MOST_LOOKS):
        time.sleep(REST_SECONDS)
        now = mark_of(path)
        if now == before:
            return now
        before = now
    raise BundleError(f"{path} does not come to rest", found="other files at every look")


def confined(given: str, root: Path | None) -> Path:
    """The folder that a caller names, behind every link, below ``root``; relative to it or absolute.

    Raises:
        NotAllowed: there is no root, or the path leads out of it. Whether something lies there is not told.
    """
    if root is None:
        raise NotAllowed(
            "this server takes no bundles by name", field="path",
            hint="Start it with --bundles-root DIR, or point the link that --bundle names to another bundle.",
        )  # fmt: skip
    outside = NotAllowed(
        "path", field="path", found=repr(given[:200]), expected=f"a folder below the bundles root {root}"
    )
    if not given or "\0" in given:
        raise outside
    try:
        base = root.resolve(strict=True)
        found = (base / given).resolve()
    except (OSError, RuntimeError) as error:
        raise outside from error
    if base not in found.parents:
        raise outside
    return found
