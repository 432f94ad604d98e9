"""Coverage, diversity and fidelity on lists of a few items."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bundle.sae import Activation, SaeWeights, TowerWeights
from offline.datasets.types import Embeddings
from offline.evaluate.panel import Panel
from offline.recommenders.base import TrainedRecommender
from offline.reproduce.quality import Judge, coverage, diversity, fidelity, tag_vectors
from offline.reproduce.ranker import Ranker

pytestmark = pytest.mark.train

LISTS = np.array([[0, 1], [1, 2], [3, -1]])
TAGS = np.array([[1.0, 0], [1, 0], [0, 1], [0, 0]])


def test_coverage_counts_every_item_once() -> None:
    assert coverage(LISTS, 8) == 0.5


def test_diversity_is_one_minus_the_mean_cosine() -> None:
    # List 0: both east, 0; list 1: east and north, 1; list 2 has no pair.
    assert diversity(LISTS, TAGS) == 0.5
    assert np.isnan(diversity(LISTS[2:], TAGS))


def test_rare_tags_weigh_more() -> None:
    members = np.array([[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]], bool)
    assert tag_vectors(members)[3].tolist() == pytest.approx([0, np.log(2), np.log(4)])


def test_a_judge_compares_with_the_base_lists() -> None:
    panel = Panel(np.arange(2), np.zeros((2, 4), bool), np.array([[1, 0, 0, 0], [0, 0, 1, 0]], bool))
    judge = Judge(panel, np.array([[0, 1], [2, 3]]), TAGS, np.array([9, 3, 2, 1]))
    figures = judge(np.array([[0, 1], [3, 2]]), np.array([True, True, False, False]))
    assert figures["share"] == 0.5
    assert figures["ndcg_kept"] == pytest.approx((1 + 1 / np.log2(3)) / 2)
    assert figures["coverage"] == 1.0
    assert figures["overlap"] == 1.0
    assert figures["popularity"] == pytest.approx(0.5)


class Distance(nn.Module):
    """A scorer that no inner product is: minus the squared distance."""

    def forward(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        return -torch.cdist(users, items).square()


@pytest.mark.parametrize("scorer", [None, Distance()], ids=["metric", "network"])
def test_fidelity_through_any_scorer(scorer: nn.Module | None) -> None:
    rng = np.random.default_rng(0)
    items, users = (rng.standard_normal((count, 4)).astype(np.float32) for count in (60, 20))
    trained = TrainedRecommender("custom", Embeddings(items, users, None, "dot"), scorer=scorer)
    eye = np.concatenate([np.eye(4), -np.eye(4)]).astype(np.float32)
    nothing = np.zeros(4, np.float32)

    def sae(k: int) -> SaeWeights:
        tower = TowerWeights(eye.T.copy(), np.zeros(8, np.float32), eye, nothing, nothing, Activation("topk", k=k))
        return SaeWeights(tower, tower, normalise=False)

    panel = Panel(np.arange(20), None, None)
    whole = fidelity(Ranker(trained), sae(4), panel)
    part = fidelity(Ranker(trained), sae(1), panel)
    assert whole["both"]["rbo_extrapolated"] == pytest.approx(1)
    assert part["both"]["rbo_extrapolated"] < part["user"]["rbo_extrapolated"] < 1
    assert part["error_preserving"]["rbo_extrapolated"] == pytest.approx(1)
    assert part["error_preserving"]["tau"] == 1
    assert part["both"]["ndcg_kept"] is None


def test_a_network_scores_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    items, users = (rng.standard_normal((count, 3)).astype(np.float32) for count in (7, 5))
    ranker = Ranker(TrainedRecommender("custom", Embeddings(items, users, None, "dot"), scorer=Distance()))
    whole = ranker(users)
    monkeypatch.setattr("offline.reproduce.ranker.BLOCK_PAIRS", 14)
    assert ranker(users) == pytest.approx(whole)
    assert whole[2, 3] == pytest.approx(-np.square(users[2] - items[3]).sum(), rel=1e-4)
