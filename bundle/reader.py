"""Reads and verifies a bundle. Large arrays are memory-mapped; nothing is unpickled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file

from bundle.codes import SparseCodes
from bundle.concepts import ConceptFile
from bundle.contents import BundleContents, ConceptArrays
from bundle.errors import BundleCorrupt, BundleMissing, BundleVersion
from bundle.manifest import FORMAT_VERSION, MANIFEST, REQUIRED_FILES, ActivationSpec, Manifest, checksum, identify
from bundle.sae import Activation, SaeWeights, TowerWeights


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: its folder, its manifest, and what it holds."""

    path: Path
    manifest: Manifest
    contents: BundleContents


def read_manifest(path: Path) -> Manifest:
    """The manifest alone, its version and document checked.

    Raises:
        BundleMissing: no folder or no manifest.
        BundleVersion: a format this Tiller does not read.
        BundleCorrupt: not the document it should be.
    """
    if not path.is_dir():
        raise BundleMissing(f"no bundle at {path}", hint="Make one: python -m offline.train_sae --help")
    file = path / MANIFEST
    if not file.is_file():
        raise BundleMissing(
            f"{path} has no {MANIFEST}, so it is not a bundle", hint="Was the write cut off? Export it again."
        )
    try:
        document = json.loads(file.read_text())
        if not isinstance(document, dict) or document.get("kind") != "tiller.bundle":
            raise ValueError("not a bundle manifest")
    except (ValueError, UnicodeDecodeError) as error:
        raise BundleCorrupt(f"{file}", found=f"not a manifest ({error})", hint="Export the bundle again.") from error
    version = document.get("format_version")
    if version != FORMAT_VERSION:
        raise BundleVersion(
            f"{file}: format_version",
            found=version,
            expected=FORMAT_VERSION,
            hint="Export it again with this Tiller, or serve it with the one that made it.",
        )
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        raise BundleCorrupt(f"{file}", found=_first(error), hint="Export the bundle again.") from error


def verify_files(path: Path, manifest: Manifest) -> None:
    """Presence, size and checksum of every file; nothing else may lie in the folder.

    Raises:
        BundleMissing, BundleCorrupt: naming the file.
    """
    for name in REQUIRED_FILES:
        if name not in manifest.files:
            raise BundleCorrupt(f"{path / MANIFEST}: files", found=f"no {name}", hint="Export the bundle again.")
    for name, entry in manifest.files.items():
        file = path / name
        if Path(name).name != name or not file.is_file():
            raise BundleMissing(f"{file} is missing", hint="Copy the bundle again, whole.")
        found = checksum(file)
        if found.bytes != entry.bytes:
            raise BundleCorrupt(f"{file}: size", found=found.bytes, expected=entry.bytes, hint="Copy the bundle again.")
        if found.sha256 != entry.sha256:
            raise BundleCorrupt(
                f"{file}: sha256", found=found.sha256[:12] + "...", expected=entry.sha256[:12] + "...",
                hint="The file was changed after export. Copy or export the bundle again.",
            )  # fmt: skip
    if identify(manifest.files) != manifest.bundle_id:
        raise BundleCorrupt(
            f"{path / MANIFEST}: bundle_id", found=manifest.bundle_id, expected=identify(manifest.files),
            hint="The manifest was edited after export. Export the bundle again.",
        )  # fmt: skip


def load_bundle(path: Path, *, verify: bool = True) -> Bundle:
    """Read a bundle; with ``verify`` (the default) every file's checksum is proved first.

    Raises:
        BundleMissing, BundleVersion, BundleCorrupt: naming the file, what was found and what was expected.
    """
    manifest = read_manifest(path)
    if verify:
        verify_files(path, manifest)
    dims = manifest.dims
    tensors = _load_tensors(path / "concepts.safetensors")
    codes = _load_tensors(path / "item_codes.safetensors")
    has_users = dims.users > 0
    with _naming(path / "concepts.json"):
        concepts = ConceptFile.model_validate_json((path / "concepts.json").read_text())
    with _naming(path / "calibration.json"):
        calibration = json.loads((path / "calibration.json").read_text())
    with _naming(path):
        contents = BundleContents(
            sae=_sae(path / "sae.safetensors", manifest),
            metric=manifest.metric,
            items=_table(path / "items.parquet"),
            item_vectors=_load_array(path / "item_vectors.npy"),
            item_bias=_load_array(path / "item_bias.npy") if manifest.item_bias else None,
            item_codes=SparseCodes(codes["indptr"], codes["indices"], codes["values"], dims.latents),
            concepts=concepts,
            arrays=ConceptArrays(gains=_load_array(path / "concept_gains.npy"), **tensors),
            calibration=calibration,
            user_ids=_table(path / "users.parquet")["user_id"].to_pylist() if has_users else None,
            user_vectors=_load_array(path / "user_vectors.npy") if has_users else None,
        )
        contents.check()
    found = (contents.sae.dim, contents.sae.latents, contents.items.num_rows, len(contents.arrays.gains))
    wanted = (dims.embedding, dims.latents, dims.items, dims.concepts)
    if found != wanted:
        raise BundleCorrupt(f"{path / MANIFEST}: dims", found=found, expected=wanted, hint="Export the bundle again.")
    return Bundle(path, manifest, contents)


def _sae(file: Path, manifest: Manifest) -> SaeWeights:
    tensors = _load_tensors(file)
    with _naming(file):
        towers = {
            side: TowerWeights(
                **{
                    name: tensors[f"{side}.{name}"] for name in ("w_enc", "b_enc", "w_dec", "input_bias", "output_bias")
                },
                activation=_activation(spec),
            )
            for side, spec in (("user", manifest.user_activation), ("item", manifest.item_activation))
        }
        return SaeWeights(user=towers["user"], item=towers["item"], normalise=manifest.normalise)


def _activation(spec: ActivationSpec) -> Activation:
    return Activation(spec.kind, spec.k, spec.threshold)


def _load_tensors(file: Path) -> dict[str, npt.NDArray[Any]]:
    with _naming(file):
        return dict(load_file(file))


def _load_array(file: Path) -> npt.NDArray[Any]:
    with _naming(file):
        array: npt.NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
        return array


def _table(file: Path) -> pa.Table:
    with _naming(file):
        return pq.read_table(file, memory_map=True)


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Turn whatever a parser says into a BundleCorrupt that names the file."""
    try:
        yield
    except BundleCorrupt as error:
        if error.what.startswith(str(file.parent)):
            raise
        raise BundleCorrupt(
            f"{file}: {error.what}", found=error.found, expected=error.expected, hint=error.hint
        ) from error
    except FileNotFoundError as error:
        raise BundleMissing(f"{error.filename or file} is missing", hint="Copy the bundle again, whole.") from error
    except ValidationError as error:
        raise BundleCorrupt(f"{file}", found=_first(error), hint="Export the bundle again.") from error
    except (ValueError, KeyError, TypeError, EOFError, SafetensorError, pa.ArrowException, OSError) as error:
        raise BundleCorrupt(
            f"{file}", found=f"{type(error).__name__}: {error}", hint="Export the bundle again."
        ) from error


def _first(error: ValidationError) -> str:
    detail = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in detail['loc']) or 'document'}: {detail['msg']}"
