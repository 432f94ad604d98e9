from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.cli.conftest import Tiller
from tests.network import LENGTH, with_network, with_tower
from tests.world import World, write_world


def test_show(tiller: Tiller, planted: Path) -> None:
    ran = tiller("bundle", "show", planted)
    assert (ran.code, ran.err) == (0, "")
    rows = {line.split("  ")[0]: " ".join(line.split("  ")[1:]).strip() for line in ran.out.splitlines()}
    assert rows["items"] == "240 x 16 numbers"
    assert rows["users"] == "12"
    assert rows["recommender"] == "embeddings, score = inner product"
    assert rows["SAE"] == "24 latents; items top 4, users top 4"
    assert rows["concepts"] == "6 offered (genre 6); 1 looked for and not found"
    assert "concept_gains.npy" in ran.out


def test_show_says_what_scores_and_what_reads_histories(tiller: Tiller, world: World, tmp_path: Path) -> None:
    bundle = write_world(with_tower(with_network(world, tmp_path), tmp_path), tmp_path / "b")
    ran = tiller("bundle", "show", bundle.path)
    assert (ran.code, ran.err) == (0, "")
    assert "embeddings, score = network, over every item" in ran.out
    assert f"the user tower reads the newest {LENGTH} items" in ran.out
    assert tiller("bundle", "verify", bundle.path).code == 0
    (bundle.path / "scorer.onnx").write_bytes(b"changed")
    assert f"{bundle.path / 'scorer.onnx'}: size: found 7" in tiller("bundle", "verify", bundle.path).err


def test_show_json_is_the_manifest(tiller: Tiller, planted: Path) -> None:
    assert json.loads(tiller("bundle", "show", planted, "--json").out) == json.loads(
        (planted / "manifest.json").read_text()
    )


def test_verify(tiller: Tiller, planted: Path) -> None:
    ran = tiller("bundle", "verify", planted)
    files = len(list(planted.iterdir())) - 1
    assert ran.code == 0
    assert f"is whole: {files} files" in ran.out


def test_verify_names_the_file_that_was_changed(tiller: Tiller, planted: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(planted, copy)
    concepts = copy / "concepts.json"
    concepts.write_text(concepts.read_text().replace("Horror", "Terror"))
    ran = tiller("bundle", "verify", copy)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"tiller: {concepts}: sha256: found ")
    assert ran.err.endswith("The file was changed after export. Copy or export the bundle again.\n")


def test_no_bundle_there(tiller: Tiller, tmp_path: Path) -> None:
    ran = tiller("bundle", "show", tmp_path / "none")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"tiller: no bundle at {tmp_path / 'none'}. Make one: python -m offline.train_sae --help\n"
