"""Edits a bundle the way an adversary or a bug would: with checksums made to fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from bundle.manifest import MANIFEST, FileEntry, checksum, identify


def manifest_of(folder: Path) -> dict[str, Any]:
    """manifest.json as it lies there."""
    document: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    return document


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the manifest in place; its own id is not made to fit."""
    document = manifest_of(folder)
    change(document)
    (folder / MANIFEST).write_text(json.dumps(document))


def sign(folder: Path) -> None:
    """Make the manifest's checksums and id those of the files that are there."""
    document = manifest_of(folder)
    entries = {name: checksum(folder / name) for name in document["files"]}
    document["files"] = {name: entry.model_dump() for name, entry in entries.items()}
    document["bundle_id"] = identify(entries)
    (folder / MANIFEST).write_text(json.dumps(document))


def identity_of(files: dict[str, Any]) -> str:
    """The id that a manifest with these files must carry."""
    return identify({name: FileEntry(**entry) for name, entry in files.items()})


def forge_bytes(folder: Path, name: str, data: bytes) -> None:
    """Put other bytes into a file, and sign."""
    (folder / name).write_bytes(data)
    sign(folder)


def forge_array(folder: Path, name: str, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> None:
    """Change a .npy file, and sign."""
    array = change(np.load(folder / name))
    np.save(folder / name, array)
    sign(folder)


def forge_tensors(folder: Path, name: str, change: Callable[[dict[str, npt.NDArray[Any]]], Any]) -> None:
    """Change the tensors of a safetensors file in place, and sign."""
    tensors = load_file(folder / name)
    change(tensors)
    save_file(tensors, folder / name)
    sign(folder)


def forge_json(folder: Path, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a JSON document in place, and sign."""
    document = json.loads((folder / name).read_text())
    change(document)
    forge_bytes(folder, name, json.dumps(document).encode())
