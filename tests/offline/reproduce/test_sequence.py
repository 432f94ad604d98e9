"""Correlation and AUC by hand, and the comparison on states whose genre direction is known."""

from __future__ import annotations

import numpy as np
import pytest

from offline.reproduce.sequence import auc, compare, pearson, probe, rotations

pytestmark = pytest.mark.train


def test_pearson_by_hand() -> None:
    features = np.array([[0, 1, 7], [0, 1, 5], [1, 0, 5], [1, 1, 7]], np.float32)
    members = np.array([[0, 0, 1, 1], [1, 1, 1, 1]], bool)
    got = pearson(features, members)
    assert got[0].tolist() == pytest.approx([1, -1 / np.sqrt(3), 0])
    assert got[1].tolist() == [0, 0, 0]


def test_auc_by_hand() -> None:
    # Genre on items 2, 3. Candidate 0 orders 3 of its 4 pairs right; candidate 1 ties everywhere.
    features = np.array([[1, 4], [3, 4], [2, 4], [5, 4]], np.float32)
    members = np.array([[0, 0, 1, 1], [0, 0, 0, 0]], bool)
    assert auc(features, members).tolist() == [[0.75, 0.5], [0.5, 0.5]]


def world() -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    genre = rng.random((2, 400)) < 0.4
    clean = rng.standard_normal((400, 6)).astype(np.float32)
    clean[:, 0] += 4 * genre[0]
    clean[:, 1] -= 4 * genre[1]
    turn, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    first = rng.random(400) < 0.5
    return clean, (clean @ turn).astype(np.float32), (genre, first)


def test_the_axis_of_a_genre_beats_the_rotated_space_and_the_probe_bounds_both() -> None:
    clean, mixed, (genre, first) = world()
    halves = (first, ~first)
    found = compare({"latents": clean, "raw": mixed, "rotated": rotations(mixed, 24, 0)}, genre, halves)
    bound = probe(mixed, genre, halves)
    for measure in ("pearson_held_out", "auc_held_out"):
        latents, raw, rotated, best = (np.mean(part[measure]) for part in (*found.values(), bound))
        assert raw < latents - 0.02
        assert raw <= rotated + 0.02
        assert latents < best + 0.02
    # A direction that points away from its genre counts as well as one that points to it.
    assert min(found["latents"]["auc"]) > 0.95


def test_rotations_are_as_many_as_asked_for_and_keep_lengths() -> None:
    _, mixed, _ = world()
    turned = rotations(mixed, 15, 3)
    assert turned.shape == (400, 15)
    assert np.array_equal(turned[:, :6], mixed)
    assert np.linalg.norm(turned[:, 6:12], axis=1) == pytest.approx(np.linalg.norm(mixed, axis=1), rel=1e-5)
