"""What goes over, on a planted night whose every latent and item is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle import Bundle, BundleContents, Concept, ConceptFile, SparseCodes, load_bundle
from bundle.errors import BundleError
from offline.align.carry import Alignment, align, label_config
from offline.align.entry import labels_of, readouts_of, with_concepts
from offline.align.fit import fit_members, name_latent
from offline.align.report import ConceptFate
from offline.label import Candidate, LabelConfig
from tests.offline.align.planted import FRESH, GONE, ITEMS, Night, changed, make_night, named, without
from tests.world import World, make_world, write_world

NIGHT = make_night()


class _Manifest:
    bundle_id = "0" * 12
    provenance: dict[str, object] = {}  # noqa: RUF012


def opened(contents: BundleContents) -> Bundle:
    return Bundle(Path("bundle"), _Manifest(), contents)  # type: ignore[arg-type]


def aligned(old: BundleContents, new: BundleContents, **options: float) -> tuple[Alignment, BundleContents]:
    found = align(opened(old), opened(new), **options)
    made = replace(new, concepts=found.concepts, arrays=found.arrays)
    made.check()
    return found, made


def fate(found: Alignment, concept_id: str) -> ConceptFate:
    return next(fate for fate in found.report.concepts if fate.id == concept_id)


def with_entry(contents: BundleContents, entry: object) -> BundleContents:
    concepts, arrays = with_concepts(contents, [entry], {})  # type: ignore[list-item]
    return replace(contents, concepts=concepts, arrays=arrays)


def common_rows(night: Night) -> np.ndarray:
    rows = {item: row for row, item in enumerate(night.old.items["item_id"].to_pylist())}
    return np.array([rows[item] for item in night.new.items["item_id"].to_pylist()[FRESH:]])


def test_nothing_given_by_hand_leaves_the_new_bundle_as_it_was() -> None:
    found, made = aligned(NIGHT.old, NIGHT.new)
    assert [f.outcome for f in found.report.concepts] == ["kept"] * 6
    assert made.concepts == NIGHT.new.concepts
    for name, array in vars(NIGHT.new.arrays).items():
        np.testing.assert_array_equal(getattr(made.arrays, name), array)
    assert (found.report.items_old, found.report.items_new) == (ITEMS, ITEMS - GONE + FRESH)
    assert found.report.items_common == ITEMS - GONE
    assert all(f.agreement == 1 for f in found.report.concepts)  # bits were carried by the planting
    assert len(found.report.latents) == 24
    assert 24 > found.report.survive(0.5) >= found.report.survive(0.9) >= 20


def test_the_strongest_latent_of_a_concept_is_followed() -> None:
    found, _ = aligned(NIGHT.old, NIGHT.new)
    horror = fate(found, "genre:horror")
    assert (horror.latent, horror.to) == (0, NIGHT.order[0])
    assert horror.match is not None
    assert horror.match > 0.9


def test_a_display_name_given_by_hand_goes_over_and_one_of_the_metadata_does_not() -> None:
    old = changed(NIGHT.old, "genre:horror", display_name="Scary", by_hand=("display_name",))
    old = changed(old, "genre:comedy", display_name="Spelt otherwise last year")
    found, made = aligned(old, NIGHT.new)
    assert named(made, "genre:horror").display_name == "Scary"
    assert named(made, "genre:horror").by_hand == ("display_name",)
    assert named(made, "genre:comedy").display_name == "Comedy"
    assert fate(found, "genre:horror").carried == ("display_name",)


def test_a_threshold_given_by_hand_keeps_the_concept_as_wide() -> None:
    rows = common_rows(NIGHT)
    old = changed(NIGHT.old, "genre:horror", threshold=0.9, by_hand=("threshold",))
    narrow = labels_of(named(old, "genre:horror"), old) & (np.arange(ITEMS) % 3 == 0)
    bits = np.array(old.arrays.readout_bits)
    bits[0] = np.packbits(narrow, bitorder="little")
    old = replace(old, arrays=replace(old.arrays, readout_bits=bits))
    found, made = aligned(old, NIGHT.new)
    concept = named(made, "genre:horror")
    assert readouts_of(concept, made)[FRESH:].sum() == narrow[rows].sum()
    assert concept.by_hand == ("threshold",)
    assert concept.quality is not None
    assert concept.quality.precision > 0.7
    assert concept.quality.recall < 0.6
    assert fate(found, "genre:horror").threshold_new == concept.threshold
    np.testing.assert_array_equal(made.arrays.gains, NIGHT.new.arrays.gains)


def test_a_concept_that_the_new_metadata_lacks_is_fitted_to_its_members() -> None:
    found, made = aligned(NIGHT.old, without(NIGHT.new, "genre:western"))
    western = named(made, "genre:western")
    assert fate(found, "genre:western").outcome == "refitted"
    assert western.by_hand == ("members",)
    assert (fate(found, "genre:western").items_old, fate(found, "genre:western").items_new) == (
        labels_of(named(NIGHT.old, "genre:western"), NIGHT.old).sum(), western.items
    )  # fmt: skip
    assert western.quality is not None
    assert western.quality.auc > 0.9
    labels = labels_of(western, made)
    assert (
        labels[FRESH:].tolist() == labels_of(named(NIGHT.old, "genre:western"), NIGHT.old)[common_rows(NIGHT)].tolist()
    )
    assert not labels[:FRESH].any()
    assert (made.arrays.gains[western.row][labels] == 1).all()
    assert western.latents[0].latent == NIGHT.order[3]
    assert [c.row for c in made.concepts.concepts if c.offered] == [0, 1, 2, 3, 4, 5]


def test_new_items_are_read_and_not_taken_for_strangers() -> None:
    """Items that came after the labels are copies of old ones: most copies of members are found by the read-out."""
    _, made = aligned(NIGHT.old, without(NIGHT.new, "genre:horror"))
    horror = named(made, "genre:horror")
    active = made.item_codes.dense()[:FRESH, NIGHT.order[0]] > 0.3
    assert active.any()
    assert readouts_of(horror, made)[:FRESH][active].all()


def test_a_named_latent_becomes_its_match() -> None:
    old = with_entry(NIGHT.old, name_latent("custom:heist", "Heist films", 7, NIGHT.old))
    found, made = aligned(old, NIGHT.new)
    heist = named(made, "custom:heist")
    told = fate(found, "custom:heist")
    assert (told.outcome, told.latent, told.to, told.carried) == ("moved", 7, NIGHT.order[7], ("members",))
    assert (heist.display_name, heist.readout, heist.latents[0].latent) == ("Heist films", "latent", NIGHT.order[7])
    values = NIGHT.new.item_codes.dense()[:, NIGHT.order[7]]
    np.testing.assert_allclose(
        made.arrays.gains[heist.row], np.clip(values / np.quantile(values[values > 0], 0.9), 0, 1), rtol=1e-5
    )
    assert labels_of(heist, made).tolist() == (values > 0).tolist() == readouts_of(heist, made).tolist()
    assert heist.quality is not None
    assert heist.quality.auc > 0.95
    assert made.arrays.direction[heist.row].argmax() == NIGHT.order[7]
    assert made.arrays.direction_effect[heist.row] == NIGHT.new.arrays.latent_effect[NIGHT.order[7]]


def without_latent(contents: BundleContents, latent: int) -> BundleContents:
    dense = contents.item_codes.dense()
    dense[:, latent] = 0
    return replace(contents, item_codes=SparseCodes.from_dense(dense))


def test_a_named_latent_without_a_match_is_fitted_to_its_items() -> None:
    """Latent 0 is gone; what it meant is still in the vectors' other latents or nowhere: both are told."""
    old = with_entry(NIGHT.old, name_latent("custom:scary", "Scary", 0, NIGHT.old))
    found, made = aligned(old, without_latent(NIGHT.new, int(NIGHT.order[0])))
    told = fate(found, "custom:scary")
    assert told.outcome in {"refitted", "lost"}
    assert told.auc_new is not None
    assert (told.outcome == "lost") == ("custom:scary" not in {c.id for c in made.concepts.concepts})
    strict, _ = aligned(old, NIGHT.new, least_match=1.0)
    assert fate(strict, "custom:scary").outcome == "refitted"


def test_members_that_the_new_codes_do_not_know_are_lost_with_the_reason() -> None:
    rng = np.random.default_rng(5)
    members = rng.random(ITEMS) < 0.2
    entry = fit_members(
        Candidate("custom:noise", "custom", "Noise", members), np.arange(ITEMS), NIGHT.old,
        LabelConfig(min_auc=0.5, chance_deviations=0),
    )  # fmt: skip
    if not hasattr(entry, "concept"):  # the labels' luck decides on which side of chance they fall
        entry = fit_members(
            Candidate("custom:noise", "custom", "Noise", labels_of(named(NIGHT.old, "genre:horror"), NIGHT.old)),
            np.arange(ITEMS), NIGHT.old, LabelConfig(),
        )  # fmt: skip
        assert hasattr(entry, "concept")
        entry = replace(entry, labels=members)
    found, made = aligned(with_entry(NIGHT.old, entry), NIGHT.new)
    told = fate(found, "custom:noise")
    assert told.outcome == "lost"
    kept = int(members[common_rows(NIGHT)].sum())
    assert told.reason.startswith(
        f"of {members.sum()} members {kept} are in the new bundle; not found in the codes: AUC "
    )
    assert found.report.lost == (told,)
    assert "custom:noise" not in {concept.id for concept in made.concepts.concepts}


def test_what_the_new_training_refused_is_lost_for_its_reason() -> None:
    reason = "4 items carry it; at least 10 are needed to fit and score a read-out"
    new = without(NIGHT.new, "genre:western")
    refused = Concept(
        id="genre:western", family="genre", display_name="Western", items=4, offered=False, not_offered_reason=reason
    )
    new = replace(new, concepts=ConceptFile(concepts=(*new.concepts.concepts, refused)))
    found, made = aligned(NIGHT.old, new)
    assert [(f.id, f.reason) for f in found.report.lost] == [("genre:western", reason)]
    assert made.concepts == new.concepts


def test_concepts_that_only_the_new_bundle_offers_are_named() -> None:
    found, _ = aligned(without(NIGHT.old, "genre:comedy"), NIGHT.new)
    assert found.report.appeared == ("genre:comedy",)


def test_bundles_of_different_catalogues_are_refused() -> None:
    other = replace(
        NIGHT.new, items=NIGHT.new.items.set_column(0, "item_id", [[f"z{n}" for n in range(len(NIGHT.new.item_codes))]])
    )
    with pytest.raises(BundleError) as caught:
        align(opened(NIGHT.old), opened(other))
    assert str(caught.value) == (
        "bundle and bundle: items in both: found 0, expected at least 50. "
        "Latents are matched by the items that activate them, and items by item_id."
    )


def test_the_labelling_of_the_new_bundle_judges(tmp_path: Path) -> None:
    written = write_world(World(NIGHT.new, np.empty(0), np.empty(0)), tmp_path / "bundle")
    assert label_config(written) == LabelConfig()
    told = written.manifest.model_copy(update={"provenance": {"config": {"label": {"min_auc": 0.8}, "seed": 3}}})
    assert label_config(Bundle(written.path, told, written.contents)) == LabelConfig(min_auc=0.8, seed=3)
    older = written.manifest.model_copy(update={"provenance": {"config": {"label": {"no_such_key": 1}}}})
    assert label_config(Bundle(written.path, older, written.contents)) == LabelConfig()


def test_the_same_bundle_twice_changes_nothing(tmp_path: Path) -> None:
    contents = load_bundle(write_world(make_world(), tmp_path / "bundle").path).contents
    found, made = aligned(contents, contents)
    assert all(f.to == f.latent for f in found.report.latents)
    assert made.concepts == contents.concepts
