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
from safetensors.numpy import load_file

from bundle.calibration import Calibration
from bundle.codes import SparseCodes
from bundle.concepts import ConceptFile
from bundle.contents import BundleContents, ConceptArrays
from bundle.errors import BundleCorrupt, BundleError, BundleMissing, BundleVersion
from bundle.manifest import (
    FORMAT_VERSION,
    MANIFEST,
    PROXY,
    PROXY_VECTORS,
    REQUIRED_FILES,
    SCORER,
    SIGNATURE,
    USER_TOWER,
    ActivationSpec,
    Manifest,
    checksum,
    identify,
)
from bundle.proxy import Proxy
from bundle.sae import Activation, SaeWeights, TowerWeights
from bundle.strings import to_list

AGAIN = "Export the bundle again."


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
    file = path / MANIFEST
    with _naming(path):
        if not path.is_dir():
            raise BundleMissing(f"no bundle at {path}", hint="Make one: python -m offline.train_sae --help")
        if not file.is_file():
            raise BundleMissing(
                f"{path} has no {MANIFEST}, so it is not a bundle", hint="Was the write cut off? Export it again."
            )
    document = _document(file)
    if document.get("kind") != "tiller.bundle":
        raise BundleCorrupt(
            f"{file}: kind", found=repr(document.get("kind")), expected="'tiller.bundle'",
            hint=AGAIN,
        )  # fmt: skip
    version = document.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise BundleVersion(
            f"{file}: format_version",
            found=repr(version),
            expected=FORMAT_VERSION,
            hint="Export it again with this Tiller, or serve it with the one that made it.",
        )
    with _naming(file):
        manifest = Manifest.model_validate(document)
    _check_graphs(file, manifest)
    return manifest


def _check_graphs(file: Path, manifest: Manifest) -> None:
    """What the manifest says about the optional graphs, and the files it lists, say the same."""
    proxied = manifest.index is not None and manifest.index.rescored > 0
    for name, field, told, there in (
        (SCORER, "scorer", manifest.scorer, manifest.scorer == "network"),
        (USER_TOWER, "history_length", manifest.history_length, manifest.history_length > 0),
        (PROXY, "index.rescored", manifest.index.rescored if manifest.index else 0, proxied),
        (PROXY_VECTORS, "index.rescored", manifest.index.rescored if manifest.index else 0, proxied),
    ):
        if there != (name in manifest.files):
            found = f"{told} " + (f"and {name}" if name in manifest.files else f"without {name}")
            raise BundleCorrupt(f"{file}: {field}", found=found, hint=AGAIN)


def verify_files(path: Path, manifest: Manifest) -> None:
    """Presence, size and checksum of every file; nothing else may lie in the folder.

    Raises:
        BundleMissing, BundleCorrupt: naming the file.
    """
    for name in REQUIRED_FILES:
        if name not in manifest.files:
            raise BundleCorrupt(f"{path / MANIFEST}: files", found=f"no {name}", hint=AGAIN)
    for name, entry in manifest.files.items():
        file = path / name
        if Path(name).name != name or name == MANIFEST:
            raise BundleCorrupt(
                f"{path / MANIFEST}: files", found=repr(name), expected="names of files in the bundle's own folder",
                hint=AGAIN,
            )  # fmt: skip
        with _naming(file):
            if not file.is_file():
                raise FileNotFoundError
            found = checksum(file)
        if found.bytes != entry.bytes:
            raise BundleCorrupt(f"{file}: size", found=found.bytes, expected=entry.bytes, hint="Copy the bundle again.")
        if found.sha256 != entry.sha256:
            raise BundleCorrupt(
                f"{file}: sha256", found=found.sha256[:12] + "...", expected=entry.sha256[:12] + "...",
                hint="The file was changed after export. Copy or export the bundle again.",
            )  # fmt: skip
    with _naming(path):
        strangers = sorted({file.name for file in path.iterdir()} - {MANIFEST, SIGNATURE, *manifest.files})
    if strangers:
        raise BundleCorrupt(
            f"{path}", found=f"{', '.join(strangers[:3])}, which the manifest does not list",
            hint="A bundle is never added to. Remove what is not its own, or copy it again.",
        )  # fmt: skip
    if identify(manifest.files) != manifest.bundle_id:
        raise BundleCorrupt(
            f"{path / MANIFEST}: bundle_id", found=manifest.bundle_id, expected=identify(manifest.files),
            hint="The manifest was edited after export. Export the bundle again.",
        )  # fmt: skip


def load_bundle(path: Path, *, verify: bool = True) -> Bundle:
    """Read a bundle; with ``verify`` (the default) every file's checksum is proved first.

    Without, only the checksums are spared, every shape is still proved: for commands that look at a bundle of the
    caller's own, and would read a gigabyte to show a line of it. Whatever serves a bundle proves it.

    Raises:
        BundleMissing, BundleVersion, BundleCorrupt: naming the file, what was found and what was expected.
    """
    manifest = read_manifest(path)
    if verify:
        verify_files(path, manifest)
    dims = manifest.dims
    sae = _sae(path / "sae.safetensors", manifest)
    with _naming(path / "item_codes.safetensors"):
        codes = SparseCodes(**load_file(path / "item_codes.safetensors"), latents=dims.latents)
    with _naming(path / "concepts.json"):
        concepts = ConceptFile.model_validate_json((path / "concepts.json").read_bytes())
    gains = _load_array(path / "concept_gains.npy")
    with _naming(path / "concepts.safetensors"):
        arrays = ConceptArrays(gains=gains, **load_file(path / "concepts.safetensors"))
    with _naming(path / "calibration.json"):
        calibration = Calibration.model_validate(_document(path / "calibration.json"))
    contents = BundleContents(
        sae=sae,
        metric=manifest.metric,
        items=_table(path / "items.parquet"),
        item_vectors=_load_array(path / "item_vectors.npy"),
        item_bias=_load_array(path / "item_bias.npy") if manifest.item_bias else None,
        item_codes=codes,
        concepts=concepts,
        arrays=arrays,
        calibration=calibration,
        user_ids=_user_ids(path / "users.parquet") if dims.users else None,
        user_vectors=_load_array(path / "user_vectors.npy") if dims.users else None,
        scorer_onnx=path / SCORER if manifest.scorer == "network" else None,
        user_tower_onnx=path / USER_TOWER if manifest.history_length else None,
        history_length=manifest.history_length,
        proxy=_proxy(path) if PROXY in manifest.files else None,
    )
    with _naming(path):
        contents.check()
    found = (sae.dim, sae.latents, contents.items.num_rows, len(arrays.gains), len(contents.user_ids or ()))
    wanted = (dims.embedding, dims.latents, dims.items, dims.concepts, dims.users)
    if found != wanted:
        raise BundleCorrupt(f"{path / MANIFEST}: dims", found=found, expected=wanted, hint=AGAIN)
    return Bundle(path, manifest, contents)


def _sae(file: Path, manifest: Manifest) -> SaeWeights:
    with _naming(file):
        tensors = load_file(file)
        towers = {
            side: TowerWeights(
                **{
                    name: tensors[f"{side}.{name}"] for name in ("w_enc", "b_enc", "w_dec", "input_bias", "output_bias")
                },
                activation=_activation(spec),
            )
            for side, spec in (("user", manifest.user_activation), ("item", manifest.item_activation))
        }
        return SaeWeights(
            user=towers["user"],
            item=towers["item"],
            normalise=manifest.normalise,
            norm_power=manifest.norm_power,
        )


def _proxy(path: Path) -> Proxy:
    with _naming(path / PROXY):
        return Proxy(**load_file(path / PROXY), vectors=_load_array(path / PROXY_VECTORS))


def _activation(spec: ActivationSpec) -> Activation:
    return Activation(spec.kind, spec.k, spec.threshold)


def _document(file: Path) -> dict[str, Any]:
    with _naming(file):
        document = json.loads(file.read_bytes())
        if not isinstance(document, dict):
            raise BundleCorrupt("the document", found=type(document).__name__, expected="an object")
        return document


def _load_array(file: Path) -> npt.NDArray[Any]:
    with _naming(file):
        array: npt.NDArray[Any] = np.lib.format.open_memmap(file, mode="r")  # .npy and nothing else; never unpickles
        return array


def _table(file: Path) -> pa.Table:
    with _naming(file):
        return pq.read_table(file, memory_map=True)


def _user_ids(file: Path) -> list[str]:
    with _naming(file):
        column = _table(file)["user_id"]
        if not pa.types.is_string(column.type) or column.null_count:
            raise BundleCorrupt(
                "user_id", found=f"{column.type}, {column.null_count} empty", expected="a string in each"
            )
        return to_list(column)


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Turn whatever a parser says into a BundleCorrupt that names the file.

    Every exception: on hostile bytes the parsers here raise some twenty kinds (numpy alone ValueError, SyntaxError,
    tokenize.TokenError, RecursionError), and the next release may add one.
    """
    try:
        yield
    except BundleError as error:
        if str(file) in error.what:
            raise
        raise BundleCorrupt(
            f"{file}: {error.what}", found=error.found, expected=error.expected, hint=error.hint or AGAIN
        ) from error
    except FileNotFoundError as error:
        raise BundleMissing(f"{file} is missing", hint="Copy the bundle again, whole.") from error
    except ValidationError as error:
        raise BundleCorrupt(f"{file}", found=_first(error), hint=AGAIN) from error
    except PermissionError as error:
        raise BundleError(f"{error.filename or file} cannot be read", found=error.strerror) from error
    except Exception as error:
        raise BundleCorrupt(f"{file}", found=f"{type(error).__name__}: {error}", hint=AGAIN) from error


def _first(error: ValidationError) -> str:
    detail = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in detail['loc']) or 'document'}: {detail['msg']}"
