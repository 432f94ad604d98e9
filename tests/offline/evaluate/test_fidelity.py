"""Reconstructed lists beside original ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bundle import Activation, SaeWeights, TowerWeights
from offline.evaluate.fidelity import VARIANTS, fidelity, ratio, reconstructed
from offline.evaluate.panel import Panel
from tests.offline.evaluate.planted import SUBJECT, TEST, TRAIN

EMBEDDINGS = SUBJECT.embeddings
PANEL = Panel.sample(EMBEDDINGS, TRAIN, TEST, 30, 0)


def identity(dim: int) -> SaeWeights:
    """An SAE that loses nothing: latents +e_i and -e_i."""
    basis = np.concatenate([np.eye(dim), -np.eye(dim)]).astype(np.float32)
    none = np.zeros(dim, np.float32)
    tower = TowerWeights(
        np.ascontiguousarray(basis.T), np.zeros(2 * dim, np.float32), basis, none, none, Activation("relu")
    )
    return SaeWeights(tower, tower, normalise=False)


def measured(weights: SaeWeights, panel: Panel = PANEL) -> dict[str, dict[str, float | None]]:
    return fidelity(EMBEDDINGS, weights, panel, k=10, depth=30, persistence=0.9)


def test_error_preserving_is_exactly_one() -> None:
    served = measured(SUBJECT.weights)["error_preserving"]
    assert served["rbo_truncated"] == pytest.approx(1 - 0.9**30)
    assert served["rbo_extrapolated"] == pytest.approx(1, abs=1e-12)
    assert [served[name] for name in ("kendall_tau", "same_items", "ndcg_kept", "recall_kept")] == [1, 1, 1, 1]


def test_error_preserving_users_are_the_same_bits() -> None:
    users = reconstructed(EMBEDDINGS, SUBJECT.weights, "error_preserving").users
    assert users.tobytes() == EMBEDDINGS.users.tobytes()


def test_a_lossless_sae_loses_nothing_and_a_sparse_one_does() -> None:
    lossless, sparse = measured(identity(16)), measured(SUBJECT.weights)
    for variant in VARIANTS:
        assert lossless[variant]["kendall_tau"] == 1
    assert 0.2 < sparse["both"]["rbo_truncated"] <= sparse["user"]["rbo_truncated"] + 0.1 < 0.958


def test_user_only_leaves_the_items() -> None:
    half = reconstructed(EMBEDDINGS, SUBJECT.weights, "user")
    assert half.items is EMBEDDINGS.items
    assert not np.allclose(half.users, EMBEDDINGS.users)
    both = reconstructed(replace(EMBEDDINGS), SUBJECT.weights, "both")
    assert not np.allclose(both.items, EMBEDDINGS.items)


def test_nothing_is_known_of_ndcg_without_interactions() -> None:
    alone = measured(SUBJECT.weights, Panel.sample(EMBEDDINGS, None, None, 30, 0))
    assert {alone[variant]["ndcg_kept"] for variant in VARIANTS} == {None}


def test_ratio_of_nothing() -> None:
    assert ratio(0.5, 2.0) == 0.25
    assert ratio(None, 1.0) is ratio(1.0, None) is ratio(0.0, 0.0) is None
