"""Recommend by history: what the tower reads, what is skipped, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle import load_bundle
from bundle.errors import BundleCorrupt
from server.encoder import Encoder
from server.errors import InvalidRequest
from server.settings import Limits
from server.steer import Engine
from server.types import Action, Query, Rule
from tests.network import LENGTH, tower_user, with_tower, write_tower
from tests.server.worlds import engine
from tests.world import make_world, write_world

ASK = Query(k=10, history=("i3", "i8", "i5"))


@pytest.fixture(scope="module")
def towered(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("tower")
    return Engine.open(write_world(with_tower(make_world(), folder), folder / "b"))


def _vectors(core: Engine) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.asarray(core.catalogue.bundle.contents.item_vectors)


@pytest.mark.parametrize("rows", [[3], [3, 8, 5], list(range(LENGTH)), [*range(40), 7, 7]])
def test_the_tower_reads_item_rows_plus_one_from_the_right(towered: Engine, rows: list[int]) -> None:
    found = towered.encoder.user(rows)
    assert (found.shape, found.dtype) == ((16,), np.float32)
    np.testing.assert_allclose(found, tower_user(_vectors(towered), rows), atol=1e-6)


def test_a_history_is_the_embedding_that_its_tower_makes(towered: Engine) -> None:
    by_history = towered.recommend(ASK)
    x = towered.encoder.user([3, 8, 5])
    by_embedding = towered.recommend(Query(k=10, embedding=x))
    assert by_history.ranking.items.tolist() == by_embedding.ranking.items.tolist()
    assert by_history.ranking.scores.tobytes() == by_embedding.ranking.scores.tobytes()
    assert by_history.history == (3, 0)
    assert by_embedding.history is None


def test_the_newest_item_counts_most(towered: Engine) -> None:
    one, other = (towered.recommend(replace(ASK, history=ids)).ranking for ids in (("i3", "i8"), ("i8", "i3")))
    assert one.scores.tobytes() != other.scores.tobytes()


def test_unknown_ids_are_skipped_and_counted(towered: Engine) -> None:
    plain = towered.recommend(ASK)
    answer = towered.recommend(replace(ASK, history=("no", "i3", "i8", "never", "i5", "no")))
    assert answer.ranking.items.tolist() == plain.ranking.items.tolist()
    assert answer.history == (3, 3)


def test_of_a_long_history_the_newest_are_read(towered: Engine) -> None:
    long = tuple(f"i{n}" for n in range(50))
    answer, newest = towered.recommend(replace(ASK, history=long)), replace(ASK, history=long[-LENGTH:])
    assert answer.history == (LENGTH, 0)
    assert answer.ranking.items.tolist() == towered.recommend(newest).ranking.items.tolist()


def test_unknown_ids_take_no_place_in_the_window(towered: Engine) -> None:
    ids = tuple(f"i{n}" for n in range(LENGTH))
    answer = towered.recommend(replace(ASK, history=(*ids, "no", "never")))
    assert answer.history == (LENGTH, 2)
    assert answer.ranking.items.tolist() == towered.recommend(replace(ASK, history=ids)).ranking.items.tolist()


def test_what_was_touched_may_come_back_unless_the_request_says_not(towered: Engine) -> None:
    top = towered.recommend(replace(ASK, k=240)).ranking.items.tolist()
    assert {3, 8, 5} <= set(top)
    ids = (*(f"i{n}" for n in range(30)), "never")
    answer = towered.recommend(replace(ASK, k=240, history=ids, exclude_history=True, exclude=("i30", "i7")))
    assert sorted(answer.ranking.items.tolist()) == list(range(31, 240))
    assert answer.eligible == 209
    assert answer.short_reason == "209 of 240 items are eligible, 240 were asked for: 31 excluded ids"
    assert answer.unknown_excluded == 0


def test_the_baseline_leaves_the_history_out_too(towered: Engine) -> None:
    rules = (Rule(Action.FILTER, "genre:comedy"),)
    answer = towered.recommend(replace(ASK, rules=rules, exclude_history=True, baseline=True))
    assert answer.baseline is not None
    assert not {3, 8, 5} & set(answer.baseline.items.tolist())


REFUSALS: dict[str, tuple[Query, str, str]] = {
    "empty": (
        replace(ASK, history=()), "history.item_ids",
        "the history is empty: expected at least one item id, the newest last. For somebody without a history: send a "
        "user_id or the embedding.",
    ),
    "all unknown": (
        replace(ASK, history=("no", "never", "x" * 99, "i")), "history.item_ids",
        f"nothing in the history is in the catalogue: found 'no', 'never', '{'x' * 40}' ..., expected ids of the 240 "
        "items. Send a user_id or the embedding.",
    ),
    "too long": (
        replace(ASK, history=("i1",) * 1001), "history.item_ids",
        "the history is too long: found 1001, expected at most 1000. The user tower reads 6: send the newest.",
    ),
    "two askers": (
        replace(ASK, user_id="u1"), "user",
        "who is asking: found user_id and history, expected one of user_id, embedding, history.",
    ),
    "exclude without": (
        Query(k=3, user_id="u1", exclude_history=True), "exclude_history",
        "exclude_history: found with user_id, expected only with a history. Name the items in exclude_item_ids.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("query", "field", "sentence"), REFUSALS.values(), ids=REFUSALS)
def test_refusals(query: Query, field: str, sentence: str, towered: Engine) -> None:
    with pytest.raises(InvalidRequest) as refused:
        towered.recommend(query)
    assert (str(refused.value), refused.value.field) == (sentence, field)


def test_the_longest_history_is_the_servers_to_say(towered: Engine) -> None:
    core = replace(towered, limits=Limits(max_history=2))
    with pytest.raises(InvalidRequest, match="found 3, expected at most 2"):
        core.recommend(ASK)


def test_a_bundle_without_a_tower_says_what_to_send_instead() -> None:
    with pytest.raises(InvalidRequest) as refused:
        engine("dot").recommend(ASK)
    assert str(refused.value) == "this bundle has no user tower to read a history. Send a user_id or the embedding."
    assert refused.value.field == "history"


def test_a_tower_of_another_catalogue_is_refused(tmp_path: Path) -> None:
    """Its table is one item short: rows of the last item would fail at request time."""
    world = make_world(items=30)
    short = write_tower(tmp_path / "user_tower.onnx", world.contents.item_vectors[:-1])
    contents = replace(world.contents, user_tower_onnx=short, history_length=LENGTH)
    bundle = write_world(replace(world, contents=contents), tmp_path / "b")
    with pytest.raises(BundleCorrupt, match=r"tower\.onnx: found .*expected a tower that reads 30 items\. Export"):
        Encoder(bundle)


def test_a_tower_of_another_length_or_size_is_refused(tmp_path: Path) -> None:
    world = make_world(items=30)
    for sub, vectors, length, sentence in (
        ("one", world.contents.item_vectors, 4, "inputs: found {'history': 4}, expected {'history': 6}."),
        ("two", world.contents.item_vectors[:, :8], 6, "user: found shape (8,), expected 16 finite numbers."),
    ):
        folder = tmp_path / sub
        folder.mkdir()
        path = write_tower(folder / "user_tower.onnx", vectors, length)
        contents = replace(world.contents, user_tower_onnx=path, history_length=LENGTH)
        bundle = write_world(replace(world, contents=contents), folder / "b")
        with pytest.raises(BundleCorrupt) as refused:
            Encoder(bundle)
        assert str(refused.value) == f"{bundle.path / 'user_tower.onnx'}: {sentence} Export the bundle again."


def test_a_tower_may_leave_its_length_free(tmp_path: Path) -> None:
    world = make_world(items=30)
    path = write_tower(tmp_path / "user_tower.onnx", world.contents.item_vectors, axis="T")
    contents = replace(world.contents, user_tower_onnx=path, history_length=LENGTH)
    encoder = Encoder(write_world(replace(world, contents=contents), tmp_path / "b"))
    np.testing.assert_allclose(encoder.user([4]), world.contents.item_vectors[4], atol=1e-6)


def test_a_network_answers_histories_too(tmp_path: Path) -> None:
    core = engine("network-tower")
    answer = core.recommend(replace(ASK, explain=True, rules=(Rule(Action.PROMOTE, "genre:western", 1.0),)))
    assert load_bundle(core.catalogue.bundle.path).manifest.scorer == "network"
    for score, why in zip(answer.ranking.scores, answer.explanations, strict=True):
        assert why.base_score + sum(part.value for part in why.contributions) == pytest.approx(float(score), abs=1e-4)
