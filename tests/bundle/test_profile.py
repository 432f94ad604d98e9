"""The training users' quantiles: worked out by hand, read back from a bundle, refused where they make no sense."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from bundle import Activation, SaeWeights, TowerWeights, UserProfile, load_bundle, measure_users, profile_users
from bundle.profile import FEWEST, MOST, QUANTILES
from offline.export import export_bundle
from tests.world import make_world, write_world

GOLDEN = Path(__file__).parent.parent / "golden" / "v1"


def axes(dim: int = 3, known: int = 2) -> SaeWeights:
    """An SAE whose latents are the first ``known`` axes, positive side."""
    rows = np.eye(dim, dtype=np.float32)[:known]
    zero = np.zeros(dim, np.float32)
    tower = TowerWeights(
        np.ascontiguousarray(rows.T), np.zeros(known, np.float32), rows, zero, zero, Activation("relu")
    )
    return SaeWeights(user=tower, item=tower, normalise=False)


def test_error_is_what_is_not_reconstructed_and_l0_what_is_active() -> None:
    users = np.array([[3, 0, 0], [3, 0, 4], [0, 0, 5], [1, 1, 0], [0, 0, 0], [-2, 1, 0]], np.float32)
    error, l0 = measure_users(axes(), users)
    assert error.tolist() == pytest.approx([0, 0.8, 1, 0, 0, 2 / np.sqrt(5)])
    assert l0.tolist() == [1, 1, 0, 2, 0, 1]


def test_quantiles_are_those_of_all_users() -> None:
    rng = np.random.default_rng(0)
    users = rng.normal(size=(999, 3)).astype(np.float32)
    made = profile_users(axes(), users, unit=False)
    assert made is not None
    error, l0 = measure_users(axes(), users)
    assert made.users == 999
    assert made.quantiles == QUANTILES
    assert made.error == pytest.approx(np.quantile(error, QUANTILES), abs=1e-6)
    assert made.at("l0", 0.5) == np.median(l0)
    assert made.at("error", 0.95) == pytest.approx(made.error[QUANTILES.index(0.95)])
    assert made.at("error", 0.97) == pytest.approx((made.error[8] + made.error[9]) / 2)


def test_a_cosine_recommender_s_users_are_read_at_unit_length() -> None:
    rng = np.random.default_rng(1)
    sae = axes()
    biased = TowerWeights(sae.user.w_enc, np.full(2, -0.5, np.float32), sae.user.w_dec, *(np.zeros(3, np.float32),) * 2,
                          Activation("relu"))  # fmt: skip
    sae = SaeWeights(user=biased, item=biased, normalise=False)
    users = (10 * rng.normal(size=(300, 3))).astype(np.float32)
    unit = users / np.linalg.norm(users, axis=1, keepdims=True)
    assert profile_users(sae, users, unit=True) == profile_users(sae, unit, unit=False)
    assert profile_users(sae, users, unit=True) != profile_users(sae, users, unit=False)


def test_too_few_users_have_no_profile() -> None:
    users = np.ones((FEWEST, 3), np.float32)
    assert profile_users(axes(), users, unit=False) is not None
    assert profile_users(axes(), users[1:], unit=False) is None
    assert profile_users(axes(), None, unit=False) is None


def test_of_many_users_an_even_part_is_looked_at() -> None:
    users = np.ones((2 * MOST + 5, 3), np.float32)
    made = profile_users(axes(), users, unit=False)
    assert made is not None
    assert made.users == MOST


def test_outside_is_beyond_the_training_on_either_side_of_l0_and_above_its_error() -> None:
    made = UserProfile(users=1000, quantiles=(0.001, 0.5, 0.999), error=(0.1, 0.2, 0.3), l0=(2, 4, 6))
    error = np.array([0.0, 0.3, 0.31, 0.2, 0.2], np.float32)
    l0 = np.array([4, 6, 4, 7, 1], np.float32)
    assert made.outside(error, l0).tolist() == [False, False, True, True, True]


def test_the_rank_of_an_error_is_where_it_stands_in_the_training() -> None:
    made = UserProfile(users=1000, quantiles=(0.1, 0.5, 0.9), error=(0.1, 0.2, 0.4), l0=(2, 4, 6))
    ranks = made.rank(np.array([0.05, 0.1, 0.15, 0.2, 0.3, 0.399999, 0.5], np.float32))
    assert ranks.tolist() == pytest.approx([0, 0.1, 0.3, 0.5, 0.7, 0.9, 1], abs=1e-5)
    rng = np.random.default_rng(2)
    users = rng.normal(size=(5000, 3)).astype(np.float32)
    own = profile_users(axes(), users[:4000], unit=False)
    assert own is not None
    fresh = own.rank(measure_users(axes(), users[4000:])[0])
    assert np.mean(fresh > 0.5) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    ("field", "value"),
    [("error", (0.1, 0.2)), ("error", (0.3, 0.2, 0.1)), ("l0", (-1, 2, 3)), ("users", 10), ("quantiles", ())],
)
def test_nonsense_is_refused(field: str, value: object) -> None:
    good = {"users": 1000, "quantiles": (0.1, 0.5, 0.9), "error": (0.1, 0.2, 0.3), "l0": (1, 2, 3)}
    UserProfile(**good)  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        UserProfile(**{**good, field: value})  # type: ignore[arg-type]


def test_a_bundle_carries_it_and_old_bundles_have_none(tmp_path: Path) -> None:
    world = make_world(users=250)
    manifest = write_world(world, tmp_path / "b").manifest
    assert manifest.user_profile == profile_users(world.contents.sae, world.contents.user_vectors, unit=False)
    assert write_world(make_world(), tmp_path / "few").manifest.user_profile is None
    for golden in sorted(GOLDEN.iterdir()):
        assert load_bundle(golden).manifest.user_profile is None


def test_a_bundle_that_stores_no_users_knows_them_all_the_same(tmp_path: Path) -> None:
    contents = make_world(users=300).contents
    users = contents.user_vectors
    kept = replace(contents, user_ids=None, user_vectors=None)
    manifest = export_bundle(tmp_path / "b", kept, name="n", recommender="r", provenance={}, users=users)
    assert manifest.dims.users == 0
    assert manifest.user_profile == profile_users(contents.sae, users, unit=False)
