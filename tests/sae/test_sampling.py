import numpy as np
import pytest

from sae.sampling import Sampler

pytestmark = pytest.mark.train

PAIRS = (np.array([3, 4, 4], np.int64), np.array([7, 8, 9], np.int64))


def sampler(kind="uniform", **changes):
    arguments = {"pairs": PAIRS, "kind": kind, "seed": 5, **changes}
    return Sampler(10, 20, 4, 6, **arguments)


def test_uniform_draws_without_replacement():
    draw = sampler().draw(1, 0)
    assert len(set(draw.users.tolist())) == 4
    assert len(set(draw.items.tolist())) == 6
    assert 0 <= draw.users.min() <= draw.users.max() < 10
    assert 0 <= draw.items.min() <= draw.items.max() < 20


def test_small_data_gives_all_of_it():
    draw = Sampler(3, 5, 512, 1024, pairs=None, kind="uniform", seed=0).draw(1, 0)
    assert sorted(draw.users.tolist()) == [0, 1, 2]
    assert sorted(draw.items.tolist()) == [0, 1, 2, 3, 4]


def test_interactions_are_observed_pairs():
    draw = sampler("interactions").draw(1, 0)
    observed = set(zip(*(side.tolist() for side in PAIRS), strict=True))
    assert {(u, v) for u, v in zip(draw.users.tolist(), draw.items.tolist(), strict=False)} <= observed
    assert set(draw.items.tolist()) <= {7, 8, 9}


def test_mixed_is_half_and_half():
    draw = sampler("mixed").draw(1, 0)
    assert set(draw.users[:2].tolist()) <= {3, 4}
    assert set(draw.items[:3].tolist()) <= {7, 8, 9}
    assert len(draw.users) == 4
    assert len(draw.items) == 6


@pytest.mark.parametrize("kind", ["uniform", "interactions", "mixed"])
def test_a_step_is_a_function_of_seed_stage_and_step(kind):
    once, again = sampler(kind).draw(2, 7), sampler(kind).draw(2, 7)
    assert np.array_equal(once.users, again.users)
    assert np.array_equal(once.items, again.items)
    others = [sampler(kind, seed=6).draw(2, 7), sampler(kind).draw(1, 7), sampler(kind).draw(2, 8)]
    assert sum(np.array_equal(once.items, other.items) for other in others) < 3


def test_uniform_covers_everything_evenly():
    count = np.zeros(20)
    for step in range(400):
        count[sampler().draw(1, step).items] += 1
    # 400 steps x 6 of 20: 120 each, standard deviation sqrt(400 x .3 x .7) = 9.2.
    assert np.abs(count - 120).max() < 46


def test_a_stage_that_predicts_nothing_draws_uniformly():
    shown = np.zeros(20)
    shown[3] = 1.0
    weighted, plain = Sampler(10, 20, 4, 6, pairs=None, kind="shown", seed=5, shown=shown), sampler()
    assert 3 in weighted.draw(2, 0).items
    assert np.array_equal(weighted.draw(1, 0, predicts=False).items, plain.draw(1, 0).items)
