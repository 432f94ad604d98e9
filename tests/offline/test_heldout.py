"""Two-fold read-outs: no item is scored by a model that has seen it."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score

from offline.heldout import held_out_scores
from offline.label import Audience, LabelConfig
from tests.offline.evaluate.planted import SUBJECT, WORLD


def test_every_item_has_a_score_and_the_planted_concept_is_found() -> None:
    scores = held_out_scores(SUBJECT.codes, SUBJECT.embeddings.items, LabelConfig())
    concept = SUBJECT.offered[0]
    found = scores(concept, WORLD.labels[0])
    assert list(found) == ["logistic", "logistic_32", "probe"]
    for kind, values in found.items():
        assert np.isfinite(values).all(), kind
        assert roc_auc_score(WORLD.members[0], values) > 0.9, kind


def test_labels_of_noise_are_not_found() -> None:
    noise = np.random.default_rng(0).random(240) < 0.3
    found = held_out_scores(SUBJECT.codes, SUBJECT.embeddings.items, LabelConfig(), ("logistic",))
    assert 0.35 < roc_auc_score(noise, found(SUBJECT.offered[0], noise)["logistic"]) < 0.65


def test_the_decoded_readout_and_those_that_have_seen_their_items_are_given_when_asked_for() -> None:
    scores = held_out_scores(
        SUBJECT.codes, SUBJECT.embeddings.items, LabelConfig(), ("logistic",), sae=SUBJECT.weights, seen=True
    )
    noise = np.random.default_rng(1).random(240) < 0.3
    found = scores(SUBJECT.offered[0], noise)
    assert list(found) == ["logistic", "decoded", "logistic_seen", "probe_seen"]
    # On noise only a read-out that has seen the labels finds them.
    assert roc_auc_score(noise, found["logistic_seen"]) > roc_auc_score(noise, found["decoded"]) + 0.1
    assert roc_auc_score(WORLD.members[0], scores(SUBJECT.offered[0], WORLD.labels[0])["decoded"]) > 0.9


def test_the_readout_by_audience_is_given_where_interactions_are() -> None:
    users = SUBJECT.embeddings.users
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, len(users), 5_000), rng.integers(0, 240, 5_000)
    audience = Audience(users, user, item)
    scores = held_out_scores(
        SUBJECT.codes, SUBJECT.embeddings.items, LabelConfig(), (), sae=SUBJECT.weights, audience=audience
    )
    assert list(scores(SUBJECT.offered[0], WORLD.labels[0])) == ["audience", "decoded"]
    nobody = Audience(users, user[:0], item[:0])
    without = held_out_scores(
        SUBJECT.codes, SUBJECT.embeddings.items, LabelConfig(), (), sae=SUBJECT.weights, audience=nobody
    )
    assert list(without(SUBJECT.offered[0], WORLD.labels[0])) == ["decoded"]
