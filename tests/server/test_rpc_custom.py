"""Concepts of one's own over the wire: saved, in force, listed, steered by, there again after a restart, deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundle import Bundle
from client import TillerClient, TillerRpcError, promote
from client.admin import TillerAdmin
from protos.steering.v1 import concepts_pb2
from tests.live import Live, live
from tests.world import make_world, write_world


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_world(make_world(), tmp_path_factory.mktemp("custom") / "planted")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policies")


@pytest.fixture(scope="module")
def server(bundle: Bundle, folder: Path) -> Iterator[Live]:
    with live(bundle.path, policies=folder, policy_poll_seconds=0, admin_port=0) as server:
        yield server


@pytest.fixture
def admin(server: Live) -> Iterator[TillerAdmin]:
    with TillerAdmin(server.addresses.admin) as admin:
        yield admin


@pytest.fixture
def tiller(server: Live) -> Iterator[TillerClient]:
    with TillerClient(server.addresses.grpc) as client:
        yield client


def test_saved_in_force_listed_kept_and_deleted(
    admin: TillerAdmin, tiller: TillerClient, bundle: Bundle, folder: Path
) -> None:
    before = admin.status().policy_revision
    saved = admin.save_concept(
        "custom:spooky-laughs", concepts={"genre:horror": 1, "genre:comedy": 0.5}, display_name="Spooky laughs"
    )
    assert (saved.replaced, saved.concept.kind) == (False, concepts_pb2.CONCEPT_KIND_CUSTOM)
    assert saved.policy_revision not in {before, ""}
    assert admin.status().policy_revision == saved.policy_revision

    rule, same = promote("custom:spooky-laughs", 0.8), promote({"genre:horror": 2, "genre:comedy": 1}, 0.8)
    named, spelt = (tiller.recommend(user_id="u1", rules=[one], explain=True) for one in (rule, same))
    assert named.policy_revision == saved.policy_revision
    assert [(item.item_id, item.score) for item in named.items] == [(item.item_id, item.score) for item in spelt.items]
    assert named.rules[0].rule.concept == "custom:spooky-laughs"
    (own,) = tiller.concepts(family="custom")
    assert (own.id, own.kind, own.display_name) == ("custom:spooky-laughs", "custom", "Spooky laughs")
    assert own.definition is not None
    assert (own.definition.concepts, own.definition.file) == ({"genre:horror": 1, "genre:comedy": 0.5}, "concepts.yaml")
    assert own in tiller.concepts()
    assert tiller.concept("custom:spooky-laughs", top_items=3).top_items[0].value == 1

    assert admin.save_concept("custom:spooky-laughs", like=["i3", "i4"]).replaced
    assert [list(one.like) for one in admin.custom_concepts().concepts] == [["i3", "i4"]]
    with (
        live(bundle.path, policies=folder, policy_poll_seconds=0) as again,
        TillerClient(again.addresses.grpc) as other,
    ):
        assert [one.id for one in other.concepts(family="custom")] == ["custom:spooky-laughs"]

    (folder / "mine.yaml").write_text(
        "policies:\n  - {name: mine, owner: me, rules: [{action: demote, concept: custom:spooky-laughs}]}\n"
    )
    with pytest.raises(TillerRpcError) as refused:
        admin.delete_concept("custom:spooky-laughs")
    assert (refused.value.code.name, refused.value.reason) == ("FAILED_PRECONDITION", "POLICY_REFUSED")
    assert "is named by policy mine (mine.yaml:2)" in refused.value.message
    (folder / "mine.yaml").unlink()
    assert admin.delete_concept("custom:spooky-laughs").policy_revision == admin.status().policy_revision
    with pytest.raises(TillerRpcError, match="unknown concept"):
        tiller.recommend(user_id="u1", rules=[rule])


@pytest.mark.parametrize(
    ("concept_id", "parts", "field", "sentence"),
    [
        ("genre:own", {"items": ["i1"]}, "concept.id", "id: found 'genre:own', expected custom: and lower-case"),
        ("custom:a", {}, "concept.concepts", "concept.concepts: nothing is said: expected concepts, like"),
        (
            "custom:a",
            {"unlike": ["i1"]},
            "concept.unlike",
            "concept.unlike: without like: found 1 items, expected like",
        ),
        (
            "custom:a",
            {"items": ["i1", "gone"]},
            "concept.items",
            "concept.items: unknown items: found 1, 'gone' for one",
        ),
        ("custom:a", {"concepts": {"genre:horor": 1, "genre:comedy": 1}}, "concept.concepts", "unknown concept: found"),
        ("custom:a", {"concepts": {"genre:comedy": -1}}, "concept.concepts.genre:comedy", "weight: found -1, expected"),
        ("custom:a", {"concepts": {"custom:b": 1}}, "concept.concepts", "made of a custom concept: found custom:b"),
        ("custom:a", {"like": ["i1"], "items": ["i2"]}, "concept.items", "a second subject beside like"),
        ("custom:a", {"items": ["i1"], "display_name": "x" * 201}, "concept.display_name", "display_name: found 201"),
    ],
)
def test_refused(admin: TillerAdmin, concept_id: str, parts: dict[str, object], field: str, sentence: str) -> None:
    before = admin.status().policy_revision
    with pytest.raises(TillerRpcError) as refused:
        admin.save_concept(concept_id, **parts)  # type: ignore[arg-type]
    assert [violation.field for violation in refused.value.violations] == [field]
    assert sentence in refused.value.message
    assert admin.reload().policy_revision == before


def test_deleting_what_is_not_there(admin: TillerAdmin) -> None:
    with pytest.raises(TillerRpcError, match="no such custom concept") as refused:
        admin.delete_concept("custom:nothing")
    assert refused.value.code.name == "NOT_FOUND"


def test_a_server_without_a_policy_folder_takes_none(bundle: Bundle) -> None:
    with live(bundle.path, admin_port=0) as server, TillerAdmin(server.addresses.admin) as admin:
        with pytest.raises(TillerRpcError, match="no policy folder to keep concepts in") as refused:
            admin.save_concept("custom:a", items=["i1"])
        assert refused.value.code.name == "PERMISSION_DENIED"


def test_a_file_that_somebody_writes_is_taken_and_a_bad_one_leaves_the_last_good_in_force(
    bundle: Bundle, tmp_path: Path
) -> None:
    with (
        live(bundle.path, policies=tmp_path, policy_poll_seconds=0.1, admin_port=0) as server,
        TillerAdmin(server.addresses.admin) as admin,
    ):
        (tmp_path / "ours.yaml").write_text("concepts:\n  custom:shelf: {items: [i3, i4]}\n")
        _until(lambda: [one.id for one in admin.custom_concepts().concepts] == ["custom:shelf"])
        (tmp_path / "ours.yaml").write_text("concepts:\n  custom:shelf: {itms: [i3, i4]}\n")
        _until(lambda: admin.status().stale)
        assert "ours.yaml:2: concepts.custom:shelf.itms: unknown key" in admin.status().error
        assert [list(one.items) for one in admin.custom_concepts().concepts] == [["i3", "i4"]]


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "never came to be"
        time.sleep(0.02)
