"""A bundle with another index: bundles are immutable, so a new folder beside or in place of the old one."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from bundle.errors import BundleError
from bundle.index import IndexEntry
from bundle.manifest import MANIFEST, Manifest, checksum, identify
from bundle.reader import Bundle
from bundle.version import __version__
from bundle.writer import FileWriter, refuse_occupied, staged

INDEX = "index.faiss"


def write_reindexed(
    source: Bundle, target: Path, write_index: FileWriter, entry: IndexEntry, *, replace: bool = False
) -> Manifest:
    """Write ``source`` with the index that ``write_index`` writes; the other files are linked, or copied.

    The new bundle has its own id, its manifest the ``entry``, its provenance the id it was made from.

    Raises:
        BundleError: the entry's recall is under its gate; nothing is written.
        BundleExists: the target is there and ``replace`` is false, or it is there and is not a bundle.
        OSError: the disk said no; the target is as it was.
    """
    worst = entry.worst
    if worst is not None and not entry.passed:
        raise BundleError(f"{entry.kind} index, {worst.query}: recall", found=worst.lowest, expected=f">= {entry.gate}")
    refuse_occupied(target, replace=replace)
    manifest = source.manifest
    with staged(target) as temporary:
        files = dict(manifest.files)
        for name in files:
            if name != INDEX:
                _link(source.path / name, temporary / name)
        write_index(temporary / INDEX)
        files[INDEX] = checksum(temporary / INDEX)
        made = manifest.model_copy(
            update={
                "bundle_id": identify(files),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "tiller_version": __version__,
                "provenance": {**manifest.provenance, "reindexed_from": manifest.bundle_id},
                "files": files,
                "index": entry,
            }
        )
        (temporary / MANIFEST).write_text(made.model_dump_json(indent=2) + "\n")
    return made


def _link(source: Path, target: Path) -> None:
    """The same file again without its bytes twice, where the file system can."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
