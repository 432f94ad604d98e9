"""Every way to steer, on a planted world whose latents are its concepts, with and without a network scorer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bundle import SparseCodes
from bundle.sae import Activation, SaeWeights, TowerWeights
from offline.datasets.types import Embeddings, Interactions
from offline.evaluate.panel import Panel
from offline.recommenders.base import TrainedRecommender
from offline.reproduce.quality import Judge
from offline.reproduce.ranker import Ranker
from offline.reproduce.ways import DOSES, Ways, reach, response

pytestmark = pytest.mark.train


class Logit(nn.Module):
    """Not linear in the user: inner products through tanh."""

    def forward(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        return torch.tanh(users @ items.T / 4)


def planted(scorer: nn.Module | None, taken: Interactions | None = None) -> tuple[Ways, Judge, np.ndarray]:
    rng = np.random.default_rng(0)
    concept = rng.integers(0, 4, 200)
    items = (np.eye(4)[concept] + 0.2 * rng.random((200, 4))).astype(np.float32)
    users = rng.random((30, 4)).astype(np.float32)
    eye, nothing = np.eye(4, dtype=np.float32), np.zeros(4, np.float32)
    tower = TowerWeights(eye, nothing, eye, nothing, nothing, Activation("topk", k=2))
    weights = SaeWeights(tower, tower, normalise=False)
    ranker = Ranker(TrainedRecommender("custom", Embeddings(items, users, None, "dot"), scorer=scorer))
    relevant = rng.random((30, 200)) < 0.1
    panel = Panel(np.arange(30), np.zeros((30, 200), bool), relevant)
    ways = Ways(ranker, weights, SparseCodes.from_dense(weights.encode(items, "item")), panel, taken)
    return ways, Judge(panel, ways.base.lists, np.eye(4)[concept], np.arange(200)), concept == 1


@pytest.mark.parametrize("scorer", [None, Logit()], ids=["metric", "network"])
def test_every_way_moves_the_share_where_it_should(scorer: nn.Module | None) -> None:
    ways, judge, members = planted(scorer)
    up = response(ways.of(members, "promote"), judge, members, DOSES)
    down = response(ways.of(members, "suppress"), judge, members, DOSES)
    start = up["item"][0]["share"]
    assert 0.1 < start < 0.5
    for name in up:
        shares = [row["share"] for row in up[name]]
        assert shares == sorted(shares), name
        assert shares[-1] > 0.9, name
        assert down[name][-1]["share"] < 0.05, name
    # Without a dose, the ways that keep the residual change nothing at all.
    for name in ("item", "item_codes", "latent"):
        assert up[name][0]["overlap"] == down[name][0]["overlap"] == 1
        assert up[name][0]["ndcg_kept"] == pytest.approx(1)


def test_the_better_of_audience_and_decoded_codes_reads() -> None:
    rng = np.random.default_rng(1)
    user, item = rng.integers(0, 30, 600), rng.integers(0, 200, 600)
    by_chance = Interactions(user, item, np.arange(600), np.ones(600, np.float32))
    with_takers, _, members = planted(None, by_chance)
    without, _, _ = planted(None)
    # Takers by chance tell nothing: the decoded codes, which know the concept, go on reading.
    ours, theirs = (ways.of(members, "promote")["item_codes"](2.0) for ways in (with_takers, without))
    assert members[ours].mean() == pytest.approx(members[theirs].mean(), abs=0.05)


def test_a_target_is_reached_with_the_smallest_dose_or_said_to_be_out_of_reach() -> None:
    ways, judge, members = planted(None)
    lists = ways.of(members, "promote")["item"]
    found = reach(lists, judge, members, 0.5, "promote")
    assert found is not None
    assert 0.5 <= found["share"] < 0.56
    assert judge(lists(found["dose"] * 0.9), members)["share"] < 0.5
    assert reach(lambda _: ways.base.lists, judge, members, 0.9, "promote") is None
    still = reach(lists, judge, members, 0.0, "promote")
    assert still is not None
    assert still["dose"] == 0
