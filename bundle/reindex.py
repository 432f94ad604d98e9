"""A bundle with another search index (docs/indexes.md)."""

from __future__ import annotations

from pathlib import Path

from bundle.errors import BundleError
from bundle.index import IndexEntry
from bundle.manifest import Manifest
from bundle.proxy import Proxy
from bundle.reader import Bundle
from bundle.rewrite import write_with
from bundle.writer import FileWriter, proxy_files

INDEX = "index.faiss"


def write_reindexed(
    source: Bundle,
    target: Path,
    write_index: FileWriter,
    entry: IndexEntry,
    *,
    proxy: Proxy | None = None,
    replace: bool = False,
) -> Manifest:
    """Write ``source`` with the index that ``write_index`` writes; the other files are linked, or copied.

    ``proxy``: what the index is over, where a scorer network's bundle gets new proxies with it.

    The new bundle has its own id, its manifest the ``entry``, its provenance the id it was made from.

    Raises:
        BundleError: the entry's recall is under its gate; nothing is written.
        BundleExists: the target is there and ``replace`` is false, or it is there and is not a bundle.
        BundleError: the disk refused; the target is as it was.
    """
    worst = entry.worst
    if worst is not None and not entry.passed:
        raise BundleError(f"{entry.kind} index, {worst.query}: recall", found=worst.lowest, expected=f">= {entry.gate}")
    return write_with(
        source, target, {INDEX: write_index, **({} if proxy is None else proxy_files(proxy))}, fields={"index": entry},
        provenance={"reindexed_from": source.manifest.bundle_id}, replace=replace,
    )  # fmt: skip
