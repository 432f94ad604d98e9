"""Every way a bundle can be wrong, with the whole sentence that says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bundle import Calibration, load_bundle
from bundle.errors import BundleCorrupt, BundleError, BundleMissing, BundleVersion
from bundle.manifest import MANIFEST
from tests.bundle.forge import (
    edit_manifest,
    forge_array,
    forge_bytes,
    forge_json,
    forge_tensors,
    identity_of,
    manifest_of,
    sign,
)

AGAIN = "Export the bundle again."


def refusal(folder: Path, kind: type[BundleError] = BundleCorrupt) -> str:
    """The sentence, with the folder's path written as DIR."""
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    assert type(caught.value) is kind, caught.value
    return str(caught.value).replace(str(folder), "DIR")


def test_no_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none", BundleMissing) == (
        "no bundle at DIR. Make one: python -m offline.train_sae --help"
    )


def test_no_manifest(bundle: Path) -> None:
    (bundle / MANIFEST).unlink()
    assert refusal(bundle, BundleMissing) == (
        "DIR has no manifest.json, so it is not a bundle. Was the write cut off? Export it again."
    )


def test_manifest_is_a_folder(bundle: Path) -> None:
    (bundle / MANIFEST).unlink()
    (bundle / MANIFEST).mkdir()
    assert refusal(bundle, BundleMissing).startswith("DIR has no manifest.json")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
        (b"{", "JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (b"\xff\xfe{", "UnicodeDecodeError: 'utf-16-le' codec can't decode byte 0x7b in position 2: truncated data"),
        (
            b"[" * 100_000,
            "RecursionError: maximum recursion depth exceeded while decoding a JSON array from a unicode string",
        ),
    ],
    ids=["empty", "cut off", "not text", "too deep"],
)
def test_manifest_is_not_json(bundle: Path, text: bytes, found: str) -> None:
    (bundle / MANIFEST).write_bytes(text)
    assert refusal(bundle) == f"DIR/manifest.json: found {found}. {AGAIN}"


def test_manifest_is_no_object(bundle: Path) -> None:
    (bundle / MANIFEST).write_text("[]")
    assert refusal(bundle) == f"DIR/manifest.json: the document: found list, expected an object. {AGAIN}"


def test_manifest_of_something_else(bundle: Path) -> None:
    (bundle / MANIFEST).write_text('{"kind": "npm", "version": 3}')
    assert refusal(bundle) == f"DIR/manifest.json: kind: found 'npm', expected 'tiller.bundle'. {AGAIN}"


@pytest.mark.parametrize("version", [2, 0, "1", 1.0, True, None])
def test_other_format_versions(bundle: Path, version: object) -> None:
    edit_manifest(bundle, lambda manifest: manifest.update(format_version=version))
    assert refusal(bundle, BundleVersion) == (
        f"DIR/manifest.json: format_version: found {version!r}, expected 1. "
        "Export it again with this Tiller, or serve it with the one that made it."
    )


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda m: m.update(colour="blue"), "colour: Extra inputs are not permitted"),
        (lambda m: m.pop("metric"), "metric: Field required"),
        (lambda m: m.update(metric="l2"), "metric: Input should be 'dot' or 'cosine'"),
        (lambda m: m["dims"].update(items=0), "dims.items: Input should be greater than or equal to 1"),
        (
            lambda m: m["files"]["index.faiss"].update(sha256="no"),
            "files.index.faiss.sha256: String should match pattern '^[0-9a-f]{64}$'",
        ),
    ],
    ids=["unknown key", "missing key", "unknown metric", "no items", "no checksum"],
)
def test_manifest_schema(bundle: Path, change: Callable[[dict[str, Any]], Any], found: str) -> None:
    edit_manifest(bundle, change)
    assert refusal(bundle) == f"DIR/manifest.json: found {found}. {AGAIN}"


def test_a_file_that_every_bundle_has_is_not_listed(bundle: Path) -> None:
    edit_manifest(bundle, lambda manifest: manifest["files"].pop("decoder.onnx"))
    assert refusal(bundle) == f"DIR/manifest.json: files: found no decoder.onnx. {AGAIN}"


@pytest.mark.parametrize("name", ["../outside.npy", "sub/inside.npy", "/etc/hostname", MANIFEST])
def test_a_listed_name_leaves_the_folder(bundle: Path, name: str) -> None:
    """Even where the file is there and its checksum is right."""
    edit_manifest(bundle, lambda manifest: manifest["files"].update({name: manifest["files"]["index.faiss"]}))
    assert refusal(bundle) == (
        f"DIR/manifest.json: files: found {name!r}, expected names of files in the bundle's own folder. {AGAIN}"
    )


def test_a_file_is_gone(bundle: Path) -> None:
    for name in manifest_of(bundle)["files"]:
        shutil.move(bundle / name, bundle.parent / "aside")
        assert refusal(bundle, BundleMissing) == f"DIR/{name} is missing. Copy the bundle again, whole."
        shutil.move(bundle.parent / "aside", bundle / name)
    load_bundle(bundle)


def test_a_file_too_many(bundle: Path) -> None:
    (bundle / "notes.txt").write_text("mine")
    assert refusal(bundle) == (
        "DIR: found notes.txt, which the manifest does not list. "
        "A bundle is never added to. Remove what is not its own, or copy it again."
    )


def test_one_bit_of_each_file(bundle: Path) -> None:
    """The middle bit of every file flipped, one file at a time: each is found and named."""
    for name, entry in manifest_of(bundle)["files"].items():
        data = bytearray((bundle / name).read_bytes())
        data[len(data) // 2] ^= 0x10
        (bundle / name).write_bytes(data)
        sentence = refusal(bundle)
        data[len(data) // 2] ^= 0x10
        (bundle / name).write_bytes(data)
        assert sentence.startswith(f"DIR/{name}: sha256: found ")
        assert sentence.endswith(
            f"..., expected {entry['sha256'][:12]}... The file was changed after export. "
            "Copy or export the bundle again."
        )
    load_bundle(bundle)


def test_each_file_cut_short(bundle: Path) -> None:
    for name, entry in manifest_of(bundle)["files"].items():
        data = (bundle / name).read_bytes()
        for kept in (0, len(data) - 1):
            (bundle / name).write_bytes(data[:kept])
            assert refusal(bundle) == (
                f"DIR/{name}: size: found {kept}, expected {entry['bytes']}. Copy the bundle again."
            )
        (bundle / name).write_bytes(data)
    load_bundle(bundle)


def test_checksums_made_to_fit_but_not_the_id(bundle: Path) -> None:
    before = manifest_of(bundle)
    (bundle / "calibration.json").write_text('{"unit": "furlong"}')
    sign(bundle)
    after = manifest_of(bundle)
    edit_manifest(bundle, lambda manifest: manifest.update(bundle_id=before["bundle_id"]))
    assert refusal(bundle) == (
        f"DIR/manifest.json: bundle_id: found {before['bundle_id']}, expected {identity_of(after['files'])}. "
        "The manifest was edited after export. Export the bundle again."
    )


def tensors(name: str, **changes: Callable[[Any], Any]) -> Callable[[Path], None]:
    """A forgery that replaces the named tensors."""

    def forge(folder: Path) -> None:
        forge_tensors(folder, name, lambda held: held.update({key: make(held[key]) for key, make in changes.items()}))

    return forge


def with_nan(array: Any) -> Any:
    changed = np.array(array)
    changed.flat[0] = np.nan
    return changed


# What a bug in an exporter, or malice with good checksums, would look like: (forgery, the sentence).
FORGERIES: dict[str, tuple[Callable[[Path], None], str]] = {
    "vectors of another width": (
        lambda f: forge_array(f, "item_vectors.npy", lambda a: np.ascontiguousarray(a[:, :7])),
        "DIR: item vectors: found float32 (60, 7), expected float32 (60, 8)",
    ),
    "vectors in double": (
        lambda f: forge_array(f, "item_vectors.npy", lambda a: a.astype(np.float64)),
        "DIR: item vectors: found float64 (60, 8), expected float32 (60, 8)",
    ),
    "a vector with NaN": (
        lambda f: forge_array(f, "item_vectors.npy", with_nan),
        "DIR: item vectors: found NaN or infinity, expected finite numbers",
    ),
    "pickled vectors": (
        lambda f: forge_array(f, "item_vectors.npy", lambda a: a.astype(object)),
        "DIR/item_vectors.npy: found ValueError: Array can't be memory-mapped: Python objects in dtype.",
    ),
    "user vectors of another width": (
        lambda f: forge_array(f, "user_vectors.npy", lambda a: np.ascontiguousarray(a[:, :7])),
        "DIR: user vectors: found float32 (8, 7), expected float32 (8, 8)",
    ),
    "a bias too few": (
        lambda f: forge_array(f, "item_bias.npy", lambda a: a[1:]),
        "DIR: item bias: found float32 (59,), expected float32 (60,)",
    ),
    "gains above one": (
        lambda f: forge_array(f, "concept_gains.npy", lambda a: np.full_like(a, 2)),
        "DIR: concept array gains: found 2.0 to 2.0, expected 0 to 1",
    ),
    "gains of another catalogue": (
        lambda f: forge_array(f, "concept_gains.npy", lambda a: a[:, 1:].copy()),
        "DIR: concept array gains: found float32 (6, 59), expected float32 (6, 60)",
    ),
    "a tensor too few": (
        lambda f: forge_tensors(f, "concepts.safetensors", lambda held: held.pop("direction")),
        "DIR/concepts.safetensors: found TypeError: ConceptArrays.__init__() missing 1 required positional "
        "argument: 'direction'",
    ),
    "a tensor too many": (
        lambda f: forge_tensors(f, "concepts.safetensors", lambda held: held.update(more=np.zeros(1))),
        "DIR/concepts.safetensors: found TypeError: ConceptArrays.__init__() got an unexpected keyword argument 'more'",
    ),
    "membership of another catalogue": (
        tensors("concepts.safetensors", label_bits=lambda a: a[:, 1:].copy()),
        "DIR: concept array label_bits: found uint8 (6, 7), expected uint8 (6, 8)",
    ),
    "a decoder of another width": (
        tensors("sae.safetensors", **{"user.w_dec": lambda a: a[:, 1:].copy()}),
        "DIR/sae.safetensors: SAE w_dec: found float32 (12, 7), expected float32 (12, 8)",
    ),
    "a weight with NaN": (
        tensors("sae.safetensors", **{"item.b_enc": with_nan}),
        "DIR/sae.safetensors: SAE b_enc: found NaN or infinity, expected finite numbers",
    ),
    "codes that repeat a latent": (
        tensors("item_codes.safetensors", indices=np.zeros_like),
        "DIR/item_codes.safetensors: item codes: indices: found not rising within a row, expected each latent once",
    ),
    "codes below zero": (
        tensors("item_codes.safetensors", values=np.negative),
        "DIR/item_codes.safetensors: item codes: values: found zero, below zero, NaN or infinity, "
        "expected above zero and finite",
    ),
    "codes of latents that are not there": (
        tensors("item_codes.safetensors", indices=lambda a: a + 5),
        "DIR/item_codes.safetensors: item codes: indices: found a latent out of range, expected 0 to 11",
    ),
    "rows of codes that overlap": (
        tensors("item_codes.safetensors", indptr=lambda a: a[::-1].copy()),
        "DIR/item_codes.safetensors: item codes: indptr: found not a rising count from 0 to the number of values",
    ),
    "codes in double": (
        tensors("item_codes.safetensors", values=lambda a: a.astype(np.float64)),
        "DIR/item_codes.safetensors: item codes: values: found float64 (240,), expected float32, one axis",
    ),
    "not safetensors": (
        lambda f: forge_bytes(f, "sae.safetensors", b"{}"),
        "DIR/sae.safetensors: found SafetensorError: Error while deserializing header: header too small",
    ),
    "calibration is no object": (
        lambda f: forge_bytes(f, "calibration.json", b"[]"),
        "DIR/calibration.json: the document: found list, expected an object",
    ),
    "an unknown key in concepts": (
        lambda f: forge_json(f, "concepts.json", lambda d: d["concepts"][0].update(colour="red")),
        "DIR/concepts.json: found concepts.0.colour: Extra inputs are not permitted",
    ),
    "a concept twice": (
        lambda f: forge_json(f, "concepts.json", lambda d: d["concepts"].append(d["concepts"][-1])),
        "DIR/concepts.json: found document: Value error, concept ids given twice: genre:musical",
    ),
    "a concept's latent that is not there": (
        lambda f: forge_json(f, "concepts.json", lambda d: d["concepts"][1]["latents"][0].update(latent=99)),
        "DIR: concept genre:comedy: latents: expected below 12",
    ),
    "an item id twice": (
        lambda f: forge_table(f, "items.parquet", "item_id", ["i0", *(f"i{n}" for n in range(59))]),
        "DIR: item table: item_id: found empty or repeated ids, expected each id once",
    ),
    "an item without an id": (
        lambda f: forge_table(f, "items.parquet", "item_id", [None, *(f"i{n}" for n in range(59))]),
        "DIR: item table: item_id: found empty or repeated ids, expected each id once",
    ),
    "item ids that are numbers": (
        lambda f: forge_table(f, "items.parquet", "item_id", list(range(60))),
        "DIR: item table: found ['item_id', 'title', 'genre'], expected a string column 'item_id'",
    ),
    "user ids that are numbers": (
        lambda f: forge_table(f, "users.parquet", "user_id", list(range(8))),
        "DIR/users.parquet: user_id: found int64, 0 empty, expected a string in each",
    ),
    "a user twice": (
        lambda f: forge_table(f, "users.parquet", "user_id", ["u0"] * 8),
        "DIR: users: user_id: found repeated ids, expected each id once",
    ),
    "a table without its column": (
        lambda f: forge_bytes(f, "users.parquet", parquet(pa.table({"id": ["a"] * 8}), f)),
        "DIR/users.parquet: found KeyError: 'Field \"user_id\" does not exist in schema'",
    ),
}


def parquet(table: pa.Table, folder: Path) -> bytes:
    scratch = folder.parent / "scratch.parquet"
    pq.write_table(table, scratch)
    return scratch.read_bytes()


def forge_table(folder: Path, name: str, column: str, values: list[Any]) -> None:
    table = pq.read_table(folder / name)
    place = table.column_names.index(column)
    forge_bytes(folder, name, parquet(table.set_column(place, column, pa.array(values)), folder))


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forgery(bundle: Path, forgery: str) -> None:
    forge, sentence = FORGERIES[forgery]
    forge(bundle)
    told = refusal(bundle)
    assert told.removesuffix(f" {AGAIN}").removesuffix(".") == sentence.removesuffix(".")
    assert told.endswith(AGAIN)


@pytest.mark.parametrize("dim", ["embedding", "latents", "items", "concepts", "users"])
def test_dims_of_another_bundle(bundle: Path, dim: str) -> None:
    true = {"embedding": 8, "latents": 12, "items": 60, "concepts": 6, "users": 8}
    edit_manifest(bundle, lambda manifest: manifest["dims"].update({dim: true[dim] + 1}))
    if dim == "latents":
        assert refusal(bundle) == f"DIR: item codes: found 60 x 13, expected 60 x 12. {AGAIN}"
        return
    wanted = tuple(size + (name == dim) for name, size in true.items())
    assert refusal(bundle) == f"DIR/manifest.json: dims: found (8, 12, 60, 6, 8), expected {wanted}. {AGAIN}"


def test_optional_file_that_the_manifest_counts_on(bundle: Path) -> None:
    """item_bias says yes, and neither the list of files nor the folder has it."""
    (bundle / "item_bias.npy").unlink()
    edit_manifest(bundle, lambda manifest: manifest["files"].pop("item_bias.npy"))
    sign(bundle)
    assert refusal(bundle, BundleMissing) == "DIR/item_bias.npy is missing. Copy the bundle again, whole."


def test_bias_with_cosine(bundle: Path) -> None:
    edit_manifest(bundle, lambda manifest: manifest.update(metric="cosine"))
    assert refusal(bundle) == f"DIR: item bias: found with metric cosine, expected only with metric dot. {AGAIN}"


def test_activation_that_cannot_be(bundle: Path) -> None:
    edit_manifest(bundle, lambda manifest: manifest["user_activation"].update(k=None))
    assert refusal(bundle) == (
        f"DIR/sae.safetensors: activation topk: k: expected a positive k for topk, none else. {AGAIN}"
    )


def test_without_verify_only_the_checksums_are_spared(bundle: Path) -> None:
    document = json.loads((bundle / "calibration.json").read_text())
    (bundle / "calibration.json").write_text(json.dumps(document))
    assert load_bundle(bundle, verify=False).contents.calibration == Calibration()
    (bundle / "calibration.json").write_text("3")
    with pytest.raises(BundleCorrupt, match=r"calibration.json: the document: found int, expected an object"):
        load_bundle(bundle, verify=False)
