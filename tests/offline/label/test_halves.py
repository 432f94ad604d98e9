from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from offline.label import halves as module
from offline.label.config import LabelConfig
from offline.label.halves import best_threshold, chance_deviation, cross_fit, precision_recall, stratified_halves
from offline.label.readouts import Features
from tests.offline.label.planted import make

WORLD = make(items=400)
FEATURES = Features.of(WORLD.codes, WORLD.vectors)
LABELS = WORLD.labels[0]
CONFIG = LabelConfig()


def split(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return stratified_halves(LABELS, np.arange(400), np.random.default_rng(seed))


def test_halves_are_a_partition_with_half_of_the_members_each() -> None:
    members = np.zeros(21, bool)
    members[:7] = True
    first, second = stratified_halves(members, np.arange(21), np.random.default_rng(0))
    assert sorted([*first, *second]) == list(range(21))
    assert (members[first].sum(), members[second].sum()) == (4, 3)
    assert (len(first), len(second)) == (11, 10)


def test_best_threshold_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    labels = np.array([True, False, True, False, False])
    # F1 at the cuts: 2/3, 2/4, 4/5, 4/6, 4/7; the best is after .7, and the threshold lies halfway to .6.
    assert best_threshold(labels, scores) == pytest.approx(0.65)


def test_best_threshold_takes_equal_scores_together() -> None:
    scores = np.array([0.9, 0.5, 0.5, 0.5])
    labels = np.array([True, True, False, False])
    # Cuts are only after .9 (F1 2/3) and at the end (4/6): the first of equals, halfway to .5.
    assert best_threshold(labels, scores) == pytest.approx(0.7)


def test_planted_concepts_are_found_on_held_out_items() -> None:
    for kind in ("logistic", "logistic_32", "probe"):
        found = cross_fit(kind, FEATURES, LABELS, split(), CONFIG)
        assert found.auc > 0.95
        assert found.average_precision > 0.9
        assert np.isfinite(found.scores).all()


def test_auc_is_that_of_each_scored_half() -> None:
    first, second = split()
    found = cross_fit("logistic", FEATURES, LABELS, (first, second), CONFIG)
    by_half = [roc_auc_score(LABELS[half], found.scores[half]) for half in (first, second)]
    assert found.auc == pytest.approx(np.mean(by_half))


def test_no_item_is_scored_by_a_model_that_saw_it() -> None:
    first, second = split()
    before = cross_fit("logistic", FEATURES, LABELS, (first, second), CONFIG).scores
    changed = LABELS.copy()
    changed[second] = np.random.default_rng(1).permutation(changed[second])
    after = cross_fit("logistic", FEATURES, changed, (first, second), CONFIG).scores
    # The model of the first half scores the second: other labels there change nothing in these scores.
    np.testing.assert_array_equal(before[second], after[second])
    assert not np.allclose(before[first], after[first])


def test_thresholds_never_see_the_scored_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the labels of the scored half are, the threshold applied to it stays the same."""
    first, second = split()
    seen: list[float] = []

    def spy(labels: np.ndarray, scores: np.ndarray) -> float:
        seen.append(best_threshold(labels, scores))
        return seen[-1]

    monkeypatch.setattr(module, "best_threshold", spy)

    def thresholds(labels: np.ndarray) -> tuple[float, float]:
        seen.clear()
        held_out = cross_fit("logistic", FEATURES, labels, (first, second), CONFIG)
        rng = np.random.default_rng(5)
        precision_recall("logistic", FEATURES, labels, (first, second), held_out=held_out, config=CONFIG, rng=rng)
        return seen[0], seen[1]  # applied to the second half, then to the first

    changed = LABELS.copy()
    changed[second] = np.random.default_rng(2).permutation(changed[second])
    (on_second, on_first), (on_second_too, other) = thresholds(LABELS), thresholds(changed)
    assert on_second == on_second_too
    assert on_first != other


def test_precision_and_recall_count_hits_over_both_halves() -> None:
    halves = split()
    held_out = cross_fit("logistic", FEATURES, LABELS, halves, CONFIG)
    rng = np.random.default_rng(0)
    precision, recall = precision_recall(
        "logistic", FEATURES, LABELS, halves, held_out=held_out, config=CONFIG, rng=rng
    )
    assert precision > 0.85
    assert recall > 0.85


@pytest.mark.parametrize("members", [10, 60])
def test_chance_deviation_is_what_permuted_labels_show(members: int) -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros(400, bool)
    labels[:members] = True
    found = []
    for _ in range(120):
        permuted = rng.permutation(labels)
        halves = stratified_halves(permuted, np.arange(400), rng)
        found.append(cross_fit("probe", FEATURES, permuted, halves, CONFIG).auc)
    expected = chance_deviation(members, 400)
    assert np.mean(found) == pytest.approx(0.5, abs=3 * expected / np.sqrt(120))
    assert np.std(found) == pytest.approx(expected, rel=0.25)
