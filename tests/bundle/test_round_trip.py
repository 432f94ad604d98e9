"""What is written is what is read, bit for bit, in every form a bundle can take."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from bundle import Activation, BundleContents, load_bundle, read_manifest, search_vectors, verify_files
from bundle.manifest import MANIFEST, OPTIONAL_FILES, REQUIRED_FILES
from tests.bundle.forge import manifest_of
from tests.world import World, make_world, write_world

FORMS: dict[str, dict[str, Any]] = {
    "dot": {},
    "dot with bias": {"bias": True},
    "cosine": {"metric": "cosine"},
    "raw rows, relu": {"normalise": False, "activation": Activation("relu")},
    "half of the norm": {"norm_power": 0.5},
    "threshold": {"activation": Activation("threshold", threshold=0.25)},
    "no users": {"users": 0},
}


def same(one: object, other: object) -> bool:
    """Equal to the last bit, through dataclasses."""
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
    if dataclasses.is_dataclass(one) and not isinstance(one, type):
        return type(one) is type(other) and all(
            same(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one)
        )
    return one == other


def without_users(contents: BundleContents) -> BundleContents:
    return dataclasses.replace(contents, user_ids=None, user_vectors=None)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_form_comes_back(form: str, tmp_path: Path) -> None:
    asked = dict(FORMS[form])
    bare = asked.pop("users", None) == 0
    world = make_world(items=50, users=5, dim=8, latents=12, **asked)
    if bare:
        world = dataclasses.replace(world, contents=without_users(world.contents))
    loaded = write_world(world, tmp_path / "b")
    assert same(loaded.contents, world.contents)
    dims = loaded.manifest.dims
    assert (dims.embedding, dims.latents, dims.items, dims.concepts, dims.users) == (8, 12, 50, 6, 0 if bare else 5)
    assert loaded.manifest.metric == world.contents.metric
    assert loaded.manifest.item_bias == (world.contents.item_bias is not None)
    assert (tmp_path / "b" / "users.parquet").exists() is not bare
    assert (tmp_path / "b" / "item_bias.npy").exists() is (form == "dot with bias")


def test_same_is_not_blind(world: World) -> None:
    """The comparison above finds one changed bit."""
    nudged = world.contents.item_vectors.copy()
    nudged[3, 2] = np.nextafter(nudged[3, 2], np.float32(9), dtype=np.float32)
    assert not same(world.contents, dataclasses.replace(world.contents, item_vectors=nudged))


def test_files_and_checksums(pristine: Path) -> None:
    names = {path.name for path in pristine.iterdir()}
    assert names - {MANIFEST} == {*REQUIRED_FILES, "item_bias.npy", "users.parquet", "user_vectors.npy"}
    for name, entry in manifest_of(pristine)["files"].items():
        data = (pristine / name).read_bytes()
        assert entry == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    verify_files(pristine, read_manifest(pristine))


def test_bundle_id_follows_from_the_checksums(pristine: Path) -> None:
    manifest = manifest_of(pristine)
    lines = "".join(f"{name} {manifest['files'][name]['sha256']}\n" for name in sorted(manifest["files"]))
    assert manifest["bundle_id"] == hashlib.sha256(lines.encode()).hexdigest()[:12]


def test_the_same_contents_have_the_same_id(world: World, pristine: Path, tmp_path: Path) -> None:
    """Nothing of the time or place of writing is in the files, so a rerun can be recognised."""
    assert write_world(world, tmp_path / "again").manifest.bundle_id == read_manifest(pristine).bundle_id


def test_index_holds_the_search_vectors(world: World, pristine: Path) -> None:
    contents = world.contents
    index = faiss.read_index(str(pristine / "index.faiss"))
    held = index.reconstruct_n(0, index.ntotal)
    assert np.array_equal(held, search_vectors(contents.item_vectors, contents.item_bias, contents.metric))


def test_large_arrays_are_mapped_not_read(pristine: Path) -> None:
    contents = load_bundle(pristine).contents
    for array in (contents.item_vectors, contents.item_bias, contents.user_vectors, contents.arrays.gains):
        assert isinstance(array, np.memmap)
        assert array.mode == "r"


def test_nothing_is_pickled(pristine: Path) -> None:
    for path in pristine.iterdir():
        start = path.read_bytes()[:2]
        assert start[:1] != b"\x80", path.name
        assert start != b"PK", path.name


def test_documents_are_for_people(pristine: Path) -> None:
    for name in (MANIFEST, "concepts.json", "calibration.json"):
        text = (pristine / name).read_text()
        assert text.endswith("}\n")
        assert json.loads(text)
        assert text.count("\n") > 2
    assert set(OPTIONAL_FILES) >= {"evaluation.json", "evaluation.html"}
