from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize
from scipy.sparse import csr_array
from scipy.special import expit

from bundle import SparseCodes
from offline.label.config import LabelConfig
from offline.label.readouts import Features, fit, strongest_differences
from tests.offline.label.planted import LATENTS, make

WORLD = make(items=300)
FEATURES = Features.of(WORLD.codes, WORLD.vectors)
EVERYTHING = np.arange(300)


def penalised(point: np.ndarray, table: np.ndarray, labels: np.ndarray, l2: float) -> float:
    sign = np.where(labels, 1, -1)
    margin = sign * (table @ point[:-1] + point[-1])
    return float(np.logaddexp(0, -margin).mean() + l2 * point[:-1] @ point[:-1])


def test_features_are_scaled() -> None:
    dense = np.array([[2.0, 0], [4.0, 0], [0, 0]], np.float32)
    features = Features.of(SparseCodes.from_dense(dense), np.array([[3.0, 4], [0, 2], [0, 0]], np.float32))
    # Latent 0: 90th percentile of {2, 4} = 3.8; latent 1 is dead and keeps 1. Vectors: norm sqrt(2), zero stays zero.
    np.testing.assert_allclose(features.scale, [3.8, 1])
    np.testing.assert_allclose(features.codes.toarray(), dense / 3.8)
    np.testing.assert_allclose(features.vectors, np.sqrt(2) * np.array([[0.6, 0.8], [0, 1], [0, 0]]), rtol=1e-6)


@pytest.mark.parametrize("kind", ["logistic", "probe"])
def test_the_fit_is_the_minimum_of_the_documented_loss(kind: str) -> None:
    config = LabelConfig(l2=0.01)
    labels = WORLD.labels[1]
    table = FEATURES.codes.toarray() if kind == "logistic" else FEATURES.vectors
    readout = fit(kind, FEATURES, labels, EVERYTHING, config)  # type: ignore[arg-type]
    point = np.append(readout.weight, readout.bias)
    best = minimize(penalised, np.zeros(len(point)), args=(table, labels, 0.01), tol=1e-12)
    assert penalised(point, table, labels, 0.01) == pytest.approx(best.fun, abs=1e-6)
    assert readout.converged
    np.testing.assert_allclose(readout(FEATURES), expit(table @ readout.weight + readout.bias))


def test_logistic_32_is_non_negative_on_few_latents_and_a_minimum_there() -> None:
    config = LabelConfig(l2=0.01, sparse_latents=5)
    labels = WORLD.labels[0]
    readout = fit("logistic_32", FEATURES, labels, EVERYTHING, config)
    assert (readout.weight >= 0).all()
    assert (readout.weight > 0).sum() <= 5
    assert set(np.argsort(-readout.weight)[:2]) == {0, 1}  # the concept's own latents
    table = FEATURES.codes.toarray()
    slope = approx_fprime(np.append(readout.weight, readout.bias), penalised, 1e-7, table, labels, 0.01)
    free = np.append(readout.weight > 1e-9, True)
    np.testing.assert_allclose(slope[free], 0, atol=1e-4)


def test_strongest_differences_by_hand() -> None:
    # Members have latent 0 always, latent 1 never, latent 2 like the others; latent 3 varies more than it differs.
    table = np.array([[1, 0, 1, 3], [1, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 1.0]])
    labels = np.array([True, True, False, False])
    # Differences: 1 / .5 = 2; -2; 0; (1.5 - .5) / 1.22 = .82.
    assert strongest_differences(csr_array(table), labels, 3).tolist() == [0, 3]
    assert strongest_differences(csr_array(table), labels, 1).tolist() == [0]


def test_a_fit_reads_only_its_rows() -> None:
    rows = np.arange(0, 300, 2)
    labels = WORLD.labels[0].copy()
    before = fit("logistic", FEATURES, labels, rows, LabelConfig())
    labels[1::2] = ~labels[1::2]
    after = fit("logistic", FEATURES, labels, rows, LabelConfig())
    np.testing.assert_array_equal(before.weight, after.weight)


@pytest.mark.parametrize("kind", ["logistic", "logistic_32", "probe"])
def test_a_sampled_fit_comes_near_the_whole_one(kind: str) -> None:
    world = make(items=6000, seed=3)
    features = Features.of(world.codes, world.vectors)
    rows, labels = np.arange(6000), world.labels[2]
    whole = fit(kind, features, labels, rows, LabelConfig())  # type: ignore[arg-type]
    part = fit(kind, features, labels, rows, LabelConfig(fit_items=1500))  # type: ignore[arg-type]
    # The weights undo the unequal chances, so the probabilities stay where they were.
    assert abs(part(features).mean() - whole(features).mean()) < 0.02
    assert np.corrcoef(part(features), whole(features))[0, 1] > 0.98


def test_latents_are_those_of_the_codes() -> None:
    assert fit("logistic", FEATURES, WORLD.labels[0], EVERYTHING, LabelConfig()).weight.shape == (LATENTS,)
