from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from bundle import SparseCodes
from offline.align.match import NOBODY, Common, assign, correlate, match_latents
from tests.offline.align.planted import FRESH, GONE, ITEMS, make_night


def everything(items: int) -> Common:
    return Common(np.arange(items), np.arange(items))


def planted(seed: int = 0, items: int = 400, latents: int = 12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random((items, latents)) * (rng.random((items, latents)) < 0.2)).astype(np.float32)


def test_items_meet_by_id_in_the_order_of_the_new_bundle() -> None:
    common = Common.of(["a", "b", "c", "d"], ["d", "x", "b"])
    assert (common.old.tolist(), common.new.tolist(), len(common)) == ([3, 1], [0, 2], 2)
    assert len(Common.of(["a"], ["b"])) == 0


def test_correlation_by_hand() -> None:
    old = csr_array(np.array([[1.0, 0], [2, 0], [3, 0], [0, 0]]))
    new = csr_array(np.array([[2.0, 0], [4, 5], [6, 0], [0, 5]]))
    # (1, 2, 3, 0) against its double is 1; against (0, 5, 0, 5): covariance -1.25, deviations sqrt(1.25) and 2.5
    expected = -1.25 / (np.sqrt(1.25) * 2.5)
    np.testing.assert_allclose(correlate(old, new), [[1, expected], [0, 0]], atol=1e-12)


def test_the_assignment_maximises_the_sum_and_leaves_out_what_is_not_alike() -> None:
    # Greedy would take .9 and be left with .1; the best sum is .8 + .7.
    to, quality = assign(np.array([[0.9, 0.8], [0.7, 0.1], [-0.5, -0.2]]))
    assert to.tolist() == [1, 0, NOBODY]
    assert quality.tolist() == [0.8, 0.7, 0.0]


def test_latents_in_another_order_are_found() -> None:
    codes = planted()
    order = np.random.default_rng(1).permutation(12)
    shuffled = np.empty_like(codes)
    shuffled[:, order] = 3 * codes
    match = match_latents(SparseCodes.from_dense(codes), SparseCodes.from_dense(shuffled), everything(400))
    assert match.to.tolist() == order.tolist()
    np.testing.assert_allclose(match.correlation, 1, atol=1e-6)
    np.testing.assert_allclose(match.held_out, 1, atol=1e-6)


def test_a_latent_that_no_common_item_activates_matches_nobody() -> None:
    codes = planted()
    codes[:, 4] = 0
    match = match_latents(SparseCodes.from_dense(codes), SparseCodes.from_dense(codes), everything(400))
    assert (match.to[4], match.correlation[4], match.held_out[4]) == (NOBODY, 0, 0)
    assert (np.delete(match.to, 4) == np.delete(np.arange(12), 4)).all()


@pytest.mark.parametrize("width", [5, 30])
def test_widths_may_differ(width: int) -> None:
    codes = planted()
    other = np.concatenate([codes, planted(seed=9, latents=18)], axis=1)[:, :width]
    match = match_latents(SparseCodes.from_dense(codes), SparseCodes.from_dense(other), everything(400))
    shared = min(width, 12)
    assert match.to[:shared].tolist() == list(range(shared))
    assert (match.to < width).all()


def test_held_out_tells_luck_from_likeness() -> None:
    """Of many candidates one always correlates a little on the items it was chosen on."""
    one, other = planted(seed=2, items=60, latents=40), planted(seed=3, items=60, latents=40)
    match = match_latents(SparseCodes.from_dense(one), SparseCodes.from_dense(other), everything(60))
    assert match.correlation.mean() > 0.15
    assert abs(match.held_out.mean()) < 0.05


def test_a_rotated_recommender_with_other_items() -> None:
    night = make_night()
    common = Common.of(night.old.items["item_id"].to_pylist(), night.new.items["item_id"].to_pylist())
    assert len(common) == ITEMS - GONE == len(night.new.item_codes) - FRESH
    match = match_latents(night.old.item_codes, night.new.item_codes, common)
    assert match.to.tolist() == night.order.tolist()
    carriers = np.bincount(night.old.item_codes.indices, minlength=24)
    assert match.held_out[carriers >= 10].min() > 0.9
    assert (match.held_out[carriers == 1] == 0).all()  # on one half there is nothing to choose by or to judge
    assert np.median(match.held_out) > 0.99
