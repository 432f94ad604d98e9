"""`tiller policy schema`, `diff`, and what a running server is asked: `preview`, `list`, `status`, `reload`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Tiller
from tests.live import Live, live

KIDS = """policies:
  - name: kids
    owner: safety
    mandatory: true
    when: {surface: kids}
    rules: [{action: filter, concept: "genre:horror"}]
"""
MORE = """  - name: west
    owner: shop
    mode: shadow
    priority: 3
    when: {surface: kids, time: {timezone: UTC, until: 2020-01-01}}
    rules: [{action: promote, concept: "genre:wstern", strength: 0.3}]
"""


def folder_of(path: Path, text: str) -> Path:
    path.mkdir(exist_ok=True)
    (path / "kids.yaml").write_text(text)
    return path


@pytest.fixture
def now(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "now", KIDS)


@pytest.fixture
def then(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "then", KIDS.replace("filter", "demote") + MORE)


def test_the_schema_is_printed_or_written(tiller: Tiller, tmp_path: Path) -> None:
    printed = tiller("policy", "schema")
    assert json.loads(printed.out)["title"] == "Tiller policies"
    ran = tiller("policy", "schema", "--cases", "--out", tmp_path / "cases.json")
    assert (ran.code, ran.out) == (0, f"{tmp_path / 'cases.json'}: written\n")
    assert json.loads((tmp_path / "cases.json").read_text())["title"] == "Cases of Tiller policies"
    ran = tiller("policy", "schema", "--out", tmp_path / "no" / "x.json")
    assert (ran.code, ran.out) == (2, "")
    assert "cannot write" in ran.err


def test_notes_do_not_fail_the_validation(tiller: Tiller, tmp_path: Path) -> None:
    rolled = KIDS.replace("surface: kids", "rollout: 20")
    ran = tiller("policy", "validate", folder_of(tmp_path / "p", rolled + MORE))
    assert ran.code == 0
    first, second, last = ran.out.splitlines()
    assert first == (
        "note: kids.yaml:2: policy kids: its filter holds for 20 % alone; the others may see genre:horror."
    )
    assert second == (
        "note: kids.yaml:7: policy west: its time is over, it reaches nobody any more; "
        "remove it, or set enabled: false."
    )
    assert last.endswith(": valid")


def test_diff_says_what_differs_and_who_sees_it(tiller: Tiller, planted: Path, now: Path, then: Path) -> None:
    ran = tiller("policy", "diff", now, then, "--bundle", planted, "--at", "2026-07-01T12:00:00Z", "--k", 20)
    assert (ran.code, ran.err) == (0, "")
    lines = [line.rstrip() for line in ran.out.splitlines()]
    assert lines[:3] == [
        f"{now} -> {then}: 2 policies differ",
        "  ~ kids  without filter genre:horror; with demote genre:horror 0.5",
        "  + west  promote genre:wstern 0.3; when surface is kids; when until 2020-01-02 00:00 (UTC); "
        "shadow; priority 3",
    ]
    (head,) = (line for line in lines if line.startswith("surface=kids: "))
    told = r"\d+ of 12 users see another list \(\d+\.\d%\), 1\d\.\d of 20 items stay on average"
    assert re.fullmatch(f"surface=kids: {told}", head)
    assert "  users reached: kids 12 → 12" in lines
    (share,) = (line for line in lines if line.startswith("  genre:horror "))
    assert share.split()[1] == "0.0%"
    assert "█" in share
    assert "+" in share
    assert sum(line.startswith("  user u") for line in lines) == 1


def test_diff_of_the_same_policies(tiller: Tiller, planted: Path, now: Path) -> None:
    ran = tiller("policy", "diff", now, now, "--bundle", planted)
    assert (ran.code, ran.out) == (0, f"{now} and {now} say the same.\n")


def test_diff_in_one_situation_as_json(tiller: Tiller, planted: Path, now: Path, then: Path) -> None:
    ran = tiller("policy", "diff", now, then, "--bundle", planted, "--attribute", "surface=tv", "--users", 5, "--json")
    said = json.loads(ran.out)
    (situation,) = said["situations"]
    assert (situation["users"], situation["changed"], situation["attributes"]) == (5, 0, {"surface": "tv"})
    assert [change["name"] for change in said["changes"]] == ["kids", "west"]


def test_diff_shows_no_more_examples_than_asked_for(tiller: Tiller, planted: Path, now: Path, then: Path) -> None:
    ran = tiller("policy", "diff", now, then, "--bundle", planted, "--examples", 0)
    assert "  user u" not in ran.out


@pytest.mark.parametrize("at", ["christmas", "2026-12-24T20:00:00"])
def test_a_moment_needs_its_offset(tiller: Tiller, planted: Path, now: Path, at: str) -> None:
    ran = tiller("policy", "diff", now, now, "--bundle", planted, "--at", at)
    assert (ran.code, ran.out) == (2, "")
    assert "expected a moment with its offset" in ran.err


@pytest.fixture
def server(planted: Path, now: Path) -> Iterator[Live]:
    with live(planted, policies=now, policy_poll_seconds=0, admin_port=0) as server:
        yield server


def test_a_running_server_previews(tiller: Tiller, server: Live, then: Path) -> None:
    ran = tiller("policy", "preview", then, "--admin", server.addresses.admin)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"in force ({server.addresses.policy_revision}) -> {then}: 2 policies differ\n")
    assert "surface=kids: " in ran.out
    ran = tiller("policy", "preview", then, "--admin", server.addresses.admin, "--json", "--users", 3)
    said = json.loads(ran.out)
    assert said["situations"][0]["users"] == 3
    assert said["situations"][0]["shares"][0]["before"] == 0


def test_a_preview_and_a_diff_tell_the_same(tiller: Tiller, server: Live, planted: Path, now: Path, then: Path) -> None:
    at = ("--at", "2026-07-01T12:00:00Z")
    previewed = tiller("policy", "preview", then, "--admin", server.addresses.admin, *at).out.splitlines()[1:]
    assert previewed == tiller("policy", "diff", now, then, "--bundle", planted, *at).out.splitlines()[1:]


def test_a_bad_candidate_is_told_before_a_server_is_asked(tiller: Tiller, then: Path) -> None:
    (then / "kids.yaml").write_text(KIDS.replace("owner", "ownr"))
    ran = tiller("policy", "preview", then, "--admin", "127.0.0.1:1")
    assert (ran.code, ran.out) == (2, "")
    assert "Did you mean 'owner'?" in ran.err


def test_the_policies_in_force_are_listed(tiller: Tiller, server: Live, now: Path) -> None:
    (now / "kids.yaml").write_text(KIDS + MORE)
    assert tiller("policy", "reload", "--admin", server.addresses.admin).out.startswith("loaded: revision ")
    ran = tiller("policy", "list", "--admin", server.addresses.admin)
    lines = ran.out.splitlines()
    assert lines[:3] == ["kids  safety  (mandatory)", "  when surface is kids", "  filter genre:horror"]
    assert lines[3:6] == [
        "west  shop  (shadow, not now, priority 3)",
        "  when surface is kids and until 2020-01-02 00:00 (UTC)",
        "  promote genre:wstern 0.3",
    ]
    assert "Did you mean 'genre:western'?" in lines[6]
    assert lines[7].startswith("2 policies, revision ")
    assert (
        json.loads(tiller("policy", "list", "--admin", server.addresses.admin, "--json").out)["policies"][1]["open"]
        is False
    )


def test_status_and_reload_of_what_is_refused(tiller: Tiller, server: Live, now: Path) -> None:
    admin = ("--admin", server.addresses.admin)
    ran = tiller("policy", "status", *admin)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[1] == f"policies  1, revision {server.addresses.policy_revision}, from {now}"
    assert tiller("policy", "reload", *admin).out == (
        f"unchanged: revision {server.addresses.policy_revision} is in force\n"
    )
    (now / "kids.yaml").write_text(KIDS.replace("owner", "ownr"))
    ran = tiller("policy", "reload", *admin)
    assert ran.code == 1
    assert "kids.yaml:3" in ran.out
    ran = tiller("policy", "status", *admin)
    assert ran.code == 1
    assert "STALE" in ran.out
    assert "Did you mean 'owner'?" in ran.out
    assert json.loads(tiller("policy", "status", *admin, "--json").out)["stale"] is True


@pytest.mark.parametrize("command", [("list",), ("status",), ("reload",)])
def test_where_no_admin_service_answers(tiller: Tiller, command: tuple[str, ...], address: str) -> None:
    for target in ("127.0.0.1:1", address):  # nobody; a server without the service
        ran = tiller("policy", *command, "--admin", target)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err == (
            f"tiller: no admin service answers at {target}. Start the server with --admin-port 50052, or name its "
            "port: --admin HOST:PORT.\n"
        )
