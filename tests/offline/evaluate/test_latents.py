"""The best single latent, by an AUC that scikit-learn agrees with."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bundle import SparseCodes
from offline.evaluate.latents import best_latent, halves, latent_auc
from tests.offline.evaluate.planted import SUBJECT, WORLD


def test_auc_equals_scikit_learn_with_ties_and_on_a_half() -> None:
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((60, 9)) < 0.4, rng.integers(1, 4, (60, 9)), 0).astype(np.float32)
    dense[:, 8] = 0
    codes, members, among = SparseCodes.from_dense(dense), rng.random(60) < 0.3, rng.random(60) < 0.5
    assert latent_auc(codes, members) == pytest.approx([roc_auc_score(members, dense[:, j]) for j in range(9)])
    wanted = [roc_auc_score(members[among], dense[among, j]) for j in range(9)]
    assert latent_auc(codes, members, among) == pytest.approx(wanted)


def test_one_class_says_nothing() -> None:
    codes = SparseCodes.from_dense(np.eye(3, dtype=np.float32))
    assert latent_auc(codes, np.ones(3, bool)).tolist() == [0.5] * 3


def test_the_planted_latent_is_found() -> None:
    # In the planted world latent c is concept c.
    for c, labels in enumerate(WORLD.labels):
        assert best_latent(SUBJECT.codes, labels) == c


def test_halves_divide_members_and_others() -> None:
    members = np.arange(100) < 20
    first, second = halves(members, 0)
    assert not (first & second).any()
    assert (first | second).all()
    assert ((first & members).sum(), (first & ~members).sum()) == (10, 40)
