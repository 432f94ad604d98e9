"""A bundle with some other files: bundles are immutable, so a new folder beside or in place of the old one.

The files that stay are linked, where the file system can, so that a second bundle costs what is new in it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bundle.manifest import MANIFEST, Manifest, checksum, identify
from bundle.reader import Bundle
from bundle.version import __version__
from bundle.writer import FileWriter, refuse_occupied, staged


def write_with(
    source: Bundle,
    target: Path,
    files: Mapping[str, FileWriter],
    *,
    fields: Mapping[str, Any],
    provenance: Mapping[str, Any],
    replace: bool = False,
) -> Manifest:
    """Write ``source`` with ``files`` in the place of its own, under an id of its own.

    Args:
        source: a loaded bundle.
        target: folder of the new one; may be the source's own, with ``replace``.
        files: name -> a function that writes it.
        fields: manifest fields that change with them.
        provenance: what is added to the source's provenance.
        replace: whether a bundle at ``target`` may be replaced.

    Raises:
        BundleExists: the target is there and ``replace`` is false, or it is there and is not a bundle.
        BundleError: the disk refused; the target is as it was.
    """
    refuse_occupied(target, replace=replace)
    manifest = source.manifest
    with staged(target) as temporary:
        entries = dict(manifest.files)
        for name in entries:
            if name not in files:
                _link(source.path / name, temporary / name)
        for name, write in files.items():
            write(temporary / name)
            entries[name] = checksum(temporary / name)
        made = manifest.model_copy(
            update={
                **fields,
                "bundle_id": identify(entries),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "tiller_version": __version__,
                "provenance": {**manifest.provenance, **provenance},
                "files": entries,
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
