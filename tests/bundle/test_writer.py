"""A write is whole or it did not happen: refusals, deaths midway, replacement under a reader's eyes."""

from __future__ import annotations

import dataclasses
import errno
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from bundle import load_bundle, read_manifest, refuse_occupied, write_bundle
from bundle.errors import BundleCorrupt, BundleError, BundleExists
from bundle.writer import FileWriter
from offline.export import export_bundle
from tests.world import World, make_world

ROOT = Path(__file__).parent.parent.parent


def export(world: World, target: Path, *, name: str = "planted", replace: bool = False, **files: FileWriter) -> None:
    evaluation = {key.replace("_", "."): write for key, write in files.items()}
    export_bundle(
        target, world.contents, name=name, recommender="embeddings", provenance={"seed": 0},
        evaluation=evaluation, replace=replace,
    )  # fmt: skip


def around(target: Path) -> set[str]:
    """Names beside the target, hidden ones too."""
    return {path.name for path in target.parent.iterdir()}


def test_the_parents_are_made_and_nothing_else_is_left(world: World, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "bundle"
    export(world, target)
    assert around(target) == {"bundle"}


def test_another_user_may_read_and_nobody_else_may_write(world: World, tmp_path: Path) -> None:
    """The server in a container is not who trained; safetensors alone would write 0600."""
    export(world, tmp_path / "b")
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "b").iterdir()} == {0o644}


def test_an_occupied_target_is_refused(world: World, tmp_path: Path) -> None:
    target = tmp_path / "b"
    export(world, target, name="first")
    with pytest.raises(BundleExists) as caught:
        export(world, target, name="second")
    assert str(caught.value) == f"{target} is there already. Choose another folder, or pass --replace."
    assert load_bundle(target).manifest.name == "first"


def test_replace(world: World, tmp_path: Path) -> None:
    target = tmp_path / "b"
    export(world, target, name="first")
    export(make_world(items=30, users=3, dim=8, latents=12), target, name="second", replace=True)
    assert load_bundle(target).manifest.name == "second"
    assert load_bundle(target).manifest.dims.items == 30
    assert around(target) == {"b"}


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_not_a_bundle_is_never_replaced(world: World, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "precious"
    if kind == "folder":
        target.mkdir()
        (target / "thesis.tex").write_text("ten years")
    else:
        target.write_text("ten years")
    with pytest.raises(BundleExists) as caught:
        export(world, target, replace=True)
    assert str(caught.value) == (
        f"{target} is there and is not a bundle (no manifest.json), so it is not replaced. Choose another folder."
    )
    assert around(target) == {"precious"}
    assert (target / "thesis.tex" if kind == "folder" else target).read_text() == "ten years"


def test_an_absent_target_is_free(tmp_path: Path) -> None:
    refuse_occupied(tmp_path / "b", replace=False)
    refuse_occupied(tmp_path / "b", replace=True)


def test_contents_that_do_not_fit_write_nothing(world: World, tmp_path: Path) -> None:
    broken = dataclasses.replace(
        world, contents=dataclasses.replace(world.contents, item_vectors=world.contents.item_vectors[:-1])
    )
    with pytest.raises(BundleCorrupt) as caught:
        export(broken, tmp_path / "b")
    assert str(caught.value) == "item vectors: found float32 (59, 8), expected float32 (60, 8)."
    assert not list(tmp_path.iterdir())


def test_files_that_are_missing_or_unknown(world: World, tmp_path: Path) -> None:
    def touch(path: Path) -> None:
        path.write_bytes(b"x")

    files: dict[str, FileWriter] = {"encoder.onnx": touch, "notes.txt": touch, "items.parquet": touch}
    with pytest.raises(BundleError) as caught:
        write_bundle(tmp_path / "b", world.contents, files, name="n", recommender="r", provenance={})
    assert str(caught.value) == (
        "bundle files: missing ['decoder.onnx', 'index.faiss'], not expected ['items.parquet', 'notes.txt']."
    )
    assert not list(tmp_path.iterdir())


def test_evaluation_is_carried(world: World, tmp_path: Path) -> None:
    def write(path: Path) -> None:
        path.write_text("{}")

    export(world, tmp_path / "b", evaluation_json=write)
    assert "evaluation.json" in load_bundle(tmp_path / "b").manifest.files


@pytest.mark.parametrize("occupied", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("Error: 'ret == (size)' failed: write error in index: 0 != 1 (No space left on device)"),
    ],
    ids=["python", "faiss"],
)
def test_a_full_disk_leaves_the_target_as_it_was(
    world: World, tmp_path: Path, occupied: bool, error: Exception
) -> None:
    target = tmp_path / "b"
    if occupied:
        export(world, target, name="first")

    def full(path: Path) -> None:
        path.write_bytes(b"half of i")
        raise error

    with pytest.raises(
        BundleError, match=r"cannot be written: found No space left on device. What was there is as it was"
    ):
        export(world, target, name="second", replace=True, evaluation_html=full)
    assert around(target) == ({"b"} if occupied else set())
    if occupied:
        assert load_bundle(target).manifest.name == "first"


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.world import make_world
from offline.export import export_bundle
def die(path):
    path.write_text("half of i")
    os.kill(os.getpid(), signal.SIGKILL)
contents = make_world(items=60, users=8, dim=8, latents=12).contents
export_bundle(Path(sys.argv[1]), contents, name="second", recommender="r", provenance={}, replace=True,
              evaluation={"evaluation.html": die})
"""


@pytest.mark.parametrize("occupied", [False, True])
def test_kill_9_leaves_the_target_as_it_was(world: World, tmp_path: Path, occupied: bool) -> None:
    target = tmp_path / "b"
    if occupied:
        export(world, target, name="first")
    done = subprocess.run([sys.executable, "-c", KILLED, target], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = around(target) - {"b"}
    assert left.startswith(".b.writing-")
    assert target.exists() is occupied
    if occupied:
        assert load_bundle(target).manifest.name == "first"
    # The next write clears what the dead one left, and only that.
    shutil.copytree(tmp_path / left, tmp_path / ".other.writing-1")
    export(world, target, name="third", replace=True)
    assert around(target) == {"b", ".other.writing-1"}
    assert load_bundle(target).manifest.name == "third"


def _replace_until(target: Path, stop: threading.Event, worlds: tuple[World, World]) -> None:
    turn = 0
    while not stop.is_set():
        turn += 1
        export(worlds[turn % 2], target, name=f"turn {turn % 2}", replace=True)


def test_a_reader_never_finds_the_target_gone_or_half(tmp_path: Path) -> None:
    """Replaced as fast as one can while it is read: at every moment a manifest is there, and it is one of the two."""
    target = tmp_path / "b"
    worlds = (make_world(items=20, users=2, dim=4, latents=8), make_world(items=24, users=2, dim=4, latents=8))
    export(worlds[0], target)
    stop = threading.Event()
    writer = threading.Thread(target=_replace_until, args=(target, stop, worlds))
    writer.start()
    seen = set()
    try:
        for _ in range(3000):
            seen.add(read_manifest(target).dims.items)
    finally:
        stop.set()
        writer.join()
    assert seen <= {20, 24}
    assert around(target) == {"b"}


def test_an_open_bundle_outlives_its_replacement(world: World, tmp_path: Path) -> None:
    """A server keeps the pages that it has mapped, though the folder they came from is gone."""
    target = tmp_path / "b"
    export(world, target)
    held = load_bundle(target)
    export(make_world(items=30, users=3, dim=8, latents=12, seed=5), target, replace=True)
    assert np.array_equal(held.contents.item_vectors, world.contents.item_vectors)


def test_a_target_that_looks_like_a_pattern(world: World, tmp_path: Path) -> None:
    """Brackets and stars in a name are not a glob: another target's leftovers are not swept away."""
    (tmp_path / ".a.writing-live").mkdir()
    export(world, tmp_path / "[a]")
    assert around(tmp_path / "[a]") == {"[a]", ".a.writing-live"}
