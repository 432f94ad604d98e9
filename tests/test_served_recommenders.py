"""NCF by its scorer network and SASRec by histories, each over gRPC from a server process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from bundle import Bundle, load_bundle
from client import HistoryUse, TillerClient, TillerRpcError, filter_out, promote
from server.steer import Engine
from tests.live import process, wait_for_addresses
from tests.network import Mlp, tower_user, with_network, with_tower
from tests.reflection import grpcurl
from tests.world import NAMES, make_world, write_world

HISTORY = ["i4", "i11", "i90"]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("ncf")
    return write_world(with_network(make_world(), folder), folder / "bundle")


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("sasrec")
    return write_world(with_tower(make_world(seed=1), folder), folder / "bundle")


def _serve(bundle: Bundle, folder: Path) -> Iterator[str]:
    port_file = folder / "ports.json"
    arguments = ("--bundle", bundle.path, "--port", 0, "--metrics-port", 0, "--port-file", port_file)
    with process(*arguments) as child:
        yield wait_for_addresses(port_file, child)["grpc"]


@pytest.fixture(scope="module")
def ncf(network: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server of the network's bundle."""
    yield from _serve(network, tmp_path_factory.mktemp("serve"))


@pytest.fixture(scope="module")
def sasrec(tower: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server of the tower's bundle."""
    yield from _serve(tower, tmp_path_factory.mktemp("serve"))


def test_a_network_ranks_all_items(ncf: str, network: Bundle) -> None:
    contents = network.contents
    assert contents.user_vectors is not None
    with TillerClient(ncf, timeout=60) as tiller:
        answer = tiller.recommend(user_id="u3", k=20)
    scores = Mlp.make(16).scores(contents.user_vectors[3:4], contents.item_vectors)[0]
    assert [item.item_id for item in answer.items] == [f"i{row}" for row in np.argsort(-scores)[:20]]
    np.testing.assert_allclose([item.score for item in answer.items], np.sort(scores)[::-1][:20], rtol=1e-5)


def test_a_network_is_steered_filtered_and_explained(ncf: str, network: Bundle) -> None:
    rules = [promote("genre:western", 0.6), promote("genre:comedy", 0.3, channel="query"), filter_out("genre:horror")]
    with TillerClient(ncf, timeout=60) as tiller:
        answer = tiller.recommend(user_id="u3", k=240, rules=rules, explain=True, baseline=True)
    genres = dict(
        zip(network.contents.items["item_id"].to_pylist(), network.contents.items["genre"].to_pylist(), strict=True)
    )
    left = [item_id for item_id, own in genres.items() if "Horror" not in own]
    assert sorted(item.item_id for item in answer.items) == sorted(left)
    assert answer.shortfall is not None
    assert answer.shortfall.eligible == len(left)
    assert [outcome.status for outcome in answer.rules] == ["applied"] * 3
    for item in answer.items:
        why = item.explanation
        assert why is not None
        assert why.base_score + sum(part.value for part in why.contributions) == pytest.approx(item.score, abs=1e-4)
    head = answer.items[:10]
    assert sum("Western" in genres[item.item_id] for item in head) > sum(
        "Western" in genres[item.item_id] for item in (answer.baseline or ())[:10]
    )


def test_a_network_without_a_tower_refuses_a_history(ncf: str) -> None:
    with TillerClient(ncf, timeout=60) as tiller, pytest.raises(TillerRpcError) as refused:
        tiller.recommend(history=HISTORY)
    sentence = "this bundle has no user tower to read a history. Send a user_id or the embedding."
    assert str(refused.value) == f"INVALID_ARGUMENT: {sentence}"
    assert [(one.field, one.description) for one in refused.value.violations] == [("history", sentence)]


def test_a_history_is_answered(sasrec: str, tower: Bundle) -> None:
    contents = tower.contents
    x = tower_user(contents.item_vectors, [4, 11, 90])
    best = [f"i{row}" for row in np.argsort(-(contents.item_vectors @ x))]
    with TillerClient(sasrec, timeout=60) as tiller:
        answer = tiller.recommend(history=["nowhere", *HISTORY], k=12)
        without = tiller.recommend(history=HISTORY, k=12, exclude_history=True)
        by_user = tiller.recommend(user_id="u1", k=3)
    assert [item.item_id for item in answer.items] == best[:12]
    assert answer.history == HistoryUse(used=3, unknown=1)
    assert [item.item_id for item in without.items] == [item_id for item_id in best if item_id not in HISTORY][:12]
    assert by_user.history is None


def test_a_history_is_steered_and_filtered(sasrec: str, tower: Bundle) -> None:
    rules = [promote("genre:western", 1.0), filter_out("genre:horror", membership="either")]
    forbidden = Engine.open(load_bundle(tower.path)).catalogue.find("genre:horror")
    assert forbidden.labels is not None
    members = np.unpackbits(forbidden.labels | forbidden.readouts, count=240, bitorder="little").astype(bool)
    with TillerClient(sasrec, timeout=60) as tiller:
        answer = tiller.recommend(history=HISTORY, k=240, rules=rules)
    assert sorted(int(item.item_id[1:]) for item in answer.items) == np.flatnonzero(~members).tolist()


@pytest.mark.parametrize(
    ("history", "sentence"),
    [
        (
            [],
            "the history is empty: expected at least one item id, the newest last. For somebody without a history: "
            "send a user_id or the embedding.",
        ),
        (
            ["x", "y"],
            "nothing in the history is in the catalogue: found 'x', 'y', expected ids of the 240 items. "
            "Send a user_id or the embedding.",
        ),
    ],
)
def test_a_history_of_nothing_is_refused(history: list[str], sentence: str, sasrec: str) -> None:
    with TillerClient(sasrec, timeout=60) as tiller, pytest.raises(TillerRpcError) as refused:
        tiller.recommend(history=history)
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [(one.field, one.description) for one in refused.value.violations] == [("history.item_ids", sentence)]


def test_reflection_knows_histories(sasrec: str) -> None:
    body = '{"history": {"item_ids": ["i4", "no"]}, "k": 2, "exclude_history": true}'
    answer = grpcurl(["-plaintext", "-d", body, sasrec, "steering.v1.RecommendService/Recommend"])
    assert answer["history"] == {"used": 1, "unknown": 1}
    assert len(answer["items"]) == 2
    assert "i4" not in {item["itemId"] for item in answer["items"]}


def test_concepts_are_listed_whatever_scores(ncf: str) -> None:
    with TillerClient(ncf, timeout=60) as tiller:
        assert {concept.display_name for concept in tiller.concepts()} == set(NAMES)
