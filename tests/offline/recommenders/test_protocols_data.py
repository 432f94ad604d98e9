"""The protocols on the real archives: what they hold out, and that item-kNN clears popularity on it."""

import numpy as np
import pytest

from offline.datasets import load_dataset
from offline.recommenders.item_knn import ItemKnn
from offline.recommenders.popularity import Popularity
from offline.recommenders.ranking import evaluate_ranking
from offline.recommenders.split import hold_out

pytestmark = [pytest.mark.train, pytest.mark.data]


@pytest.fixture(scope="module")
def lastfm(data_dir):
    return load_dataset("lastfm", data_dir / "hetrec2011-lastfm-2k.zip")


def test_last_fm_by_the_paper_s_protocol(lastfm):
    split = hold_out(lastfm.interactions, "paper", seed=0)
    owned = np.bincount(lastfm.interactions.user)
    assert np.bincount(split.test.user, minlength=1_892).tolist() == np.minimum(5, owned - 1).tolist()
    assert set(split.train.weight) | set(split.test.weight) == {1.0}
    assert len(split.train) + len(split.test) == 92_834


def test_last_fm_by_the_temporal_protocol(lastfm):
    split = hold_out(lastfm.interactions, "temporal")
    owned = np.bincount(lastfm.interactions.user)
    assert np.bincount(split.test.user, minlength=1_892).tolist() == (owned // 5).tolist()


@pytest.mark.parametrize("protocol", ["paper", "temporal"])
def test_item_knn_clears_popularity_on_last_fm(lastfm, protocol):
    split = hold_out(lastfm.interactions, protocol, seed=0)
    popular = evaluate_ranking(Popularity().fit(split.train, 1_892, 17_632), split.train, split.test)
    neighbours = evaluate_ranking(ItemKnn(split.train, 1_892, 17_632).scores, split.train, split.test)
    assert neighbours["ndcg@10"] > 2 * popular["ndcg@10"]


def test_what_is_held_out_of_movielens_1m(data_dir):
    interactions = load_dataset("ml-1m", data_dir / "ml-1m-rebuilt.zip").interactions
    fifths = int((np.bincount(interactions.user) // 5).sum())
    protocols = ("temporal", "paper", "leave_last_out")
    held = {protocol: len(hold_out(interactions, protocol).test) for protocol in protocols}
    assert held == {"temporal": fifths, "paper": 5 * 6_040, "leave_last_out": 6_040}
