from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from bundle import BundleContents, Calibration, SparseCodes
from bundle.errors import TrainingError
from offline.label import Audience, LabelConfig, LabelResult, label_concepts
from offline.label.decoded import Decoded
from offline.label.soft_step import step
from tests.offline.label.planted import LATENTS, NAMES, World, make

WORLD = make()


def labelled(world: World = WORLD, **options: object) -> LabelResult:
    config = LabelConfig(**options)  # type: ignore[arg-type]
    return label_concepts(world.items, world.codes, world.vectors, world.sae, "dot", config=config)


RESULT = labelled()
BY_ID = {concept.id: concept for concept in RESULT.concepts.concepts}


def test_planted_concepts_are_found_and_a_random_column_is_not_offered() -> None:
    for name in NAMES:
        concept = BY_ID[f"genre:{name.lower()}"]
        assert concept.offered
        assert concept.quality is not None
        assert concept.quality.auc > 0.95
        assert concept.quality.precision > 0.8
        assert concept.quality.recall > 0.8
    for colour in ("red", "green", "blue"):
        concept = BY_ID[f"colour:{colour}"]
        assert not concept.offered
        assert concept.quality is not None
        auc = concept.quality.auc
        assert concept.not_offered_reason == (
            f"not found in the codes: AUC {auc:.2f} on held-out items, at least 0.65 is needed (chance gives 0.50)"
        )


def test_the_latents_of_a_concept_are_its_own() -> None:
    for number, name in enumerate(NAMES):
        named = BY_ID[f"genre:{name.lower()}"].latents
        assert {weight.latent for weight in named[:2]} == {2 * number, 2 * number + 1}
        assert [w.weight for w in named] == sorted((w.weight for w in named), reverse=True)


def test_base_rate_and_purity_stand_beside() -> None:
    quality = BY_ID["genre:western"].quality
    assert quality is not None
    assert quality.base_rate == pytest.approx(WORLD.labels[2].mean())
    assert [purity.k for purity in quality.purity] == [10, 20, 50]
    assert quality.purity[0].value > 0.7
    assert quality.purity[2].attainable < 1  # about 24 members in a half


def test_arrays_are_what_the_bundle_wants() -> None:
    contents = BundleContents(
        sae=WORLD.sae,
        metric="dot",
        items=WORLD.items,
        item_vectors=WORLD.vectors,
        item_bias=None,
        item_codes=WORLD.codes,
        concepts=RESULT.concepts,
        arrays=RESULT.arrays,
        calibration=Calibration(),
    )
    contents.check()


def unpacked(bits: np.ndarray) -> np.ndarray:
    return np.unpackbits(bits, axis=1, bitorder="little")[:, : len(WORLD.codes)].astype(bool)


def test_gains_are_the_readout_and_one_where_labelled() -> None:
    result = labelled(readout="logistic")
    arrays = result.arrays
    by_id = {concept.id: concept for concept in result.concepts.concepts}
    for name, labels in zip(NAMES, WORLD.labels, strict=True):
        concept = by_id[f"genre:{name.lower()}"]
        assert concept.row is not None
        assert concept.threshold is not None
        row = concept.row
        # The read-out of stored codes, by the formula new items will be read with.
        logit = WORLD.codes.dense() @ arrays.readout_weight[row] + arrays.readout_bias[row]
        readout = np.clip(1 / (1 + np.exp(-logit)) / arrays.readout_scale[row], 0, 1)
        np.testing.assert_allclose(arrays.gains[row], np.maximum(labels, readout), atol=2e-5)
        assert (readout[labels] >= 1 - 1e-5).mean() == pytest.approx(0.1, abs=0.05)  # 1.0 is the 90th percentile
        np.testing.assert_array_equal(unpacked(arrays.label_bits)[row], labels)
        near = np.abs(readout - concept.threshold) < 1e-4
        np.testing.assert_array_equal(unpacked(arrays.readout_bits)[row][~near], (readout >= concept.threshold)[~near])


def test_a_decoded_readout_ships_what_was_measured_and_a_regression_for_later_items() -> None:
    result = labelled(readout="decoded")
    kernel = Decoded.of(WORLD.codes, WORLD.sae, LabelConfig())
    for name, labels in zip(NAMES, WORLD.labels, strict=True):
        concept = next(c for c in result.concepts.concepts if c.id == f"genre:{name.lower()}")
        assert concept.readout == "decoded"
        values = step(kernel.scores(labels[None])[0], labels)
        scale = np.quantile(values[labels], 0.9)
        gains = result.arrays.gains[concept.row]
        np.testing.assert_allclose(gains, np.maximum(labels, np.minimum(values / scale, 1)), rtol=1e-4)
        logit = WORLD.codes.dense() @ result.arrays.readout_weight[concept.row]
        assert logit[labels].mean() > logit[~labels].mean() + 1


def test_the_readout_finds_items_whose_label_is_missing() -> None:
    missing = WORLD.members & ~WORLD.labels
    found = unpacked(RESULT.arrays.readout_bits)[[BY_ID[f"genre:{n.lower()}"].row or 0 for n in NAMES]]
    assert missing.sum() > 5
    assert (found & missing).sum() / missing.sum() > 0.8


def test_directions_have_unit_length_and_raise_their_members() -> None:
    np.testing.assert_allclose(np.linalg.norm(RESULT.arrays.direction, axis=1), 1, rtol=1e-5)
    assert (RESULT.arrays.direction_effect > 0).all()
    assert RESULT.arrays.latent_effect.shape == (LATENTS,)


def test_the_probe_is_measured_always_and_shipped_when_asked_for() -> None:
    assert all(set(row["readouts"]) == {"decoded", "logistic", "logistic_32", "probe"} for row in RESULT.report)
    assert {c.readout for c in RESULT.concepts.concepts if c.offered} <= {"decoded", "logistic", "logistic_32"}
    probed = labelled(readout="probe")
    offered = [c for c in probed.concepts.concepts if c.offered]
    assert {c.readout for c in offered} == {"probe"}
    assert not probed.arrays.readout_weight.any()  # it reads no code ...
    np.testing.assert_allclose(np.linalg.norm(probed.arrays.direction, axis=1), 1, rtol=1e-5)  # ... the direction does


def test_reasons_for_what_is_not_even_fitted() -> None:
    items = 300
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "item_id": [f"i{n}" for n in range(items)],
            "title": ["t"] * items,
            "rare": ["nine" if n < 9 else "one" if n == 9 else None for n in range(items)],
            "common": ["usual" if n < 288 else "odd" for n in range(items)],
            "nearly": ["all" if n < 295 else None for n in range(items)],
        }
    )
    codes = SparseCodes.from_dense(rng.random((items, LATENTS)).astype(np.float32))
    result = label_concepts(table, codes, rng.normal(size=(items, 16)).astype(np.float32), WORLD.sae, "dot")
    reasons = {c.id: c.not_offered_reason for c in result.concepts.concepts}
    assert reasons["rare:nine"] == "9 items carry it; at least 10 are needed to fit and score a read-out"
    assert reasons["rare:one"] == "1 item carries it; at least 10 are needed to fit and score a read-out"
    assert reasons["common:usual"] == "96% of the items carry it; a rule on nearly all of them steers nothing"
    assert reasons["nearly:all"] == "only 5 items do not carry it; at least 10 are needed to fit and score a read-out"
    assert len(result.arrays.gains) == 0
    assert [row["id"] for row in result.report] == ["common:odd"]


def test_labels_at_random_are_hardly_ever_offered() -> None:
    """Forty concepts of 12 to 200 items that mean nothing: none gets through."""
    rng = np.random.default_rng(7)
    columns = {}
    for number, size in enumerate(np.geomspace(12, 200, 40).astype(int)):
        names = np.array([None] * len(WORLD.codes), object)
        names[rng.permutation(len(names))[:size]] = "x"
        columns[f"c{number}"] = names.tolist()
    table = pa.table({"item_id": WORLD.items["item_id"], "title": WORLD.items["title"], **columns})
    result = label_concepts(table, WORLD.codes, WORLD.vectors, WORLD.sae, "dot")
    assert [c.id for c in result.concepts.concepts if c.offered] == []


def test_the_same_seed_finds_the_same_and_other_columns_do_not_matter() -> None:
    again = label_concepts(
        WORLD.items.append_column("more", pa.array(["a", "b"] * 300)), WORLD.codes, WORLD.vectors, WORLD.sae, "dot"
    )
    by_id = {concept.id: concept for concept in again.concepts.concepts}
    purity_aside = {"quality": {"purity": True}, "row": True}
    for name in NAMES:
        concept = f"genre:{name.lower()}"
        assert by_id[concept].model_dump(exclude=purity_aside) == BY_ID[concept].model_dump(exclude=purity_aside)


def test_progress_counts_every_candidate() -> None:
    calls: list[tuple[int, int, str]] = []
    label_concepts(WORLD.items, WORLD.codes, WORLD.vectors, WORLD.sae, "dot", progress=lambda *call: calls.append(call))
    assert [done for done, _, _ in calls] == [1, 2, 3, 4, 5, 6]
    assert {total for _, total, _ in calls} == {6}
    assert calls[0][2] == "genre:horror"


def test_rows_must_agree() -> None:
    with pytest.raises(TrainingError) as refused:
        label_concepts(WORLD.items, WORLD.codes, WORLD.vectors[:-1], WORLD.sae, "dot")
    assert str(refused.value) == "labelling: found 600 items, 600 codes, 599 vectors, expected one of each per item."


def test_effects_under_a_network_are_those_of_its_scores() -> None:
    users = np.random.default_rng(4).normal(size=(30, WORLD.vectors.shape[1])).astype(np.float32)
    config = LabelConfig(readout="logistic")

    def inner(queries: np.ndarray, items: np.ndarray) -> np.ndarray:
        return queries @ items.T

    found = label_concepts(
        WORLD.items, WORLD.codes, WORLD.vectors, WORLD.sae, "dot", config=config, network=(inner, users)
    ).arrays
    # Users and items share no space there: the direction is the read-out's own weights.
    weights = found.readout_weight / np.linalg.norm(found.readout_weight, axis=1, keepdims=True)
    np.testing.assert_allclose(found.direction, weights, atol=1e-5)
    moved = WORLD.vectors @ (found.direction @ WORLD.sae.user.w_dec).T
    wanted = [moved[labels, row].mean() - moved[:, row].mean() for row, labels in enumerate(WORLD.labels)]
    np.testing.assert_allclose(found.direction_effect, wanted, rtol=0.05)


def takers_of_colours() -> Audience:
    """Users whose code says which colour they take; the items' own codes do not know colours (WORLD)."""
    colours = np.array(WORLD.items["colour"].to_pylist())
    rng = np.random.default_rng(2)
    likes = rng.integers(0, 3, 300)
    rows = WORLD.sae.user.w_dec[likes + 10] + rng.normal(scale=0.05, size=(300, WORLD.vectors.shape[1]))
    takes = rng.random((300, len(colours))) < np.where(
        colours == np.array(["red", "green", "blue"])[likes, None], 0.2, 0.02
    )
    user, item = np.nonzero(takes)
    return Audience(rows.astype(np.float32), user, item)


def test_what_only_an_items_takers_tell_is_offered_and_shipped_as_it_was_measured() -> None:
    audience = takers_of_colours()
    result = label_concepts(WORLD.items, WORLD.codes, WORLD.vectors, WORLD.sae, "dot", audience=audience)
    found = {concept.id: concept for concept in result.concepts.concepts}
    red = found["colour:red"]
    assert red.offered
    assert red.readout == "audience"
    members = np.array(WORLD.items["colour"].to_pylist()) == "red"
    scores = audience.kernel(WORLD.sae, len(members), LabelConfig()).scores(members[None])[0]
    shipped = step(scores, members)
    shipped = np.clip(shipped / np.quantile(shipped[members], 0.9), 0, 1)
    np.testing.assert_allclose(result.arrays.gains[red.row][~members], shipped[~members], atol=1e-5)
    # Genres are in the items' own codes, and takers chosen by colour do not tell them.
    assert found["genre:horror"].readout != "audience"


def test_a_readout_that_is_asked_for_is_taken() -> None:
    audience, config = takers_of_colours(), LabelConfig(readout="decoded")
    asked = label_concepts(WORLD.items, WORLD.codes, WORLD.vectors, WORLD.sae, "dot", audience=audience, config=config)
    assert {concept.readout for concept in asked.concepts.concepts if concept.offered} == {"decoded"}
