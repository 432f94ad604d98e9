"""Writes a bundle atomically: a temporary folder beside the target, fsync, checksums, one step into place.

A reader sees the old folder or the new one, never half of one; a writer that dies leaves only ``.NAME.writing-*`` (and
``.NAME.retired-*`` where bundle.swap needs two steps), which the next write that succeeds removes.
"""

from __future__ import annotations

import glob
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save_file

from bundle.concepts import ConceptFile
from bundle.contents import BundleContents, ConceptArrays
from bundle.disk import told_of_refusals
from bundle.errors import BundleError, BundleExists
from bundle.index import IndexEntry
from bundle.manifest import (
    MANIFEST,
    OPTIONAL_FILES,
    PROXY,
    PROXY_VECTORS,
    REQUIRED_FILES,
    SCORER,
    USER_TOWER,
    ActivationSpec,
    Dims,
    Manifest,
    checksum,
    identify,
)
from bundle.profile import UserProfile
from bundle.proxy import Proxy
from bundle.sae import SaeWeights
from bundle.swap import swap_in, sync
from bundle.version import __version__

FileWriter = Callable[[Path], None]

UNTOUCHED = "What was there is as it was. Make room, or choose another folder."


def write_bundle(
    target: Path,
    contents: BundleContents,
    files: Mapping[str, FileWriter],
    *,
    name: str,
    recommender: str,
    provenance: dict[str, Any],
    index: IndexEntry | None = None,
    user_profile: UserProfile | None = None,
    replace: bool = False,
) -> Manifest:
    """Write ``contents`` and the extra ``files`` (name -> a function that writes it) as one bundle.

    ``files`` must bring ``encoder.onnx``, ``decoder.onnx`` and ``index.faiss``; ``evaluation.*`` are optional.

    Raises:
        BundleExists: the target is there and ``replace`` is false, or it is there and is not a bundle.
        BundleCorrupt: the contents do not fit each other; nothing is written.
        BundleError: a required file is missing, or an unknown one was given; or the disk refused, and the target is as
            it was.
    """
    contents.check()
    refuse_occupied(target, replace=replace)
    own = _own_files(contents)
    unknown = (set(files) - set(REQUIRED_FILES) - set(OPTIONAL_FILES)) | (set(files) & set(own))
    missing = set(REQUIRED_FILES) - set(files) - set(own)
    if unknown or missing:
        raise BundleError(f"bundle files: missing {sorted(missing)}, not expected {sorted(unknown)}")
    with staged(target) as temporary:
        for file_name, write in {**own, **files}.items():
            write(temporary / file_name)
        entries = {path.name: checksum(path) for path in sorted(temporary.iterdir())}
        manifest = _manifest(
            contents, entries, name=name, recommender=recommender, provenance=provenance, index=index,
            user_profile=user_profile,
        )  # fmt: skip
        (temporary / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
    return manifest


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A temporary folder that is synced and takes the target's place when the block ends, and is gone if it fails.

    Raises:
        BundleError: the disk refused; what was at the target is as it was.
    """
    refusals = told_of_refusals(BundleError, f"the bundle {target} cannot be written", UNTOUCHED)
    with refusals, _staged(target) as temporary:
        yield temporary


@contextmanager
def _staged(target: Path) -> Iterator[Path]:
    with beside(target, "writing") as temporary:
        yield temporary
        temporary.chmod(0o755)
        for path in temporary.iterdir():
            path.chmod(0o644)  # safetensors writes 0600; a server may run as somebody else
            sync(path)
        sync(temporary)
        swap_in(temporary, target)
    _remove(target, "retired")


@contextmanager
def beside(target: Path, kind: str) -> Iterator[Path]:
    """A folder ``.NAME.KIND-*`` beside the target, gone after the block; what killed blocks left is removed first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove(target, kind)
    temporary = Path(mkdtemp(prefix=f".{target.name}.{kind}-", dir=target.parent))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def refuse_occupied(target: Path, *, replace: bool) -> None:
    """Raise BundleExists unless ``target`` may be written: absent, or a bundle that may be replaced.

    Callers with long work ahead ask before they start it.
    """
    if not target.exists():
        return
    if not replace:
        raise BundleExists(f"{target} is there already", hint="Choose another folder, or pass --replace.")
    if not (target / MANIFEST).is_file():
        raise BundleExists(
            f"{target} is there and is not a bundle (no {MANIFEST}), so it is not replaced",
            hint="Choose another folder.",
        )


def _remove(target: Path, kind: str) -> None:
    """Clear what an earlier writer of the same target left behind when it died."""
    for stale in target.parent.glob(f".{glob.escape(target.name)}.{kind}-*"):
        shutil.rmtree(stale, ignore_errors=True)


def _manifest(
    contents: BundleContents,
    entries: Any,
    *,
    name: str,
    recommender: str,
    provenance: dict[str, Any],
    index: IndexEntry | None,
    user_profile: UserProfile | None,
) -> Manifest:
    sae = contents.sae
    return Manifest(
        bundle_id=identify(entries),
        name=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tiller_version=__version__,
        dims=Dims(
            embedding=sae.dim,
            latents=sae.latents,
            items=contents.items.num_rows,
            concepts=len(contents.arrays.gains),
            users=len(contents.user_ids or ()),
        ),
        metric=contents.metric,
        item_bias=contents.item_bias is not None,
        scorer=contents.scorer,
        history_length=contents.history_length,
        normalise=sae.normalise,
        norm_power=sae.norm_power,
        user_activation=_activation(sae.user.activation),
        item_activation=_activation(sae.item.activation),
        recommender=recommender,
        provenance=provenance,
        files=entries,
        index=index,
        user_profile=user_profile,
    )


def _activation(activation: Any) -> ActivationSpec:
    return ActivationSpec(kind=activation.kind, k=activation.k, threshold=activation.threshold)


def concept_files(concepts: ConceptFile, arrays: ConceptArrays) -> dict[str, FileWriter]:
    """Writers of the files that say what can be steered: concepts.json, concepts.safetensors, concept_gains.npy."""
    tensors: dict[str, npt.NDArray[np.generic]] = {
        "label_bits": arrays.label_bits,
        "readout_bits": arrays.readout_bits,
        "readout_weight": arrays.readout_weight,
        "readout_bias": arrays.readout_bias,
        "readout_scale": arrays.readout_scale,
        "direction": arrays.direction,
        "direction_effect": arrays.direction_effect,
        "latent_effect": arrays.latent_effect,
    }
    return {
        "concepts.json": lambda path: _text(path, concepts.model_dump_json(indent=1)),
        "concepts.safetensors": _tensors(tensors),
        "concept_gains.npy": _array(arrays.gains),
    }


def _own_files(contents: BundleContents) -> dict[str, FileWriter]:
    codes = contents.item_codes
    own: dict[str, FileWriter] = {
        "sae.safetensors": _tensors(sae_tensors(contents.sae)),
        "items.parquet": lambda path: pq.write_table(contents.items, path, compression="zstd"),
        "item_vectors.npy": _array(contents.item_vectors),
        "item_codes.safetensors": _tensors({"indptr": codes.indptr, "indices": codes.indices, "values": codes.values}),
        **concept_files(contents.concepts, contents.arrays),
        "calibration.json": lambda path: _text(path, contents.calibration.to_json()),
    }
    if contents.item_bias is not None:
        own["item_bias.npy"] = _array(contents.item_bias)
    if contents.user_ids is not None and contents.user_vectors is not None:
        users = pa.table({"user_id": pa.array(contents.user_ids, pa.string())})
        own["users.parquet"] = lambda path: pq.write_table(users, path, compression="zstd")
        own["user_vectors.npy"] = _array(contents.user_vectors)
    for graph, source in ((SCORER, contents.scorer_onnx), (USER_TOWER, contents.user_tower_onnx)):
        if source is not None:
            own[graph] = _copied(source)
    if contents.proxy is not None:
        own |= proxy_files(contents.proxy)
    return own


def proxy_files(proxy: Proxy) -> dict[str, FileWriter]:
    """The files of a proxy and how each is written."""
    return {
        PROXY: _tensors({"anchors": proxy.anchors, "projection": proxy.projection}),
        PROXY_VECTORS: _array(proxy.vectors),
    }


def sae_tensors(sae: SaeWeights) -> dict[str, npt.NDArray[np.generic]]:
    """Names and arrays of sae.safetensors."""
    names = ("w_enc", "b_enc", "w_dec", "input_bias", "output_bias")
    return {
        f"{side}.{name}": getattr(tower, name)
        for side, tower in (("user", sae.user), ("item", sae.item))
        for name in names
    }


def _tensors(tensors: dict[str, npt.NDArray[np.generic]]) -> FileWriter:
    return lambda path: save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, path)


def _array(array: npt.NDArray[np.generic]) -> FileWriter:
    return lambda path: np.save(path, np.ascontiguousarray(array), allow_pickle=False)


def _copied(source: Path) -> FileWriter:
    def write(path: Path) -> None:
        shutil.copyfile(source, path)

    return write


def _text(path: Path, text: str) -> None:
    path.write_text(text + "\n")
