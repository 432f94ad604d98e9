"""A soft step: monotone, and never flat."""

from __future__ import annotations

import numpy as np
import pytest

from offline.label.soft_step import STEP_AT, membership, step


def test_the_step_is_monotone_and_never_flat() -> None:
    values = membership(np.linspace(-1, 1, 201), 0.3)
    assert (np.diff(values) > 0).all()
    assert 0 < values[0] < values[-1] < 1


def test_both_sigmoids_are_a_half_at_the_step() -> None:
    assert membership(np.array([STEP_AT * 0.3]), 0.3) == pytest.approx([0.5])


def test_members_above_the_threshold_of_best_f1_are_nearly_whole() -> None:
    labels = np.random.default_rng(0).random(120) < 0.3
    made = step(labels * 0.4, labels)
    assert made[labels].min() > 0.9 * made.max()
    assert made[~labels].max() < 0.2
