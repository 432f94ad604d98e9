"""One suite for every recommender, against a planted world whose answer is known."""

import numpy as np
import pytest
from pydantic import ValidationError

from bundle.errors import DataError
from offline.datasets.types import Interactions
from offline.recommenders.mf import MatrixFactorization, MfConfig
from offline.recommenders.popularity import Popularity, PopularityConfig
from offline.recommenders.ranking import evaluate_ranking, scorer
from offline.recommenders.split import leave_random

pytestmark = pytest.mark.train

N_USERS, N_ITEMS, GROUPS = 80, 120, 4
RECOMMENDERS = [
    pytest.param(MatrixFactorization(), MfConfig(dim=8, epochs=60, batch_users=32), id="mf"),
    pytest.param(Popularity(), PopularityConfig(), id="popularity"),
]


def planted(seed=0, per_user=8):
    """Users and items in four groups; a user takes items of the own group only, the first of a group most often."""
    rng = np.random.default_rng(seed)
    size = N_ITEMS // GROUPS
    weight = 1 / np.arange(1, size + 1)
    user, item = [], []
    for row in range(N_USERS):
        taken = rng.choice(size, per_user, replace=False, p=weight / weight.sum())
        user += [row] * per_user
        item += (taken * GROUPS + row % GROUPS).tolist()
    count = len(user)
    return Interactions(
        np.array(user, np.int32), np.array(item, np.int32), np.arange(count), np.ones(count, np.float32)
    )


@pytest.mark.parametrize(("recommender", "config"), RECOMMENDERS)
class TestEveryRecommender:
    def test_embeddings_cover_every_row(self, recommender, config):
        # Items 118 and 119 and the last three users are in no interaction.
        some = planted().take(planted().item < 118)
        made = recommender.fit(some, N_USERS + 3, N_ITEMS, config, seed=0).embeddings
        assert made.users.shape[0] == N_USERS + 3
        assert made.items.shape == (N_ITEMS, made.users.shape[1])
        assert made.item_bias.shape == (N_ITEMS,)
        for array in (made.users, made.items, made.item_bias):
            assert array.dtype == np.float32
            assert np.isfinite(array).all()

    def test_the_same_seed_gives_the_same_embeddings(self, recommender, config):
        first, again = (recommender.fit(planted(), N_USERS, N_ITEMS, config, seed=4).embeddings for _ in range(2))
        assert np.array_equal(first.users, again.users)
        assert np.array_equal(first.items, again.items)
        assert np.array_equal(first.item_bias, again.item_bias)

    def test_repeated_interactions_count_once(self, recommender, config):
        once, rows = planted(), np.tile(np.arange(len(planted())), 3)
        first = recommender.fit(once, N_USERS, N_ITEMS, config, seed=0).embeddings
        thrice = recommender.fit(once.take(rows), N_USERS, N_ITEMS, config, seed=0).embeddings
        assert np.array_equal(first.item_bias, thrice.item_bias)
        assert np.array_equal(first.users, thrice.users)

    def test_it_beats_chance(self, recommender, config):
        split = leave_random(planted(), 2, seed=0)
        made = recommender.fit(split.train, N_USERS, N_ITEMS, config, seed=0).embeddings
        noise = np.random.default_rng(0).random((N_USERS, N_ITEMS), np.float32)
        chance = evaluate_ranking(lambda users: noise[users], split.train, split.test)
        found = evaluate_ranking(made, split.train, split.test)
        assert found["ndcg@10"] > 1.5 * chance["ndcg@10"]
        assert found["recall@10"] > 1.5 * chance["recall@10"]

    def test_popular_items_have_the_larger_bias(self, recommender, config):
        made = recommender.fit(planted(), N_USERS, N_ITEMS, config, seed=0).embeddings
        count = np.bincount(planted().item, minlength=N_ITEMS)
        assert np.corrcoef(made.item_bias, np.log1p(count))[0, 1] > 0.5

    def test_progress_counts_to_the_end(self, recommender, config):
        reports = []
        recommender.fit(planted(), N_USERS, N_ITEMS, config, progress=lambda *report: reports.append(report))
        total = reports[0][1]
        assert [report[:2] for report in reports] == [(epoch, total) for epoch in range(1, total + 1)]

    def test_nothing_to_learn_from_is_refused(self, recommender, config):
        nothing = planted().take(np.zeros(len(planted()), bool))
        with pytest.raises(DataError) as caught:
            recommender.fit(nothing, N_USERS, N_ITEMS, config)
        assert str(caught.value) == "interactions: found none, expected at least one. A recommender learns from them."

    def test_rows_that_no_table_has_are_refused(self, recommender, config):
        with pytest.raises(DataError) as caught:
            recommender.fit(planted(), N_USERS - 1, N_ITEMS, config)
        assert str(caught.value) == (
            "interactions: user: found row 79, expected 0 to 78. Number the rows as in the tables."
        )

    def test_configuration_refuses_unknown_keys(self, recommender, config):
        assert recommender.name
        with pytest.raises(ValidationError, match="extra"):
            type(config)(rank=8)


def test_matrix_factorisation_finds_the_groups():
    split = leave_random(planted(), 2, seed=0)
    config = MfConfig(dim=8, epochs=60, batch_users=32)
    made = MatrixFactorization().fit(split.train, N_USERS, N_ITEMS, config, seed=0).embeddings
    best = np.argsort(-scorer(made)(np.arange(N_USERS)), 1)[:, :10]
    own = (best % GROUPS == (np.arange(N_USERS) % GROUPS)[:, None]).mean()
    assert own > 0.95
    popular = Popularity().fit(split.train, N_USERS, N_ITEMS).embeddings
    assert (
        evaluate_ranking(made, split.train, split.test)["ndcg@10"]
        > 1.5 * evaluate_ranking(popular, split.train, split.test)["ndcg@10"]
    )
