"""What is asked: rules of the bundle's own concepts, and answers that are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bundle import load_bundle
from cli.bench.catalogue import kept_catalogue, write_catalogue
from cli.bench.workload import ECHO, NO_RULE, check_answer, make_cases, make_workload
from protos.steering.v1 import recommend_pb2 as pb

CASES = {case.name: case for case in make_cases(4)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kept_catalogue(tmp_path_factory.mktemp("kept"), 500, 10)


def test_thirty_two_rules_name_thirty_two_concepts(made: Path) -> None:
    work = make_workload(made, tuple(CASES.values()), 5)
    request = pb.RecommendRequest.FromString(work.payloads["32 rules"][0])
    named = [rule.concept for rule in request.rules]
    assert len(set(named)) == 32
    assert sum(name.startswith("kind:") for name in named) == 10
    assert {rule.HasField("strength") for rule in request.rules} == {True, False}
    one = pb.RecommendRequest.FromString(work.payloads["1 promotion"][0])
    assert [rule.concept for rule in one.rules] == [named[16]]


def test_every_user_asks_alone_and_in_batches(made: Path) -> None:
    work = make_workload(made, tuple(CASES.values()), 5)
    alone = [pb.RecommendRequest.FromString(each) for each in work.payloads[NO_RULE]]
    assert len({request.user_id for request in alone}) == 200
    assert work.payloads[ECHO] == work.payloads[NO_RULE]
    batch = pb.RecommendBatchRequest.FromString(work.payloads["batch, no rule"][0])
    assert [request.user_id for request in batch.requests] == [request.user_id for request in alone[:4]]
    assert work.queries is not None
    assert work.queries.shape == (200, 64)


def test_a_bundle_without_users_is_asked_by_embedding(made: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from offline.export import export_bundle

    contents = replace(load_bundle(made).contents, user_ids=None, user_vectors=None)
    export_bundle(tmp_path / "bundle", contents, name="x", recommender="embeddings", provenance={})
    work = make_workload(tmp_path / "bundle", (CASES[NO_RULE],), 5)
    request = pb.RecommendRequest.FromString(work.payloads[NO_RULE][0])
    assert request.embedding.values == pytest.approx(contents.item_vectors[0])


def test_answers_are_read() -> None:
    single, batch = CASES[NO_RULE], CASES["batch, no rule"]
    items = [pb.ScoredItem(item_id=str(number)) for number in range(5)]
    whole, short = pb.RecommendResponse(items=items), pb.RecommendResponse(items=items[:4])
    assert check_answer(whole.SerializeToString(), single, 5) == ""
    assert check_answer(short.SerializeToString(), single, 5) == "4 items, expected 5"
    short.shortfall.eligible = 4
    assert check_answer(short.SerializeToString(), single, 5) == ""
    four = pb.RecommendBatchResponse(results=[pb.BatchResult(response=whole)] * 4)
    assert check_answer(four.SerializeToString(), batch, 5) == ""
    four.results[2].error.message = "no such user"
    assert check_answer(four.SerializeToString(), batch, 5) == "no such user"
    assert check_answer(b"", batch, 5) == "0 lists, expected 4"


def test_a_kept_catalogue_is_made_once_and_the_same_again(made: Path, tmp_path: Path) -> None:
    before = (made / "manifest.json").stat().st_mtime_ns
    assert kept_catalogue(made.parent, 500, 10) == made
    assert (made / "manifest.json").stat().st_mtime_ns == before
    write_catalogue(tmp_path / "again", 500, concepts=10)
    one, other = load_bundle(made), load_bundle(tmp_path / "again")
    assert one.manifest.bundle_id == other.manifest.bundle_id
    np.testing.assert_array_equal(one.contents.item_vectors, other.contents.item_vectors)


def test_a_kept_catalogue_of_another_recipe_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kept_catalogue(tmp_path, 300, 4)
    monkeypatch.setattr("cli.bench.catalogue.RECIPE", -1)
    assert kept_catalogue(tmp_path, 300, 4) == path
    assert load_bundle(path).manifest.provenance["recipe"] == -1
