"""One suite for every recommender, against a planted world whose answer is known."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from pydantic import ValidationError

from bundle.errors import DataError, TrainingError
from offline.datasets.types import Interactions
from offline.export_torch import export_scorer, export_user_tower
from offline.recommenders.histories import Histories
from offline.recommenders.mf import MatrixFactorization, MfConfig
from offline.recommenders.ncf import Ncf, NcfConfig
from offline.recommenders.popularity import Popularity, PopularityConfig
from offline.recommenders.ranking import evaluate_ranking, scorer
from offline.recommenders.sasrec import SasRec, SasRecConfig
from offline.recommenders.split import leave_random
from offline.recommenders.store import load, save
from tests.offline.recommenders.planted import GROUPS, N_ITEMS, N_USERS, planted

pytestmark = pytest.mark.train

MF = pytest.param(MatrixFactorization(), MfConfig(dim=8, epochs=60, batch_users=32), id="mf")
NCF = pytest.param(Ncf(), NcfConfig(dim=8, epochs=20, batch_users=8), id="ncf")
SASREC = pytest.param(
    SasRec(), SasRecConfig(dim=16, max_length=6, epochs=40, batch_positions=128, dropout=0.1), id="sasrec"
)
LEARNERS = [MF, NCF, SASREC]
EVERY = [*LEARNERS, pytest.param(Popularity(), PopularityConfig(), id="popularity")]
NEW_USERS = 3


@pytest.fixture(scope="module")
def fitted():
    """Each recommender once on the training part of the planted world, in which three users took nothing."""
    split = leave_random(planted(), 2, seed=0)
    made = {}

    def fit(recommender, config):
        if recommender.name not in made:
            made[recommender.name] = recommender.fit(split.train, N_USERS + NEW_USERS, N_ITEMS, config, seed=0)
        return split, made[recommender.name]

    return fit


def state(trained):
    """Every number of a trained recommender."""
    tables = trained.embeddings
    arrays = [tables.users, tables.items] + ([] if tables.item_bias is None else [tables.item_bias])
    for module in (trained.scorer, trained.user_tower):
        arrays += [] if module is None else [value.numpy() for value in module.state_dict().values()]
    return arrays


@pytest.mark.parametrize(("recommender", "config"), EVERY)
class TestEveryRecommender:
    def test_tables_cover_every_row(self, recommender, config, fitted):
        _, trained = fitted(recommender, config)
        made = trained.embeddings
        assert trained.name == recommender.name
        assert made.users.shape[0] == N_USERS + NEW_USERS
        assert made.items.shape == (N_ITEMS, made.users.shape[1])
        assert made.item_bias is None or made.item_bias.shape == (N_ITEMS,)
        for array in state(trained):
            assert array.dtype == np.float32
            assert np.isfinite(array).all()
        assert np.isfinite(scorer(trained)(np.arange(N_USERS + NEW_USERS))).all()

    def test_users_without_interactions_get_the_mean_user(self, recommender, config, fitted):
        users = fitted(recommender, config)[1].embeddings.users
        assert np.allclose(users[N_USERS:], users[:N_USERS].mean(0), atol=1e-5)

    def test_it_is_frozen(self, recommender, config, fitted):
        trained = fitted(recommender, config)[1]
        for module in (trained.scorer, trained.user_tower):
            if module is not None:
                assert not module.training
                assert not any(weight.requires_grad for weight in module.parameters())

    def test_the_same_seed_gives_the_same_numbers(self, recommender, config):
        short = config.model_copy(update={"epochs": 2})
        for _ in range(2):
            torch.rand(7)  # what others draw from the global generator must not matter
            first, again = (recommender.fit(planted(), N_USERS, N_ITEMS, short, seed=4) for _ in range(2))
        for one, other in zip(state(first), state(again), strict=True):
            assert np.array_equal(one, other)

    def test_it_leaves_the_global_generator_alone(self, recommender, config):
        torch.manual_seed(3)
        expected = torch.rand(1)
        torch.manual_seed(3)
        recommender.fit(planted(), N_USERS, N_ITEMS, config.model_copy(update={"epochs": 1}), seed=0)
        assert torch.equal(torch.rand(1), expected)

    def test_it_beats_chance(self, recommender, config, fitted):
        split, trained = fitted(recommender, config)
        noise = np.random.default_rng(0).random((N_USERS, N_ITEMS), np.float32)
        chance = evaluate_ranking(lambda users: noise[users], split.train, split.test)
        found = evaluate_ranking(trained, split.train, split.test)
        assert found["ndcg@10"] > 1.5 * chance["ndcg@10"]
        assert found["recall@10"] > 1.5 * chance["recall@10"]

    def test_batches_score_like_single_users(self, recommender, config, fitted):
        score = scorer(fitted(recommender, config)[1])
        together = score(np.arange(20))
        for user in (0, 7, 19):
            assert score(np.array([user]))[0] == pytest.approx(together[user], abs=1e-5)

    def test_what_is_saved_scores_the_same(self, recommender, config, fitted, tmp_path: Path):
        trained = fitted(recommender, config)[1]
        save(trained, tmp_path / "deep" / "recommender.safetensors")
        again = load(tmp_path / "deep" / "recommender.safetensors")
        users = np.arange(N_USERS + NEW_USERS)
        assert np.array_equal(scorer(again)(users), scorer(trained)(users))
        assert (again.name, again.history_length, again.facts) == (
            trained.name,
            trained.history_length,
            trained.facts,
        )
        for one, other in zip(state(trained), state(again), strict=True):
            assert np.array_equal(one, other)

    def test_progress_counts_to_the_end(self, recommender, config):
        reports = []
        short = config.model_copy(update={"epochs": 3})
        recommender.fit(planted(), N_USERS, N_ITEMS, short, progress=lambda *report: reports.append(report))
        total = 1 if recommender.name == "popularity" else 3
        assert [report[:2] for report in reports] == [(epoch, total) for epoch in range(1, total + 1)]

    def test_nothing_to_learn_from_is_refused(self, recommender, config):
        nothing = planted().take(np.zeros(len(planted()), bool))
        with pytest.raises(DataError) as caught:
            recommender.fit(nothing, N_USERS, N_ITEMS, config)
        assert str(caught.value) == "interactions: found none, expected at least one. A recommender learns from them."

    @pytest.mark.parametrize(
        ("users", "items", "message"),
        [
            (79, 120, "interactions: user: found row 79, expected 0 to 78. Number the rows as in the tables."),
            (80, 60, "interactions: item: found row {}, expected 0 to 59. Number the rows as in the tables."),
        ],
    )
    def test_rows_that_no_table_has_are_refused(self, recommender, config, users, items, message):
        with pytest.raises(DataError) as caught:
            recommender.fit(planted(), users, items, config)
        assert str(caught.value) == message.format(planted().item.max())

    def test_negative_rows_are_refused(self, recommender, config):
        data = planted()
        broken = Interactions(data.user, data.item - 1, data.order, data.weight)
        with pytest.raises(DataError, match=r"^interactions: item: found row -1, expected 0 to 119\."):
            recommender.fit(broken, N_USERS, N_ITEMS, config)

    def test_configuration_refuses_unknown_keys_and_tells_every_key(self, recommender, config):
        assert recommender.name
        with pytest.raises(ValidationError, match="extra"):
            type(config)(rank=8)
        assert [name for name, field in type(config).model_fields.items() if not field.description] == []


@pytest.mark.parametrize(("recommender", "config"), LEARNERS)
class TestEveryLearner:
    def test_it_beats_popularity(self, recommender, config, fitted):
        split, trained = fitted(recommender, config)
        popular = Popularity().fit(split.train, N_USERS, N_ITEMS)
        found, floor = (evaluate_ranking(made, split.train, split.test)["ndcg@10"] for made in (trained, popular))
        assert found > 1.5 * floor

    def test_it_finds_the_groups(self, recommender, config, fitted):
        trained = fitted(recommender, config)[1]
        best = np.argsort(-scorer(trained)(np.arange(N_USERS)), 1)[:, :10]
        assert (best % GROUPS == (np.arange(N_USERS) % GROUPS)[:, None]).mean() > 0.9

    def test_another_seed_gives_other_numbers(self, recommender, config):
        short = config.model_copy(update={"epochs": 2})
        first, other = (recommender.fit(planted(), N_USERS, N_ITEMS, short, seed=seed) for seed in (1, 2))
        assert not np.allclose(first.embeddings.items, other.embeddings.items)

    def test_facts_tell_what_was_done(self, recommender, config, fitted):
        facts = fitted(recommender, config)[1].facts
        assert type(config).model_validate(facts["config"]) == config
        assert facts["epochs"] == config.epochs
        assert facts["seconds"] > 0


@pytest.mark.parametrize(("recommender", "config"), [NCF, SASREC])
class TestEveryLongFit:
    def test_a_killed_fit_goes_on_to_the_same_numbers(self, recommender, config, tmp_path: Path):
        short = config.model_copy(update={"epochs": 4})
        whole = recommender.fit(planted(), N_USERS, N_ITEMS, short, seed=5)

        def kill(epoch, total, figures):
            if epoch == 2:
                raise KeyboardInterrupt

        file = tmp_path / "fit.safetensors"
        with pytest.raises(KeyboardInterrupt):
            recommender.fit(planted(), N_USERS, N_ITEMS, short, seed=5, progress=kill, checkpoint=file)
        epochs = []
        resumed = recommender.fit(
            planted(),
            N_USERS,
            N_ITEMS,
            short,
            seed=5,
            progress=lambda epoch, *_: epochs.append(epoch),
            checkpoint=file,
        )
        assert epochs == [3, 4]
        assert not file.exists()
        for one, other in zip(state(whole), state(resumed), strict=True):
            assert np.array_equal(one, other)

    def test_another_fit_s_checkpoint_is_refused(self, recommender, config, tmp_path: Path):
        def kill(*_):
            raise KeyboardInterrupt

        file = tmp_path / "fit.safetensors"
        with pytest.raises(KeyboardInterrupt):
            recommender.fit(planted(), N_USERS, N_ITEMS, config, seed=5, progress=kill, checkpoint=file)
        with pytest.raises(TrainingError) as caught:
            recommender.fit(planted(), N_USERS, N_ITEMS, config, seed=6, checkpoint=file)
        assert str(caught.value) == (
            f"checkpoint {file}: found the state of another configuration, seed or data, expected this fit's. "
            "Delete it, or choose another file."
        )

    def test_a_loss_that_explodes_is_an_error(self, recommender, config):
        wild = config.model_copy(update={"learning_rate": 1e30})
        with pytest.raises(TrainingError, match=r"loss at epoch \d+: found .* Lower the learning rate"):
            recommender.fit(planted(), N_USERS, N_ITEMS, wild)


@pytest.mark.parametrize(("recommender", "config"), [NCF])
class TestEveryScorer:
    def test_pairs_are_the_block_s(self, recommender, config, fitted):
        network = fitted(recommender, config)[1].scorer
        users, items = torch.randn(4, config.dim), torch.randn(4, config.dim)
        assert torch.allclose(network.pairs(users, items), network(users, items).diagonal(), atol=1e-6)

    def test_onnx_says_the_same_of_every_size(self, recommender, config, fitted, tmp_path: Path):
        trained = fitted(recommender, config)[1]
        export_scorer(trained.scorer, tmp_path / "scorer.onnx", dim=config.dim)
        session = onnxruntime.InferenceSession(tmp_path / "scorer.onnx", providers=["CPUExecutionProvider"])
        tables = trained.embeddings
        expected = scorer(trained)(np.arange(N_USERS))
        for users, items in ((N_USERS, N_ITEMS), (1, N_ITEMS), (9, 1)):
            (found,) = session.run(["scores"], {"user": tables.users[:users], "items": tables.items[:items]})
            assert found == pytest.approx(expected[:users, :items], abs=1e-5)


@pytest.mark.parametrize(("recommender", "config"), [SASREC])
class TestEveryTower:
    def histories(self, split):
        known = Histories.of(split.train, N_USERS)
        return known.windows(np.arange(N_USERS), known.lengths(), 6)

    def test_it_makes_the_stored_users(self, recommender, config, fitted):
        split, trained = fitted(recommender, config)
        made = trained.user_tower(torch.from_numpy(self.histories(split))).numpy()
        assert made == pytest.approx(trained.embeddings.users[:N_USERS], abs=1e-5)

    def test_padding_does_not_matter(self, recommender, config, fitted):
        tower = fitted(recommender, config)[1].user_tower
        short = torch.tensor([[3, 7, 11], [1, 2, 3]])
        long = torch.tensor([[0, 0, 0, 3, 7, 11], [0, 0, 0, 1, 2, 3]])
        assert torch.allclose(tower(short), tower(long), atol=1e-6)

    def test_the_order_matters(self, recommender, config, fitted):
        tower = fitted(recommender, config)[1].user_tower
        assert not torch.allclose(tower(torch.tensor([[3, 7, 11]])), tower(torch.tensor([[11, 7, 3]])), atol=1e-3)

    def test_no_history_at_all_is_finite(self, recommender, config, fitted):
        assert torch.isfinite(fitted(recommender, config)[1].user_tower(torch.zeros(2, 6, dtype=torch.int64))).all()

    def test_onnx_says_the_same_of_every_batch(self, recommender, config, fitted, tmp_path: Path):
        split, trained = fitted(recommender, config)
        path = tmp_path / "user_tower.onnx"
        export_user_tower(trained.user_tower, path, history_length=trained.history_length, n_items=N_ITEMS)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        histories = self.histories(split)
        histories[0, :4] = 0
        histories[1] = 0
        (together,) = session.run(["user"], {"history": histories})
        expected = trained.user_tower(torch.from_numpy(histories)).numpy()
        assert together == pytest.approx(expected, abs=1e-5)
        for row in (0, 1, 5):
            (alone,) = session.run(["user"], {"history": histories[row : row + 1]})
            assert alone[0] == pytest.approx(together[row], abs=1e-6)


def test_popular_items_have_the_larger_bias():
    for recommender, config in ((MatrixFactorization(), MfConfig(dim=8, epochs=60)), (Popularity(), None)):
        made = recommender.fit(planted(), N_USERS, N_ITEMS, config, seed=0).embeddings
        count = np.bincount(planted().item, minlength=N_ITEMS)
        assert np.corrcoef(made.item_bias, np.log1p(count))[0, 1] > 0.5


@pytest.mark.parametrize("recommender", [MatrixFactorization(), Ncf(), Popularity()])
def test_repeated_interactions_count_once(recommender):
    """SASRec reads sequences: there a repetition is a fact."""
    config = {"mf": MfConfig(dim=8, epochs=2), "ncf": NcfConfig(dim=8, epochs=2)}.get(recommender.name)
    once, rows = planted(), np.tile(np.arange(len(planted())), 3)
    first = recommender.fit(once, N_USERS, N_ITEMS, config, seed=0)
    thrice = recommender.fit(once.take(rows), N_USERS, N_ITEMS, config, seed=0)
    for one, other in zip(state(first), state(thrice), strict=True):
        assert np.array_equal(one, other)
