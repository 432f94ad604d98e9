"""What a unit of a direction does through a network: the metric's own effect where the network is an inner product."""

from __future__ import annotations

import numpy as np
import pytest

from offline.label import network_effects
from offline.label.effects import direction_effects, latent_effects
from offline.label.network_effects import network_direction_effects, network_latent_effects
from tests.network import Mlp
from tests.world import make_world

WORLD = make_world(items=300, users=40)
CONTENTS = WORLD.contents
assert CONTENTS.user_vectors is not None
SAE, ITEMS, USERS = CONTENTS.sae, CONTENTS.item_vectors, CONTENTS.user_vectors


def dot(users: np.ndarray, items: np.ndarray) -> np.ndarray:
    return np.asarray(users, np.float64) @ np.asarray(items, np.float64).T


def test_an_inner_product_has_the_metrics_effect() -> None:
    direction = CONTENTS.arrays.direction
    found = network_direction_effects(direction, WORLD.labels, items=ITEMS, users=USERS, sae=SAE, score=dot)
    np.testing.assert_allclose(found, direction_effects(direction, WORLD.labels, ITEMS, SAE, "dot"), rtol=1e-4)
    found = network_latent_effects(CONTENTS.item_codes, items=ITEMS, users=USERS, sae=SAE, score=dot)
    np.testing.assert_allclose(found, latent_effects(CONTENTS.item_codes, ITEMS, SAE, "dot"), rtol=1e-4, atol=1e-6)


def test_twice_the_direction_is_twice_the_effect_whatever_scores() -> None:
    """The step's length is fixed in the embedding, so the effect per unit is linear in the unit."""
    score, direction = Mlp.make(SAE.dim).scores, CONTENTS.arrays.direction
    once = network_direction_effects(direction, WORLD.labels, items=ITEMS, users=USERS, sae=SAE, score=score)
    twice = network_direction_effects(2 * direction, WORLD.labels, items=ITEMS, users=USERS, sae=SAE, score=score)
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-3)
    assert (once > 0).all()


def test_it_is_the_rise_that_a_small_step_makes() -> None:
    score, direction = Mlp.make(SAE.dim).scores, CONTENTS.arrays.direction
    found = network_direction_effects(direction, WORLD.labels, items=ITEMS, users=USERS, sae=SAE, score=score)
    move = 0.02 * direction[0] @ SAE.user.w_dec
    rise = (score(USERS + move, ITEMS) - score(USERS, ITEMS)).mean(0) / 0.02
    assert found[0] == pytest.approx(rise[WORLD.labels[0]].mean() - rise.mean(), rel=0.1)


def test_a_direction_without_members_or_length_has_none() -> None:
    direction = CONTENTS.arrays.direction[:2].copy()
    direction[1] = 0
    members = np.stack([np.zeros(300, np.bool_), WORLD.labels[1]])
    found = network_direction_effects(direction, members, items=ITEMS, users=USERS, sae=SAE, score=dot)
    assert found.tolist() == [0.0, 0.0]


def test_samples_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USERS", "ITEMS", "MEMBERS"):
        monkeypatch.setattr(network_effects, name, 30)
    asked: list[tuple[int, int]] = []

    def score(users: np.ndarray, items: np.ndarray) -> np.ndarray:
        asked.append((len(users), len(items)))
        return dot(users, items)

    direction = CONTENTS.arrays.direction
    found = network_direction_effects(direction, WORLD.labels, items=ITEMS, users=USERS, sae=SAE, score=score)
    assert set(asked) <= {(30, count) for count in range(31, 61)}
    whole = direction_effects(direction, WORLD.labels, ITEMS, SAE, "dot")
    assert np.abs(found - whole).mean() < 0.2
