import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.errors import DataError
from offline.datasets.types import Embeddings, Interactions
from offline.recommenders import ranking
from offline.recommenders.ranking import evaluate_ranking, scorer, top_items

pytestmark = pytest.mark.train

SCORES = np.array([[5, 4, 3, 2, 1], [1, 2, 3, 4, 5]], np.float32)


def of(pairs):
    user, item = (np.array([pair[side] for pair in pairs], np.int32) for side in (0, 1))
    return Interactions(user, item, np.arange(len(user)), np.ones(len(user), np.float32))


def evaluate(train, test, k):
    return evaluate_ranking(lambda users: SCORES[users], of(train), of(test), k)


def test_ndcg_and_recall_by_hand():
    # User 0: item 0 is masked, so the list is 1, 2, 3; relevant 2 and 4: found at rank 2, ideal ranks 1 and 2.
    found = evaluate([(0, 0)], [(0, 2), (0, 4)], 3)
    ideal = 1 + 1 / math.log2(3)
    assert found == {"ndcg@3": pytest.approx((1 / math.log2(3)) / ideal), "recall@3": pytest.approx(0.5)}


def test_users_are_averaged_and_users_without_test_are_left_out():
    found = evaluate([(1, 0)], [(0, 0)], 1)
    assert found == {"ndcg@1": 1.0, "recall@1": 1.0}
    found = evaluate([(1, 0)], [(0, 0), (1, 1)], 1)
    assert found == {"ndcg@1": 0.5, "recall@1": 0.5}


def test_the_ideal_list_is_no_longer_than_k():
    # Four relevant items, k = 2, both places right: perfect NDCG, half the recall.
    assert evaluate([], [(0, 0), (0, 1), (0, 2), (0, 3)], 2) == {"ndcg@2": pytest.approx(1.0), "recall@2": 0.5}


def test_a_test_item_that_was_seen_counts_for_nothing_and_repeats_count_once():
    once = evaluate([(0, 0)], [(0, 2)], 3)
    assert evaluate([(0, 0)], [(0, 2), (0, 2), (0, 0)], 3) == once


def test_a_user_who_has_seen_nearly_everything():
    found = evaluate([(0, 0), (0, 1), (0, 2), (0, 3)], [(0, 4)], 3)
    assert found == {"ndcg@3": 1.0, "recall@3": 1.0}


def test_chunks_change_nothing(monkeypatch):
    whole = evaluate([(0, 0)], [(0, 2), (1, 1)], 3)
    monkeypatch.setattr(ranking, "CHUNK_SCORES", 1)
    assert evaluate([(0, 0)], [(0, 2), (1, 1)], 3) == whole


def test_embeddings_are_scored_as_they_say():
    users, items = np.array([[3, 4]], np.float32), np.array([[1, 0], [0, 2], [3, 4]], np.float32)
    bias = np.array([10, 20, 30], np.float32)
    row = np.array([0])
    assert scorer(Embeddings(items, users, bias, "dot"))(row).tolist() == [[13, 28, 55]]
    assert scorer(Embeddings(items, users, None, "dot"))(row).tolist() == [[3, 8, 25]]
    assert scorer(Embeddings(items, users, None, "cosine"))(row)[0] == pytest.approx([0.6, 0.8, 1.0])


def test_embeddings_and_their_scores_agree():
    rng = np.random.default_rng(0)
    made = Embeddings(
        rng.normal(size=(30, 4)).astype(np.float32),
        rng.normal(size=(8, 4)).astype(np.float32),
        rng.normal(size=30).astype(np.float32),
        "dot",
    )
    train, test = of([(u, (3 * u) % 30) for u in range(8)]), of([(u, (5 * u + 1) % 30) for u in range(8)])
    table = made.users @ made.items.T + made.item_bias
    assert evaluate_ranking(made, train, test) == evaluate_ranking(lambda users: table[users], train, test)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 6), items=st.integers(1, 12), k=st.integers(1, 14))
def test_top_items_is_a_stable_sort(seed, rows, items, k):
    # Few distinct values: many ties.
    scores = np.random.default_rng(seed).integers(0, 3, (rows, items)).astype(np.float32)
    assert np.array_equal(top_items(scores, k), np.argsort(-scores, 1, kind="stable")[:, :k])


def test_nothing_to_rank_is_refused():
    with pytest.raises(DataError, match=r"^ranking: test interactions: found none, expected at least one\.$"):
        evaluate([(0, 0)], [], 3)
    with pytest.raises(DataError) as caught:
        evaluate([(0, 0)], [(0, 0)], 3)
    assert str(caught.value) == (
        "ranking: test interactions: found only items that their user has in training, expected at least one new item."
    )
