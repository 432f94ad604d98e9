"""What a disk says when it refuses, as one sentence.

Writers use libraries that each have an exception of their own for a full disk: OSError, FAISS's RuntimeError,
safetensors' SafetensorError. What they have in common is the system's own words.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from bundle.errors import TillerError

REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


@contextmanager
def told_of_refusals(kind: type[TillerError], what: str, hint: str) -> Iterator[None]:
    """Raise ``kind`` where a disk refuses what the block writes; every other exception passes as it is.

    Args:
        kind: of the error.
        what: could not be done.
        hint: what to do next.
    """
    try:
        yield
    except TillerError:
        raise
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        raise kind(what, found=reason, hint=hint) from error


def _reason(error: Exception) -> str | None:
    """The system's words, where a disk was what failed."""
    if isinstance(error, OSError):
        if error.errno is None:  # numpy: so many bytes requested, fewer written
            return str(error)
        if error.errno not in REFUSALS:
            return None
        return f"{os.strerror(error.errno)} ({error.filename})" if error.filename else os.strerror(error.errno)
    words = str(error)
    return next((text for text in map(os.strerror, REFUSALS) if text in words), None)
