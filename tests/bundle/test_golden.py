"""A bundle written by the first Tiller loads, serves and says the same, forever (tests/golden/make.py made them)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bundle import Activation, Bundle, Calibration, load_bundle
from bundle.manifest import MANIFEST
from server.steer import Engine
from server.types import Action, Query, Rule

GOLDEN = Path(__file__).parent.parent / "golden"
VERSIONS = sorted(path.name for path in GOLDEN.glob("v*"))


def golden(version: str, name: str) -> Bundle:
    return load_bundle(GOLDEN / version / name)


def test_every_version_is_here() -> None:
    assert VERSIONS == ["v1"]
    assert sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file()) < 150_000


def test_v1_full() -> None:
    bundle = golden("v1", "full")
    manifest, contents = bundle.manifest, bundle.contents
    assert (manifest.format_version, manifest.bundle_id, manifest.tiller_version) == (1, "7fc4122d249b", "0.1.0")
    assert (manifest.name, manifest.recommender, manifest.provenance) == ("planted", "embeddings", {"made_by": "tests"})
    assert (manifest.metric, manifest.item_bias, manifest.normalise) == ("dot", True, True)
    assert contents.sae.user.activation == Activation("topk", k=4)
    assert contents.items.column_names == ["item_id", "title", "genre"]
    assert contents.items.slice(0, 1).to_pylist() == [
        {"item_id": "i0", "title": "Film 0 (1950)", "genre": contents.items["genre"][0].as_py()}
    ]
    assert contents.item_vectors[3, :3].tolist() == [-0.4815819263458252, -0.1628585010766983, 0.18457409739494324]
    assert contents.item_bias is not None
    assert contents.item_bias[:2].tolist() == pytest.approx([0.01149892, -0.01733529], abs=1e-8)
    assert contents.user_ids == ["u0", "u1", "u2", "u3", "u4", "u5"]
    assert len(contents.item_codes.values) == 160
    assert [concept.id for concept in contents.concepts.concepts] == [
        "genre:horror", "genre:comedy", "genre:documentary", "genre:western", "genre:children's", "genre:film-noir",
        "genre:musical",
    ]  # fmt: skip
    assert contents.concepts.concepts[-1].offered is False
    assert contents.calibration == Calibration()


def test_v1_bare() -> None:
    bundle = golden("v1", "bare")
    manifest, contents = bundle.manifest, bundle.contents
    assert (manifest.bundle_id, manifest.metric, manifest.item_bias, manifest.normalise) == (
        "cd6979e00734", "cosine", False, False,
    )  # fmt: skip
    assert contents.sae.item.activation == Activation("threshold", threshold=0.1)
    assert contents.item_bias is None
    assert contents.user_ids is None
    assert contents.user_vectors is None


@pytest.mark.parametrize(
    ("name", "items", "scores"),
    [
        ("full", [2, 27, 34, 26, 38], [1.384214, 1.283196, 1.221643, 1.174654, 1.166446]),
        ("bare", [8, 30, 28, 5, 16], [0.543904, 0.533853, 0.514522, 0.507450, 0.501537]),
    ],
)
def test_v1_answers_as_it_did(name: str, items: list[int], scores: list[float]) -> None:
    engine = Engine.open(golden("v1", name))
    asked: dict[str, object] = (
        {"user_id": "u1"} if name == "full" else {"embedding": np.linspace(-1, 1, 8).astype(np.float32)}
    )
    ranking = engine.recommend(Query(k=5, **asked)).ranking  # type: ignore[arg-type]
    assert ranking.items.tolist() == items
    assert ranking.scores.tolist() == pytest.approx(scores, abs=1e-5)
    # The filter's promise, by the labels in the item table.
    rules = (Rule(Action.FILTER, "genre:horror", 1.0),)
    steered = engine.recommend(Query(k=40, rules=rules, **asked))  # type: ignore[arg-type]
    genres = engine.catalogue.bundle.contents.items["genre"].to_pylist()
    allowed = {row for row, names in enumerate(genres) if "Horror" not in names}
    assert set(steered.ranking.items.tolist()) == allowed


@pytest.mark.parametrize("version", VERSIONS)
def test_git_keeps_golden_files_as_they_are(version: str) -> None:
    """No file got a carriage return or lost its last newline on the way through git: the checksums hold."""
    for folder in (GOLDEN / version).iterdir():
        assert (folder / MANIFEST).read_bytes().count(b"\r") == 0
        load_bundle(folder)
