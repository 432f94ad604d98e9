"""Directions that need no SAE, worked out by hand or found where they were planted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from offline.evaluate.directions import best_dimension, centroid, effect, ridge, taste
from offline.evaluate.doses import Base
from offline.evaluate.methods import Methods
from offline.evaluate.panel import Panel
from offline.evaluate.steering import Lists
from offline.evaluate.subject import Subject
from offline.recommenders.base import NetworkEmbeddings
from tests.offline.evaluate.planted import SUBJECT, WORLD

pytestmark = pytest.mark.train


class Inner(torch.nn.Module):
    """A network that is an inner product: everything it does is known from the metric."""

    def forward(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        return users @ items.T


def networked() -> Subject:
    tables = SUBJECT.embeddings
    scored = NetworkEmbeddings(tables.items, tables.users, None, "dot", Inner())
    return Subject(scored, SUBJECT.weights, SUBJECT.codes, SUBJECT.concepts, SUBJECT.arrays)


def test_a_probe_finds_the_direction_that_made_the_target() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(500, 6)).astype(np.float32) + 3
    truth = np.array([1, -2, 0, 0.5, 0, 0])
    found = ridge(vectors, vectors @ truth + 7)
    assert found @ truth / np.linalg.norm(found) / np.linalg.norm(truth) > 0.999


def test_taste_is_a_share_of_what_was_taken() -> None:
    taken = np.array([[1, 1, 0, 1], [0, 0, 0, 0]], bool)
    assert taste(taken, np.array([True, False, True, True])).tolist() == [pytest.approx(2 / 3), 0]


def test_centroid_and_raw_dimension() -> None:
    vectors = np.array([[1, 9, 0], [2, 8, 0], [0, 1, 0], [1, 2, 4]], np.float32)
    members = np.array([True, True, False, False])
    # Members' mean (1.5, 8.5, 0), all items' (1, 5, 1).
    np.testing.assert_allclose(centroid(vectors, members), [0.5, 3.5, -1])
    assert best_dimension(vectors, members) == (1, 1.0)
    assert best_dimension(-vectors, members) == (1, -1.0)


def test_effect_is_a_members_rise_over_an_average_item_and_a_network_is_asked_for_it() -> None:
    move = np.random.default_rng(1).normal(size=SUBJECT.item_vectors.shape[1]).astype(np.float32)
    members, users = WORLD.labels[0], SUBJECT.embeddings.users
    wanted = (SUBJECT.item_vectors[members].mean(0) - SUBJECT.item_vectors.mean(0)) @ move
    assert effect(SUBJECT, move, members, users) == pytest.approx(wanted, rel=1e-4)
    assert effect(networked(), move, members, users) == pytest.approx(wanted, rel=1e-2)
    assert effect(SUBJECT, move, np.zeros(240, bool), users) == 0


@pytest.mark.parametrize("method", ["item", "query", "query_probe", "query_users", "query_random", "papers"])
@pytest.mark.parametrize("direction", ["suppress", "promote"])
def test_an_inner_product_as_a_network_gives_the_metrics_lists(method: str, direction: str) -> None:
    lists = []
    for subject in (SUBJECT, networked()):
        panel = Panel.sample(subject.embeddings, None, None, 20, 0)
        base = Base.of(panel.base_scores(subject.embeddings), 10)
        line = Methods(subject, panel, base, None, 0).of(subject.offered[1], (method,))[method](direction)  # type: ignore[arg-type]
        assert line is not None
        assert (line.moved is None) == (subject is SUBJECT or method == "item")
        lists.append(Lists(line, base).at(1.5))
    same = (lists[0][:, :, None] == lists[1][:, None, :]).any(2)
    assert same.mean() > 0.97  # the network's effect is a finite difference: doses differ in the fourth digit


def test_a_latent_set_to_zero_is_an_edit_without_a_dose() -> None:
    panel = Panel.sample(SUBJECT.embeddings, None, None, 20, 0)
    base = Base.of(panel.base_scores(SUBJECT.embeddings), 10)
    methods = Methods(SUBJECT, panel, base, None, 0)
    make = methods.of(SUBJECT.offered[0], ("query_zero",))["query_zero"]
    assert make("promote") is None
    line = make("suppress")
    assert line is not None
    users = SUBJECT.embeddings.users[panel.users]
    code = SUBJECT.weights.encode(users, "user")
    edited = code.copy()
    latent = int(np.argmax(np.abs(line.column @ SUBJECT.item_vectors @ SUBJECT.weights.user.w_dec.T)))
    edited[:, latent] = 0
    moved = users + SUBJECT.weights.delta(edited - code, SUBJECT.weights.scale(users), "user")
    np.testing.assert_allclose(
        line.scores + line.unit[:, None] * line.column, moved @ SUBJECT.item_vectors.T, atol=1e-4
    )
