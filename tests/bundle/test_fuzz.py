"""Whatever lies in the folder, loading gives a bundle or a BundleError naming the place: no other exception, no hang.

Three adversaries: bad luck (bytes changed, checksums as they were), a clumsy hand (any manifest), and malice or a bug
in an exporter (bytes changed and checksums made to fit, so that the parsers themselves are reached).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle import load_bundle
from bundle.errors import BundleError, BundleMissing
from bundle.manifest import MANIFEST
from tests.bundle.forge import manifest_of, sign

# The folder is shared by the examples and put right after each.
fuzz = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# encoder.onnx, decoder.onnx and index.faiss are opened by the server, not by bundle.
PARSED = (
    "sae.safetensors", "items.parquet", "item_vectors.npy", "item_codes.safetensors", "concepts.json",
    "concepts.safetensors", "concept_gains.npy", "calibration.json", "item_bias.npy", "users.parquet",
    "user_vectors.npy",
)  # fmt: skip

Damage = Callable[[bytes], bytes]


def _flip(places: list[tuple[float, int]]) -> Damage:
    def damage(data: bytes) -> bytes:
        out = bytearray(data)
        for place, bit in places:
            out[int(place * len(out))] ^= 1 << bit
        return bytes(out)

    return damage


def _splice(start: float, length: int, put: bytes) -> Damage:
    def damage(data: bytes) -> bytes:
        at = int(start * len(data))
        return data[:at] + put + data[at + length :]

    return damage


_place = st.floats(0, 1, exclude_max=True)
damages = st.one_of(
    st.lists(st.tuples(_place, st.integers(0, 7)), min_size=1, max_size=8).map(_flip),
    st.builds(_splice, _place, st.integers(0, 40), st.binary(max_size=40)),
    st.builds(lambda keep: lambda data: data[: int(keep * len(data))], _place),
    st.binary(max_size=400).map(lambda other: lambda _data: other),
)


def refusal(folder: Path) -> str | None:
    """What a BundleError says, or None where the folder is a bundle; any other exception passes."""
    try:
        load_bundle(folder)
    except BundleError as error:
        return str(error)
    return None


def put_right(folder: Path, pristine: Path, *names: str) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)
        shutil.copyfile(pristine / name, folder / name)


@fuzz
@given(name=st.sampled_from((*PARSED, "encoder.onnx", "decoder.onnx", "index.faiss")), damage=damages)
def test_bad_luck_is_always_found(bundle: Path, pristine: Path, name: str, damage: Damage) -> None:
    before = (pristine / name).read_bytes()
    after = damage(before)
    (bundle / name).write_bytes(after)
    told = refusal(bundle)
    put_right(bundle, pristine, name)
    if after == before:
        assert told is None
    else:
        assert told is not None
        assert told.startswith((f"{bundle / name}: size: ", f"{bundle / name}: sha256: "))


@pytest.mark.parametrize("name", PARSED)
@fuzz
@given(damage=damages)
def test_damage_with_good_checksums(bundle: Path, pristine: Path, name: str, damage: Damage) -> None:
    (bundle / name).write_bytes(damage((pristine / name).read_bytes()))
    sign(bundle)
    told = refusal(bundle)
    put_right(bundle, pristine, name, MANIFEST)
    assert told is None or str(bundle) in told


@fuzz
@given(damage=damages)
def test_damaged_manifest(bundle: Path, pristine: Path, damage: Damage) -> None:
    (bundle / MANIFEST).write_bytes(damage((pristine / MANIFEST).read_bytes()))
    told = refusal(bundle)
    put_right(bundle, pristine, MANIFEST)
    assert told is None or str(bundle) in told


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, below in inner for place in _paths(below, (*path, key)))]


@pytest.mark.parametrize("name", [MANIFEST, "concepts.json", "calibration.json"])
@fuzz
@given(data=st.data(), value=_json)
def test_another_value_anywhere_in_a_document(
    bundle: Path, pristine: Path, name: str, data: st.DataObject, value: object
) -> None:
    document: Any = json.loads((pristine / name).read_text())
    path = data.draw(st.sampled_from(_paths(document)))
    if path:
        holder = document
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = value
    else:
        document = value
    (bundle / name).write_text(json.dumps(document))
    if name != MANIFEST:
        sign(bundle)
    told = refusal(bundle)
    put_right(bundle, pristine, name, MANIFEST)
    assert told is None or str(bundle) in told


def test_folders_and_dangling_links_in_place_of_files(bundle: Path) -> None:
    for name in manifest_of(bundle)["files"]:
        held = bundle / name
        data = held.read_bytes()
        held.unlink()
        held.mkdir()
        with pytest.raises(BundleMissing, match="is missing"):
            load_bundle(bundle)
        held.rmdir()
        held.symlink_to(bundle / "nowhere")
        with pytest.raises(BundleMissing, match="is missing"):
            load_bundle(bundle)
        held.unlink()
        held.write_bytes(data)
    load_bundle(bundle)
