"""When did a file change?"""

from __future__ import annotations

from pathlib import Path


def stamp(file: Path) -> tuple[int, ...] | None:
    """Changes when the file does, also where Kubernetes swaps the folder that it lies in; None: there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev
