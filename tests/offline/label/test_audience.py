"""An item read by the codes of those who took it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bundle import Activation, SaeWeights, TowerWeights
from offline.label.audience import Audience
from offline.label.config import LabelConfig

EYE = np.eye(3, dtype=np.float32)
NONE = np.zeros(3, np.float32)
TOWER = TowerWeights(EYE, NONE, EYE, NONE, NONE, Activation("relu"))
SAE = SaeWeights(TOWER, TOWER, False)


def test_a_place_is_the_weighted_mean_of_its_audiences_codes_less_everybodys() -> None:
    # Codes are the embeddings; each latent is active on one user, so over its 90th percentile it is 1.
    users = np.diag([2.0, 4.0, 8.0]).astype(np.float32)
    # User 0 takes item 0; user 1 takes 0 and 1; user 2 takes nothing; nobody takes item 2.
    audience = Audience(users, np.array([0, 1, 1]), np.array([0, 0, 1]))
    voice = np.array([1 / np.sqrt(2), 1 / np.sqrt(3)])
    mean = np.array([voice[0], 2 * voice[1], 0]) / (voice[0] + 2 * voice[1])
    wanted = np.array([[voice[0], voice[1], 0] - voice.sum() * mean, [0, voice[1], 0] - voice[1] * mean])
    places = audience.places(SAE, 3)
    np.testing.assert_allclose(places[:2], wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_array_equal(places[2], 0)


def taste(items: int = 160, users: int = 400) -> tuple[Audience, np.ndarray]:
    """Users like one of three kinds of items; items are of one kind each, and say so nowhere but by their takers."""
    rng = np.random.default_rng(0)
    kind, likes = rng.integers(0, 3, items), rng.integers(0, 3, users)
    rows = (EYE[likes] + rng.uniform(0, 0.6, (users, 3))).astype(np.float32)
    taken = rng.random((users, items)) < np.where(likes[:, None] == kind, 0.2, 0.04)
    user, item = np.nonzero(taken)
    return Audience(rows, user, item), kind == 0


def test_what_only_the_takers_know_is_found() -> None:
    audience, members = taste()
    scores = audience.kernel(SAE, len(members), LabelConfig()).scores(members[None])[0]
    assert roc_auc_score(members, scores) > 0.95


def test_takers_by_chance_tell_nothing() -> None:
    audience, members = taste()
    shuffled = Audience(audience.users, np.random.default_rng(1).permutation(audience.user), audience.item)
    scores = shuffled.kernel(SAE, len(members), LabelConfig()).scores(members[None])[0]
    assert 0.3 < roc_auc_score(members, scores) < 0.7


def test_an_item_that_nobody_took_is_near_the_base_rate() -> None:
    audience, members = taste()
    kept = audience.item != 7
    fewer = Audience(audience.users, audience.user[kept], audience.item[kept])
    scores = fewer.kernel(SAE, len(members), LabelConfig()).scores(members[None])[0]
    assert scores[7] == pytest.approx(members.mean(), abs=0.2)
