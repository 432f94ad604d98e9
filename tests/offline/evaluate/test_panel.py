"""The panel: who is in it, what is masked, and NDCG by hand."""

from __future__ import annotations

import numpy as np
import pytest

from offline.datasets.types import Embeddings, Interactions
from offline.evaluate.panel import Panel, best_lists
from offline.recommenders.ranking import evaluate_ranking
from tests.offline.evaluate.planted import SUBJECT, TEST, TRAIN


def interactions(*pairs: tuple[int, int]) -> Interactions:
    users, items = np.array(pairs, np.int32).reshape(-1, 2).T
    return Interactions(users, items, np.arange(len(pairs)).astype(np.int64), np.ones(len(pairs), np.float32))


EMBEDDINGS = Embeddings(np.eye(4, dtype=np.float32), np.ones((3, 4), np.float32), None, "dot")


def test_only_users_with_a_new_test_item_are_in_the_panel() -> None:
    # User 0 has a new test item; user 1's test item is in training; user 2 has none.
    panel = Panel.sample(EMBEDDINGS, interactions((0, 0), (1, 1), (1, 1)), interactions((0, 2), (1, 1)), 9, 0)
    assert panel.users.tolist() == [0]
    assert panel.seen is not None
    assert panel.seen.tolist() == [[True, False, False, False]]
    assert panel.relevant is not None
    assert panel.relevant.tolist() == [[False, False, True, False]]


def test_ndcg_and_recall_by_hand() -> None:
    panel = Panel(np.array([0]), np.zeros((1, 4), bool), np.array([[True, False, True, False]]))
    # Hit at rank 2 of two relevant items: (1 / log2 3) / (1 + 1 / log2 3) = .38685.
    lists = np.array([[1, 2]])
    assert panel.ndcg(lists)[0] == pytest.approx(0.386853, abs=1e-6)
    assert panel.recall(lists)[0] == 0.5


def test_equals_the_recommenders_own_evaluation() -> None:
    embeddings = SUBJECT.embeddings
    panel = Panel.sample(embeddings, TRAIN, TEST, 10**6, 0)
    lists = best_lists(panel.base_scores(embeddings), 10)
    wanted = evaluate_ranking(embeddings, TRAIN, TEST, 10)
    assert panel.ndcg(lists).mean() == pytest.approx(wanted["ndcg@10"])
    assert panel.recall(lists).mean() == pytest.approx(wanted["recall@10"])


def test_a_sample_is_drawn_by_its_seed() -> None:
    first = Panel.sample(SUBJECT.embeddings, TRAIN, TEST, 10, 0).users
    assert len(first) == 10
    assert (np.diff(first) > 0).all()
    assert first.tolist() == Panel.sample(SUBJECT.embeddings, TRAIN, TEST, 10, 0).users.tolist()
    assert first.tolist() != Panel.sample(SUBJECT.embeddings, TRAIN, TEST, 10, 1).users.tolist()


def test_without_interactions_nothing_is_masked_and_nothing_is_ranked() -> None:
    panel = Panel.sample(EMBEDDINGS, None, None, 2, 0)
    scores = panel.base_scores(EMBEDDINGS)
    assert np.isfinite(scores).all()
    lists = best_lists(scores, 2)
    assert panel.ndcg(lists) is None
    assert panel.recall(lists) is None


def test_masked_items_are_never_in_a_list() -> None:
    scores = np.array([[3, -np.inf, 1], [-np.inf, -np.inf, 2]], np.float32)
    assert best_lists(scores, 2).tolist() == [[0, 2], [2, -1]]
