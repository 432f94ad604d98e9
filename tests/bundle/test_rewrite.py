"""Another bundle made of one: files linked or written anew, an id of its own, the old one as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from bundle import IndexEntry, RecallRow, load_bundle, verify_files, write_reindexed, write_with
from bundle.errors import BundleError, BundleExists
from bundle.manifest import Manifest


def row(**change: float) -> RecallRow:
    return RecallRow.model_validate(
        {"query": "unsteered", "queries": 5, "recall_at_10": 0.99, "recall_at_100": 0.97, "milliseconds": 0.1,
         "flat_milliseconds": 0.2} | change
    )  # fmt: skip


def entry(*rows: RecallRow, gate: float = 0.95) -> IndexEntry:
    return IndexEntry(
        kind="hnsw", params={"m": 8, "ef_construction": 40, "ef_search": 16}, faiss_version="1", seed=0, gate=gate,
        asked_as="users", recall=rows,
    )  # fmt: skip


def test_files_that_stay_are_linked_and_the_new_one_is_its_own(bundle: Path, tmp_path: Path) -> None:
    source = load_bundle(bundle)
    target = tmp_path / "other"
    table = b"\n" + (bundle / "calibration.json").read_bytes()
    made = write_with(
        source, target, {"calibration.json": lambda path: path.write_bytes(table) and None},
        fields={"name": "renamed"}, provenance={"why": "test"},
    )  # fmt: skip
    other = load_bundle(target)
    assert other.manifest == made
    assert (made.name, made.provenance["why"]) == ("renamed", "test")
    assert made.provenance["made_by"] == "tests"
    assert made.bundle_id != source.manifest.bundle_id
    assert (target / "calibration.json").read_bytes() == table
    assert (bundle / "item_vectors.npy").samefile(target / "item_vectors.npy")
    assert not (bundle / "calibration.json").samefile(target / "calibration.json")
    verify_files(bundle, source.manifest)


def test_where_links_cannot_be_the_files_are_copied(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError("another file system")

    monkeypatch.setattr(os, "link", refused)
    write_with(load_bundle(bundle), tmp_path / "other", {}, fields={}, provenance={})
    assert load_bundle(tmp_path / "other").manifest.bundle_id == load_bundle(bundle).manifest.bundle_id
    assert not (bundle / "item_vectors.npy").samefile(tmp_path / "other" / "item_vectors.npy")


def test_a_bundle_may_take_its_own_place(bundle: Path) -> None:
    source = load_bundle(bundle)
    with pytest.raises(BundleExists):
        write_with(source, bundle, {}, fields={}, provenance={})
    write_with(source, bundle, {}, fields={"name": "renamed"}, provenance={}, replace=True)
    assert load_bundle(bundle).manifest.name == "renamed"
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def test_a_writer_that_dies_leaves_nothing(bundle: Path, tmp_path: Path) -> None:
    def die(path: Path) -> None:
        path.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_with(load_bundle(bundle), tmp_path / "other", {"concepts.json": die}, fields={}, provenance={})
    assert sorted(path.name for path in tmp_path.iterdir()) == [bundle.name]


def test_an_index_with_its_recall(bundle: Path, tmp_path: Path) -> None:
    source = load_bundle(bundle)
    index = (bundle / "index.faiss").read_bytes() + b"other"
    made = write_reindexed(source, tmp_path / "other", lambda path: path.write_bytes(index) and None, entry(row()))
    assert made.provenance["reindexed_from"] == source.manifest.bundle_id
    assert made.index == entry(row())
    assert Manifest.model_validate_json((tmp_path / "other" / "manifest.json").read_bytes()).index == made.index
    assert (tmp_path / "other" / "index.faiss").read_bytes() == index


def test_an_index_under_its_gate_is_not_written(bundle: Path, tmp_path: Path) -> None:
    low = entry(row(), row(query="filter passing 1 %", recall_at_100=0.9))  # type: ignore[arg-type]
    with pytest.raises(BundleError) as caught:
        write_reindexed(load_bundle(bundle), tmp_path / "other", lambda path: path.write_bytes(b"") and None, low)
    assert str(caught.value) == "hnsw index, filter passing 1 %: recall: found 0.9, expected >= 0.95."
    assert not (tmp_path / "other").exists()


def test_the_worst_row_decides() -> None:
    found = entry(row(), row(recall_at_10=0.951))
    assert found.worst == row(recall_at_10=0.951)
    assert found.passed
    assert not entry(row(recall_at_10=0.9)).passed
    assert entry(row(recall_at_10=0.9), gate=0.9).passed


def test_an_entry_says_what_its_kind_needs() -> None:
    with pytest.raises(ValidationError, match="a hnsw index without measured recall"):
        entry()
    with pytest.raises(ValidationError, match="ef_search"):
        IndexEntry.model_validate({**entry(row()).model_dump(), "params": {"m": 8, "ef_construction": 40}})
    flat = IndexEntry(kind="flat", params={}, faiss_version="1", seed=0, gate=0.95, asked_as="users", recall=())
    assert flat.passed
    assert flat.worst is None
