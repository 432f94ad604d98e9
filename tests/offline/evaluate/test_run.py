"""The one call of the pipeline: whole, plain data, the same twice, and honest about what it could not measure."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from bundle.errors import TrainingError
from offline.evaluate import EvaluateConfig, evaluate
from offline.evaluate.subject import Subject
from offline.heldout import held_out_scores
from offline.label import LabelConfig
from tests.offline.evaluate.planted import SUBJECT, TEST, TRAIN, WORLD

CONFIG = EvaluateConfig(steering_users=20, fewest_users=10, fidelity_users=30)


def measured(**changed: Any) -> dict[str, Any]:
    contents = WORLD.contents
    given: dict[str, Any] = {
        "embeddings": SUBJECT.embeddings,
        "weights": contents.sae,
        "codes": contents.item_codes,
        "concepts": contents.concepts,
        "arrays": contents.arrays,
        "items": contents.items,
        "train": TRAIN,
        "test": TEST,
        "config": CONFIG,
        "held_out": held_out_scores(contents.item_codes, contents.item_vectors, LabelConfig(), (), sae=contents.sae),
    }
    return evaluate(**{**given, **changed})


@pytest.fixture(scope="module")
def evaluation() -> dict[str, Any]:
    return measured()


def test_it_is_json(evaluation: dict[str, Any]) -> None:
    assert json.loads(json.dumps(evaluation, allow_nan=False)) == json.loads(json.dumps(evaluation))
    assert evaluation["kind"] == "tiller.evaluation"
    assert evaluation["missing"] == []


def test_it_says_what_the_parts_say(evaluation: dict[str, Any]) -> None:
    assert evaluation["recommender"]["recommender"]["ndcg@10"] > evaluation["recommender"]["popularity"]["ndcg@10"]
    assert 0 < evaluation["sae"]["explained_variance_items"] < 1
    assert evaluation["sae"]["latents_agreeing"] == 1
    assert evaluation["fidelity"]["variants"]["error_preserving"]["same_items"] == 1
    steering = evaluation["steering"]
    assert (steering["users"], steering["concepts"], steering["concepts_offered"]) == (20, 6, 6)
    assert {row["method"] for row in steering["rows"]} == {"oracle", "item", "item_decoded", "query", "papers"}
    assert len(steering["reach"]) == 6 * 2
    assert [entry["id"] for entry in evaluation["concepts"]["not_offered"]] == ["genre:musical"]
    assert evaluation["concepts"]["means"]["purity"] == [{"k": 10, "value": 0.9, "all_items": 1.0, "attainable": 1.0}]


def test_twice_the_same_but_for_the_time(evaluation: dict[str, Any]) -> None:
    again = measured()
    assert {**again, "seconds": 0} == {**evaluation, "seconds": 0}


def test_without_interactions_it_says_so() -> None:
    alone = measured(train=None, test=None, held_out=None)
    assert alone["recommender"] is None
    assert alone["missing"] == [
        "No interactions were held out, so nothing is known about NDCG and Recall: shares, overlaps and fidelity are "
        "measured over the whole catalogue, with nothing masked.",
        "Read-outs fitted on halves of the items were not given: no rows for steering by codes only.",
    ]
    assert alone["steering"]["ndcg_unsteered"] is None
    assert {row["method"] for row in alone["steering"]["rows"]} == {"oracle", "item", "query", "papers"}
    json.dumps(alone, allow_nan=False)


def test_a_known_ranking_is_not_measured_again() -> None:
    ranking = {"protocol": "p", "recommender": {"ndcg@10": 0.5}, "popularity": {"ndcg@10": 0.25}}
    assert measured(ranking=ranking)["recommender"] == ranking


def test_progress_counts_concepts() -> None:
    told: list[tuple[int, int, str]] = []
    measured(progress=lambda done, total, name: told.append((done, total, name)))
    assert [step[:2] for step in told] == [(n, 6) for n in range(1, 7)]
    assert told[0][2] == "genre:horror"


def test_rows_that_do_not_agree_are_refused() -> None:
    fewer = SUBJECT.embeddings.__class__(
        SUBJECT.embeddings.items[:-1], SUBJECT.embeddings.users, None, SUBJECT.embeddings.metric
    )
    with pytest.raises(TrainingError) as refused:
        Subject(fewer, SUBJECT.weights, SUBJECT.codes, SUBJECT.concepts, SUBJECT.arrays)
    assert str(refused.value) == (
        "evaluation: found 239 items, 240 codes, gains for 240, expected one of each per item."
    )


def test_labels_are_the_metadatas() -> None:
    for concept in SUBJECT.offered:
        assert SUBJECT.labels(concept).tolist() == WORLD.labels[concept.row].tolist()


def test_latent_gains_are_the_servers() -> None:
    items, values = SUBJECT.codes.posting(3)
    gain = SUBJECT.latent_gain(3)
    assert (gain > 0).sum() == len(items)
    assert gain[items] == pytest.approx(np.minimum(values / np.quantile(values, 0.9), 1))
