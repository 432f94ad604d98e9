"""Labels put in by one command and carried over by the next, as on the morning after a training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle import load_bundle
from tests.cli.conftest import Tiller
from tests.offline.align.planted import Night, make_night, without
from tests.world import World, write_world

LABELS = """
concepts:
  genre:horror: {display_name: Scary, threshold: 0.8}
  custom:seven: {display_name: Seven, latent: 7}
"""
POLICY = """
policies:
  - name: kids
    owner: safety
    rules:
      - {{action: demote, concept: genre:comedy}}
      - {{action: filter, concept: {concept}}}
"""


@pytest.fixture(scope="module")
def night() -> Night:
    return make_night()


@pytest.fixture(scope="module")
def monday(night: Night, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old bundle."""
    return write_world(_world(night.old), tmp_path_factory.mktemp("old") / "monday").path


@pytest.fixture(scope="module")
def tuesday(night: Night, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The new one, whose metadata has no westerns any more."""
    return write_world(_world(without(night.new, "genre:western")), tmp_path_factory.mktemp("new") / "tuesday").path


@pytest.fixture
def labelled(tiller: Tiller, monday: Path, tmp_path: Path) -> Path:
    """Monday's bundle with what people gave to it."""
    file = tmp_path / "labels.yaml"
    file.write_text(LABELS)
    target = tmp_path / "labelled"
    assert tiller("bundle", "label", monday, file, "--out", target).code == 0
    return target


def _world(contents: object) -> World:
    return World(contents, np.empty(0), np.empty(0))  # type: ignore[arg-type]


def _policies(folder: Path, concept: str) -> Path:
    folder.mkdir()
    (folder / "kids.yaml").write_text(POLICY.format(concept=concept))
    return folder


def test_label_prints_what_it_did(tiller: Tiller, monday: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.yaml"
    file.write_text(LABELS)
    ran = tiller("bundle", "label", monday, file, "--out", tmp_path / "labelled")
    manifest = load_bundle(tmp_path / "labelled").manifest
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[-1] == f"{tmp_path / 'labelled'}: bundle {manifest.bundle_id}"
    horror = next(line for line in ran.out.splitlines() if line.startswith("genre:horror"))
    assert "Scary" in horror
    assert horror.endswith("display_name, threshold")
    assert manifest.dims.concepts == 7
    assert manifest.provenance["labelled"]["from"] == load_bundle(monday).manifest.bundle_id


def test_label_needs_a_place_to_write(tiller: Tiller, monday: Path, tmp_path: Path) -> None:
    ran = tiller("bundle", "label", monday, tmp_path / "none.yaml")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == ("tiller: where to write the new bundle. Name a folder: --out; or replace DIR: --replace.\n")


def test_align_carries_what_people_gave(
    tiller: Tiller, night: Night, labelled: Path, tuesday: Path, tmp_path: Path
) -> None:
    target = tmp_path / "aligned"
    ran = tiller("bundle", "align", labelled, tuesday, "--out", target)
    assert (ran.code, ran.err) == (0, "")
    assert "concepts  of 7: 5 found again by the training, 1 moved, 1 refitted, 0 lost" in ran.out
    made = load_bundle(target)
    concepts = {concept.id: concept for concept in made.contents.concepts.concepts}
    assert (concepts["genre:horror"].display_name, concepts["custom:seven"].display_name) == ("Scary", "Seven")
    assert concepts["custom:seven"].latents[0].latent == night.order[7]
    assert concepts["genre:western"].offered
    assert made.manifest.dims.concepts == 7
    told = made.manifest.provenance["aligned"]
    assert (told["old"], told["new"]) == tuple(load_bundle(b).manifest.bundle_id for b in (labelled, tuesday))
    assert made.manifest.provenance["made_by"] == "tests"
    assert tiller("bundle", "verify", target).code == 0
    again = tiller("bundle", "align", labelled, target, "--dry-run")
    assert "concepts  of 7: 7 found again by the training, 0 moved, 0 refitted, 0 lost" in again.out


def test_replace_takes_the_new_bundles_place(tiller: Tiller, labelled: Path, night: Night, tmp_path: Path) -> None:
    new = write_world(_world(night.new), tmp_path / "new").path
    before = load_bundle(new).manifest.bundle_id
    assert tiller("bundle", "align", labelled, new).code == 2
    assert tiller("bundle", "align", labelled, new, "--replace").code == 0
    after = load_bundle(new)
    assert after.manifest.bundle_id != before
    assert "custom:seven" in {concept.id for concept in after.contents.concepts.concepts}


def test_a_latent_without_its_like_is_not_dropped_from_a_policy(
    tiller: Tiller, night: Night, labelled: Path, tuesday: Path, tmp_path: Path
) -> None:
    """A latent that one item activates cannot be told from chance."""
    rare = int(np.flatnonzero(np.bincount(night.old.item_codes.indices, minlength=24) == 1)[0])
    policies = _policies(tmp_path / "policies", f"latent:{rare}")
    target = tmp_path / "aligned"
    ran = tiller("bundle", "align", labelled, tuesday, "--policies", policies, "--out", target)
    assert ran.code == 2
    assert ran.err == (
        "tiller: a policy would lose its concept, nothing was written: kids.yaml:7: policy kids, rules[1]: "
        f"filter latent:{rare} (no latent of the new bundle is like it). "
        "Change the policies, train again, or serve the old bundle.\n"
    )
    assert not target.exists()


def test_a_lost_concept_is_refused_with_its_reason(tiller: Tiller, night: Night, monday: Path, tmp_path: Path) -> None:
    """Western stays in the old bundle's files with labels that are only on items the new one lacks."""
    dense = night.new
    gone = without(dense, "genre:western")
    ids = gone.items["item_id"].to_pylist()
    members = {f"i{row}" for row in np.flatnonzero(_labels(night.old, 3))}
    renamed = [f"re-{item}" if item in members else item for item in ids]
    table = gone.items.set_column(0, "item_id", [renamed])
    new = write_world(_world(replace(gone, items=table)), tmp_path / "new").path
    policies = _policies(tmp_path / "policies", "genre:western")
    ran = tiller("bundle", "align", monday, new, "--policies", policies, "--out", tmp_path / "aligned")
    assert ran.code == 2
    assert "kids.yaml:7: policy kids, rules[1]: filter genre:western (of " in ran.err
    assert "members 0 are in the new bundle; 0 items carry it; at least 10 are needed" in ran.err
    assert "lost: genre:western: " in ran.out
    assert not (tmp_path / "aligned").exists()
    unused = _policies(tmp_path / "others", "genre:horror")
    assert tiller("bundle", "align", monday, new, "--policies", unused, "--out", tmp_path / "aligned").code == 0


def _labels(contents: object, row: int) -> np.ndarray:
    packed = contents.arrays.label_bits[row]  # type: ignore[attr-defined]
    return np.unpackbits(packed, bitorder="little").view(np.bool_)


def test_a_rule_on_a_latent_gets_a_proposed_rewrite(
    tiller: Tiller, night: Night, labelled: Path, tuesday: Path, tmp_path: Path
) -> None:
    policies = _policies(tmp_path / "policies", "latent:0")
    target = tmp_path / "aligned"
    ran = tiller("bundle", "align", labelled, tuesday, "--policies", policies, "--out", target)
    assert (ran.code, ran.err) == (1, "")
    assert (
        f"kids.yaml:7: policy kids, rules[1]: filter latent:0: write latent:{night.order[0]} instead (match 1.00)"
        in ran.out
    )
    assert load_bundle(target).manifest.dims.concepts == 7


def test_json_and_dry_run_write_nothing(tiller: Tiller, labelled: Path, tuesday: Path, tmp_path: Path) -> None:
    policies = _policies(tmp_path / "policies", "custom:seven")
    before = sorted(path.name for path in tuesday.parent.iterdir())
    ran = tiller("bundle", "align", labelled, tuesday, "--policies", policies, "--dry-run", "--json")
    document = json.loads(ran.out)
    assert ran.code == 0
    assert {row["id"]: row["outcome"] for row in document["concepts"]}["custom:seven"] == "moved"
    assert [(row["concept"], row["verdict"]) for row in document["policies"]] == [
        ("genre:comedy", "holds"), ("custom:seven", "holds"),
    ]  # fmt: skip
    assert len(document["latents"]) == 24
    assert sorted(path.name for path in tuesday.parent.iterdir()) == before
    text = tiller("bundle", "align", labelled, tuesday, "--dry-run")
    assert text.out.startswith("items     220 in both, of 240 in ")
