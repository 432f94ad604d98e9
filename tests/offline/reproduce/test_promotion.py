"""One item between two audiences, in a plane where everything can be worked out."""

from __future__ import annotations

import numpy as np
import pytest

from bundle.sae import Activation, SaeWeights, TowerWeights
from offline.datasets.types import Embeddings
from offline.evaluate.panel import Panel
from offline.recommenders.base import TrainedRecommender
from offline.reproduce.promotion import Stage, at_target, audiences, edited_item, mean_rows, most_disjoint, promote
from offline.reproduce.ranker import Ranker

pytestmark = pytest.mark.train

# Users 0, 1 like east, user 2 north, user 3 neither. Items: 0 east, 1 north, 2 little of both.
USERS = np.array([[1, 0], [2, 0], [0, 1], [-1, -1]], np.float32)
ITEMS = np.array([[1, 0], [0, 1], [0.1, 0.1]], np.float32)


def ranker() -> Ranker:
    return Ranker(TrainedRecommender("mf", Embeddings(ITEMS, USERS, None, "dot")))


def sae() -> SaeWeights:
    """Latent 0 is east, latent 1 north; it reads half of what is there, so that there is a residual."""
    eye, nothing = np.eye(2, dtype=np.float32), np.zeros(2, np.float32)
    tower = TowerWeights(eye / 2, nothing, eye, nothing, nothing, Activation("relu"))
    return SaeWeights(tower, tower, normalise=False)


def test_audiences_have_no_common_user() -> None:
    seen = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]], bool)
    first, second = audiences(seen, (np.array([1, 0, 0], bool), np.array([0, 1, 0], bool)), 3)
    # Shares of item 0: .5, 1, 0, 0; of item 1: .5, 0, .5, 0. User 0 would be in both.
    assert first.tolist() == [1]
    assert second.tolist() == [2]


def test_the_pair_of_concepts_with_least_in_common() -> None:
    seen = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1], [0, 0, 1]], bool)
    members = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1]], bool)
    # The two keenest: {0, 1}, {0, 1}, {2, 3} (a whole history of item 2 is all of concept 2).
    assert most_disjoint(seen, members, 2) == (2, 0)


def test_our_edit_keeps_the_residual_and_the_papers_drops_it() -> None:
    vector = ITEMS[[2]]
    assert edited_item(sae(), vector, 0, 0.0, "ours").tolist() == vector.tolist()
    assert edited_item(sae(), vector, 0, 1.0, "ours")[0] == pytest.approx([1.1, 0.1])
    assert edited_item(sae(), vector, 0, 1.0, "papers")[0] == pytest.approx([1.05, 0.05])


def test_an_item_reaches_its_audience_and_no_one_else() -> None:
    relevant = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]], bool)
    panel = Panel(np.arange(4), np.zeros((4, 3), bool), relevant)
    stage = Stage.of(ranker(), panel, k=1)
    # User 3 ranks item 2 (-.2) above items 0 and 1 (-1).
    assert stage.items[:, 0].tolist() == [0, 0, 1, 2]
    rows = promote(ranker(), sae(), stage, 2, latent=0, unit=1.0, target=np.array([0, 1]), other=np.array([2]),
                   doses=(0, 0.5, 1), way="ours")  # fmt: skip
    assert [row["target"] for row in rows] == [0, 0, 1]
    assert [row["other"] for row in rows] == [0, 0, 0]
    # Further east, user 3 likes it less: it leaves their list once item 0 or 1 is better.
    assert [row["rest"] for row in rows] == [1, 1, 0]
    # Users 2 and 3 are outside: user 2 keeps NDCG 1, user 3 had 0.
    assert [row["rest_ndcg_kept"] for row in rows] == [1, 1, 1]


def test_seen_items_are_not_shown_again() -> None:
    seen = np.zeros((4, 3), bool)
    seen[0, 2] = True
    stage = Stage.of(ranker(), Panel(np.arange(4), seen, np.ones((4, 3), bool)), k=1)
    assert stage.with_item(2, np.full(4, 9, np.float32))[:, 0].tolist() == [0, 2, 2, 2]


def test_means_over_items_and_the_first_dose_that_is_enough() -> None:
    runs = [
        [{"dose": 0, "target": 0.0, "rest_ndcg_kept": 1.0}, {"dose": 1, "target": 0.4, "rest_ndcg_kept": None}],
        [{"dose": 0, "target": 0.2, "rest_ndcg_kept": 0.8}, {"dose": 1, "target": 0.8, "rest_ndcg_kept": 1.0}],
    ]
    mean = mean_rows(runs)
    assert mean[0] == {"dose": 0, "target": 0.1, "rest_ndcg_kept": 0.9}
    assert mean[1]["rest_ndcg_kept"] is None
    assert at_target(mean, 0.5) == mean[1]
    assert at_target(mean, 0.7) is None
