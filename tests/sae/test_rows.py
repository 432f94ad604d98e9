import numpy as np
import pytest
import torch

from bundle.errors import TrainingError
from sae.config import SaeConfig
from sae.rows import TrainingRows, whitening

pytestmark = pytest.mark.train

ITEMS = np.array([[3, 4], [0, 2], [1, 0]], np.float32)
USERS = np.array([[0, 5], [1, 1]], np.float32)
CONFIG = SaeConfig(
    latents=4, towers="shared", whitening=0.0, stage1={"steps": 1, "learning_rate": 0.1, "k_users": 1, "k_items": 1}
)


def rows(items=ITEMS, users=USERS, *, item_bias=None, metric="dot", pairs=None, config=CONFIG):
    return TrainingRows.of(
        items, users, item_bias=item_bias, metric=metric, pairs=pairs, config=config, device=torch.device("cpu")
    )


def refusal(**arguments):
    with pytest.raises(TrainingError) as caught:
        rows(**arguments)
    return str(caught.value)


def test_rows_are_read_at_unit_norm_and_kept_at_their_own():
    data = rows()
    assert torch.allclose(data.items.rows, torch.tensor([[0.6, 0.8], [0.0, 1.0], [1.0, 0.0]]))
    assert data.items.scale.tolist() == [[5.0], [2.0], [1.0]]
    assert torch.allclose(data.raw_items, torch.from_numpy(ITEMS))


def test_without_normalisation_rows_stay():
    data = rows(config=CONFIG.model_copy(update={"normalise": False}))
    assert torch.equal(data.items.rows, torch.from_numpy(ITEMS))
    # Mean (4/3, 2); squared distances 25/9 + 4, 16/9, 1/9 + 4, mean of them.
    assert data.items.variance == pytest.approx((25 / 9 + 4 + 16 / 9 + 1 / 9 + 4) / 3)


def test_the_fingerprint_names_the_data():
    same = rows().fingerprint
    assert rows().fingerprint == same
    moved = ITEMS.copy()
    moved[2, 1] = 1e-6
    others = [rows(items=moved), rows(metric="cosine"), rows(item_bias=np.ones(3, np.float32))]
    assert len({same, *(data.fingerprint for data in others)}) == 4


def test_interactions_that_are_not_sampled_do_not_change_the_fingerprint():
    assert rows(pairs=([0], [1])).fingerprint == rows().fingerprint
    sampled = CONFIG.model_copy(update={"pair_sampling": "interactions"})
    first = rows(pairs=([0], [1]), config=sampled)
    assert rows(pairs=([0], [2]), config=sampled).fingerprint != first.fingerprint


def test_a_power_of_the_norm_keeps_long_rows_longer():
    data = rows(config=CONFIG.model_copy(update={"norm_power": 0.5}))
    # Norms 5, 2, 1: the median row, of norm 2, is read at unit norm, the others at (n / 2) ** .5.
    assert data.items.rows.norm(dim=1).tolist() == pytest.approx([2.5**0.5, 1.0, 0.5**0.5])
    assert torch.allclose(data.items.rows * data.items.scale, data.raw_items)


def test_a_row_matrix_alone_stands_on_both_sides():
    data = TrainingRows.of(
        ITEMS, None, item_bias=None, metric="dot", pairs=None, config=CONFIG, device=torch.device("cpu")
    )
    assert data.one_sided
    assert torch.equal(data.users.rows, data.items.rows)
    with pytest.raises(TrainingError) as caught:
        TrainingRows.of(
            ITEMS,
            None,
            item_bias=np.ones(3, np.float32),
            metric="dot",
            pairs=None,
            config=CONFIG.model_copy(update={"towers": "separate"}),
            device=torch.device("cpu"),
        )
    assert str(caught.value) == (
        "rows without users: found towers separate, an item bias, expected shared towers and reconstruction alone. "
        "Pass users too, or take the preset klenitskiy2025."
    )


def stretched():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(2, 500, 3)) * np.array([1.0, 0.2, 0.05])).astype(np.float32)


def test_full_whitening_makes_every_direction_count_the_same():
    users, items = stretched()
    whiten, colour = whitening(users, items, 1.0)
    assert np.allclose(whiten @ colour, np.eye(3), atol=1e-5)
    made = (np.cov((users @ whiten).T) + np.cov((items @ whiten).T)) / 2
    total = np.trace(np.cov(users.T) + np.cov(items.T)) / 2
    assert np.allclose(made, np.eye(3) * total / 3, atol=1e-3)


def test_half_whitening_takes_the_square_root_of_the_spread():
    users, items = stretched()
    whiten, _ = whitening(users, items, 0.5)
    before, after = (np.linalg.eigvalsh(np.cov((items @ m).T)) for m in (np.eye(3), whiten))
    assert (after[2] / after[0]) == pytest.approx((before[2] / before[0]) ** 0.5, rel=0.1)


def test_no_whitening_changes_nothing():
    users, items = stretched()
    whiten, colour = whitening(users, items, 0.0)
    assert np.allclose(whiten, np.eye(3), atol=1e-6)
    assert np.allclose(colour, np.eye(3), atol=1e-6)


def test_a_direction_without_variance_is_not_blown_up():
    users, items = stretched()
    users[..., 2] = items[..., 2] = 0.0
    whiten, colour = whitening(users, items, 1.0)
    assert np.isfinite(whiten).all()
    assert np.linalg.cond(whiten) <= 1e3**0.5 * 1.01
    assert np.allclose(whiten @ colour, np.eye(3), atol=1e-4)


def test_refusals():
    nan = ITEMS.copy()
    nan[1, 0] = np.nan
    assert refusal(items=nan) == "items: row 1: found NaN or infinity, expected finite numbers."
    assert refusal(users=np.ones((2, 3), np.float32)) == "embeddings: size: found 3 for users, expected 2 as for items."
    assert (
        refusal(users=np.ones((1, 2), np.float32))
        == "users: embeddings: found shape (1, 2), expected at least 2 rows of at least 2 numbers."
    )
    assert refusal(users=np.ones((2, 2), np.float32)) == (
        "users: embeddings: found all rows in one direction, expected rows that differ. "
        "Check the export of the recommender."
    )
    assert (
        refusal(item_bias=np.ones(3, np.float32), metric="cosine")
        == "item bias: found with metric cosine, expected only with metric dot."
    )
    assert refusal(item_bias=np.ones(2, np.float32)) == "item bias: found shape (2,), expected 3 finite numbers."
    assert (
        refusal(pairs=([0, 1], [0]))
        == "pairs: found (2,) users, (1,) items, expected two rows of one length, not empty."
    )
    assert refusal(pairs=([0, 1], [0, 3])) == "pairs: item rows: found 0 to 3, expected 0 to 2."
    assert refusal(config=CONFIG.model_copy(update={"pair_sampling": "mixed"})) == (
        "pair_sampling mixed: found no interactions, expected pairs of user and item rows. "
        "Pass interactions, or use pair_sampling = uniform and hide_interactions = false."
    )
    assert refusal(config=CONFIG.model_copy(update={"hide_interactions": True})).startswith(
        "hide_interactions: found no"
    )
