from __future__ import annotations

import math

import numpy as np
import pytest

from bundle import SparseCodes
from offline.label import Candidate, LabelConfig
from offline.stability import auc_needed, compare, compare_readouts, read_out

ITEMS, LATENTS = 600, 16


def planted(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.2, 1, (ITEMS, LATENTS)) * (rng.random((ITEMS, LATENTS)) < 0.15)).astype(np.float32)


CODES = planted()
FIRST = SparseCodes.from_dense(CODES)
CONCEPTS = [Candidate(f"genre:g{latent}", "genre", f"G{latent}", CODES[:, latent] > 0.6) for latent in range(3)] + [
    Candidate("year:y", "year", "Y", CODES[:, 3] > 0.6)
]


def test_latents_in_another_order_survive_with_their_concepts() -> None:
    order = np.random.default_rng(1).permutation(LATENTS)
    found = compare(FIRST, SparseCodes.from_dense(CODES[:, np.argsort(order)]), CONCEPTS)
    assert found.latents_at(0.99) == 1
    assert [(row.concept, row.latent, row.to) for row in found.best] == [
        (concept.id, latent, order[latent]) for latent, concept in enumerate(CONCEPTS)
    ]
    assert all(row.purity == row.purity_after == 1 for row in found.best)
    assert (found.concepts_at(0.9), found.stay_pure()) == (1, 1)


def test_shares_by_family_when_one_concepts_latent_is_gone() -> None:
    other = CODES.copy()
    other[:, 0] = planted(seed=5)[:, 0]
    found = compare(FIRST, SparseCodes.from_dense(other), CONCEPTS)
    assert found.concepts_at(0.5, "genre") == pytest.approx(2 / 3)
    assert found.concepts_at(0.5, "year") == 1
    assert found.concepts_at(0.5) == pytest.approx(3 / 4)
    assert found.stay_pure("genre") == pytest.approx(2 / 3)
    assert found.latents_at(0.5) == pytest.approx(15 / 16)
    assert math.isnan(found.concepts_at(0.5, "colour"))
    assert math.isnan(found.stay_pure("colour"))


def test_dead_latents_do_not_count() -> None:
    other = CODES.copy()
    other[:, 8:] = 0
    first = SparseCodes.from_dense(other)
    found = compare(first, first, CONCEPTS)
    assert found.alive.sum() == 8
    assert found.latents_at(0.9) == 1


def test_chance_finds_nothing() -> None:
    found = compare(FIRST, FIRST, CONCEPTS, shuffle=True)
    assert found.latents_at(0.5) == 0
    assert abs(float(found.match.held_out.mean())) < 0.05
    assert found.stay_pure() == 0


def test_without_concepts_only_latents_are_compared() -> None:
    found = compare(FIRST, FIRST, [])
    assert found.best == ()
    assert found.latents_at(0.9) == 1


def test_a_concept_survives_where_both_runs_find_it() -> None:
    config = LabelConfig()
    order = np.random.default_rng(1).permutation(LATENTS)
    gone = CODES.copy()
    gone[:, 0] = 0
    runs = [SparseCodes.from_dense(codes) for codes in (CODES, CODES[:, order], gone)]
    same, shuffled, without = (read_out(run, CONCEPTS, config) for run in runs)
    pairs = compare_readouts(same, shuffled, CONCEPTS, config)
    assert [pair.concept for pair in pairs] == [concept.id for concept in CONCEPTS]
    assert all(pair.survives and pair.correlation > 0.999 for pair in pairs)
    lost, *others = compare_readouts(same, without, CONCEPTS, config)
    assert not lost.survives
    assert lost.auc[0] > 0.9
    assert lost.auc[1] < 0.65
    assert all(pair.survives for pair in others)


def test_small_concepts_must_be_further_from_chance() -> None:
    config = LabelConfig()
    large, small = np.arange(ITEMS) < 200, np.arange(ITEMS) < 12
    assert auc_needed(large, config) == config.min_auc
    assert auc_needed(small, config) > 0.8
