"""Puts a finished folder where a name points, in one step of the file system.

    no folder there yet     rename(new, target)
    a folder there          renameat2(new, target, RENAME_EXCHANGE), then the old one, now at ``new``, is removed

Both are atomic: whoever opens the target sees the whole old folder or the whole new one, and a writer that is killed at
any moment leaves one of the two there. A file system without the exchange (NFS; a kernel before 3.15) gets two renames:
between them, for some microseconds, the target is absent, and the old folder is kept as ``.NAME.retired-*``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

AT_FDCWD = -100
RENAME_EXCHANGE = 2  # linux/fs.h

NOT_OFFERED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})


def swap_in(new: Path, target: Path) -> None:
    """Make ``target`` the folder ``new``; what was there is removed. Both must lie on one file system.

    Raises:
        OSError: the target is as it was.
    """
    if not target.exists():
        new.rename(target)
        sync(target.parent)
        return
    leftover = new
    if not exchange(new, target):
        leftover = target.with_name(f".{target.name}.retired-{os.getpid()}")
        target.rename(leftover)
        try:
            new.rename(target)
        except OSError:
            leftover.rename(target)
            raise
    sync(target.parent)
    shutil.rmtree(leftover, ignore_errors=True)


def exchange(one: Path, other: Path) -> bool:
    """Let two names trade places; False where the system cannot.

    Raises:
        OSError: it can, and was refused.
    """
    call = _renameat2()
    if call is None:
        return False
    if call(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in NOT_OFFERED:
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))


def sync(path: Path) -> None:
    """Have a file or folder on the disk before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _renameat2() -> Callable[..., int] | None:
    """The C library's call, where it has one (glibc since 2.28)."""
    try:
        call: Callable[..., int] = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return None
    return call
