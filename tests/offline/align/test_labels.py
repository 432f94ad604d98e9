from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bundle import Bundle
from bundle.errors import DataError
from offline.align.entry import labels_of, readouts_of
from offline.align.labels import Labelled, put_labels, read_labels
from tests.offline.align.planted import named
from tests.world import make_world, write_world

WORLD = make_world()


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_world(WORLD, tmp_path_factory.mktemp("labels") / "bundle")


def labelled(bundle: Bundle, folder: Path, text: str) -> Labelled:
    file = folder / "labels.yaml"
    file.write_text(text)
    return put_labels(bundle, read_labels(file))


def test_a_name_and_a_threshold(planted: Bundle, tmp_path: Path) -> None:
    found = labelled(planted, tmp_path, "concepts: {genre:horror: {display_name: Scary, threshold: 0.9}}")
    (horror,) = found.touched
    assert (horror.id, horror.display_name, horror.threshold) == ("genre:horror", "Scary", 0.9)
    assert horror.by_hand == ("display_name", "threshold")
    assert horror.quality is not None
    assert 0 < horror.quality.recall < 0.8
    others = found.arrays.readout_bits[1:], planted.contents.arrays.readout_bits[1:]
    np.testing.assert_array_equal(*others)
    assert (found.arrays.readout_bits[0] != planted.contents.arrays.readout_bits[0]).any()


def test_a_name_alone_touches_no_array(planted: Bundle, tmp_path: Path) -> None:
    found = labelled(planted, tmp_path, "concepts: {genre:horror: {display_name: Scary}}")
    for name, array in vars(planted.contents.arrays).items():
        np.testing.assert_array_equal(getattr(found.arrays, name), array)
    assert found.touched[0].threshold == named(planted.contents, "genre:horror").threshold


def test_items_become_a_concept_that_is_measured_on_items_it_has_not_seen(planted: Bundle, tmp_path: Path) -> None:
    members = np.flatnonzero(WORLD.members[3])
    listed = ", ".join(f"i{n}" for n in members)
    found = labelled(planted, tmp_path, f"concepts: {{custom:west: {{display_name: The West, items: [{listed}]}}}}")
    (west,) = found.touched
    assert (west.family, west.items, west.row, west.by_hand) == ("custom", len(members), 6, ("members",))
    assert west.quality is not None
    assert west.quality.auc > 0.9
    assert west.latents[0].latent == 3
    contents = planted.contents.__class__(
        **{**vars(planted.contents), "concepts": found.concepts, "arrays": found.arrays}
    )
    contents.check()
    assert np.flatnonzero(labels_of(west, contents)).tolist() == members.tolist()
    assert found.arrays.direction_effect[6] > 0


def test_a_latent_gets_a_name(planted: Bundle, tmp_path: Path) -> None:
    found = labelled(planted, tmp_path, "concepts: {custom:seven: {latent: 7}}")
    (seven,) = found.touched
    assert (seven.display_name, seven.readout, seven.latents[0].latent) == ("seven", "latent", 7)
    active = planted.contents.item_codes.dense()[:, 7] > 0
    assert seven.items == active.sum()
    contents = planted.contents.__class__(
        **{**vars(planted.contents), "concepts": found.concepts, "arrays": found.arrays}
    )
    assert readouts_of(seven, contents).tolist() == active.tolist()
    narrow = labelled(planted, tmp_path, "concepts: {custom:seven: {latent: 7, threshold: 0.9}}")
    assert 0 < int(np.unpackbits(narrow.arrays.readout_bits[6]).sum()) < active.sum()


REFUSED = {
    "concepts: {genre:horro: {threshold: 0.5}}": (
        "genre:horro: found no such concept in the bundle. "
        "Nearest: genre:horror. A concept of your own needs items or a latent."
    ),
    "concepts: {genre:musical: {threshold: 0.5}}": (
        "genre:musical is not offered by the bundle: "
        "3 items carry it; at least 10 are needed to fit and score a read-out."
    ),
    "concepts: {genre:horror: {items: [i1, i2]}}": (
        "genre:horror: items or latent: found a concept that the bundle offers already, expected a new id. "
        "Choose an id of your own, as custom:heist."
    ),
    "concepts: {latent:7: {latent: 7}}": (
        "concept id: found 'latent:7', expected family:name in lower case, as custom:heist, not a latent:."
    ),
    "concepts: {custom:x: {latent: 99}}": (
        "custom:x: latent: found 99, expected one of 0 to 23 that an item activates."
    ),
    "concepts: {custom:x: {items: [i1, nobody]}}": (
        "custom:x: items: found 1 that the bundle does not have, like 'nobody', expected item_ids of the bundle."
    ),
    "concepts: {custom:x: {items: [i1, i2]}}": (
        "custom:x cannot be offered: 2 items carry it; at least 10 are needed to fit and score a read-out."
    ),
}


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_refused_by_the_bundle(planted: Bundle, tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError) as caught:
        labelled(planted, tmp_path, text)
    assert str(caught.value) == REFUSED[text]


MALFORMED = {
    "concepts: {}": "concepts: Dictionary should have at least 1 item after validation, not 0.",
    "concepts: {a:b: {}}": "concepts.a:b: nothing is said: give display_name, threshold, items or latent.",
    "concepts: {a:b: {items: [x], latent: 3}}": "concepts.a:b: items and latent: a concept is one of the two.",
    "concepts: {a:b: {items: [12]}}": "concepts.a:b.items.0: Input should be a valid string.",
    "concepts: {a:b: {threshhold: 0.5}}": "concepts.a:b.threshhold: Extra inputs are not permitted.",
    "concepts: {a:b: {threshold: 1.5}}": "concepts.a:b.threshold: Input should be less than or equal to 1.",
    "": "document: Input should be a valid dictionary or instance of LabelFile.",
}


@pytest.mark.parametrize("text", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_files(tmp_path: Path, text: str) -> None:
    file = tmp_path / "labels.yaml"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        read_labels(file)
    assert str(caught.value) == f"{file}: {MALFORMED[text]}"


def test_a_file_that_is_not_yaml_or_not_there(tmp_path: Path) -> None:
    file = tmp_path / "labels.yaml"
    with pytest.raises(DataError, match="No such file"):
        read_labels(file)
    file.write_text("concepts: [")
    with pytest.raises(DataError, match="expected a readable YAML file"):
        read_labels(file)
