"""A link that says which bundle is served: pointed elsewhere, and back, each in one step of the file system.

    current -> v2          what servers follow
    .current.previous -> v1    where it led before

Whoever opens the link sees the old bundle or the new one, never neither; processes that watch it follow by themselves.
"""

from __future__ import annotations

import os
from pathlib import Path

from bundle.errors import BundleError, BundleMissing
from bundle.swap import sync


def point(link: Path, bundle: Path) -> Path | None:
    """Have ``link`` lead to ``bundle``; the folder that it led to before, None: it is new or led nowhere.

    Raises:
        BundleError: something else than a link lies there.
    """
    if link.exists() and not link.is_symlink():
        raise BundleError(
            f"{link} is no link", expected="a link to a bundle, or nothing yet",
            hint=f"Move the bundle away, for example to {link}-1, and serve the link.",
        )  # fmt: skip
    before = link.resolve() if link.is_symlink() else None
    if before == bundle.resolve():
        return before
    if before is not None:
        _replace(previous_of(link), before)
    _replace(link, bundle.resolve())
    return before


def point_back(link: Path) -> tuple[Path, Path]:
    """Have ``link`` lead where it led before, and remember where it leads now; (the folder now, the one before).

    Raises:
        BundleMissing: there is no link, or none before it.
    """
    kept = previous_of(link)
    for needed in (link, kept):
        if not needed.is_symlink():
            raise BundleMissing(
                f"there is no link {needed}", hint="One is kept once `tiller bundle use BUNDLE --link LINK` moved it."
            )
    now, back = link.resolve(), kept.resolve()
    _replace(kept, now)
    _replace(link, back)
    return back, now


def previous_of(link: Path) -> Path:
    """The link to the bundle before."""
    return link.with_name(f".{link.name}.previous")


def _replace(link: Path, target: Path) -> None:
    """One rename. A target below the link's folder is named relative to it: a mount may have another name inside."""
    folder = link.parent.resolve()
    named = target.relative_to(folder) if folder in target.parents else target
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(named)
        temporary.replace(link)
        sync(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise BundleError(f"cannot write the link {link}", found=error.strerror) from error
