from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from cli.rules import parse_soft
from cli.server_process import served
from client import TillerClient
from tests.cli.conftest import Tiller
from tests.network import with_tower
from tests.world import NAMES, World, write_world


def ask(tiller: Tiller, address: str, *more: object) -> list[str]:
    ran = tiller("recommend", "--server", address, "--user", "u1", *more)
    assert (ran.code, ran.err) == (0, "")
    return [line.rstrip() for line in ran.out.splitlines() if line.strip()]


def test_unsteered_list(tiller: Tiller, address: str) -> None:
    lines = ask(tiller, address, "--k", "4")
    with TillerClient(address) as client:
        titles = [item.title for item in client.recommend(user_id="u1", k=4).items]
    assert lines[1].split() == ["unsteered"]
    assert [line.split(maxsplit=1)[1] for line in lines[3:7]] == titles


def test_lists_beside_each_other_are_the_servers(tiller: Tiller, address: str, world: World) -> None:
    lines = ask(tiller, address, "--promote", "genre:western=1", "--k", "6")
    with TillerClient(address) as client:
        rules = [parse_soft("promote", "genre:western=1")]
        answer = client.recommend(user_id="u1", k=6, rules=rules, baseline=True)
    assert answer.baseline is not None
    westerns = set(np.flatnonzero(world.labels[NAMES.index("Western")]).tolist())

    def cells(title: str, item_id: str) -> str:
        return ("● " if int(item_id[1:]) in westerns else "") + title

    for rank, (before, after) in enumerate(zip(answer.baseline, answer.items, strict=True), 1):
        shown = " ".join(lines[2 + rank].split())
        expected = f"{rank} {cells(before.title, before.item_id)} {cells(after.title, after.item_id)} "
        assert (shown + " ").startswith(expected)
    count = sum(int(item.item_id[1:]) in westerns for item in answer.items)
    assert lines[9].split()[-4:] == ["●", str(count), "of", "6"]
    assert lines[10].startswith("● genre:western   ↑n ↓n moved n places")
    share = answer.rules[0]
    assert share.share_before is not None
    assert share.share_after == count / 6
    assert f"{share.share_before:.0%} → {share.share_after:.0%}" in lines[12]


def test_a_filtered_list_marks_nothing_and_names_both_concepts(tiller: Tiller, address: str) -> None:
    lines = ask(tiller, address, "--filter", "genre:comedy=either", "--demote", "genre:children's", "--k", "10")
    assert lines[-4].split()[:2] == ["rule", "from"]
    assert lines[-3].startswith("filter genre:comedy either")
    assert lines[-2].startswith("demote genre:children's 0.5")
    assert lines[13].split()[-8:-4] == ["A", "0", "of", "10"]


def test_excluded_items_do_not_come_back(tiller: Tiller, address: str) -> None:
    first = json.loads(tiller("recommend", "--server", address, "--user", "u1", "--json").out)["items"][0]
    lines = ask(tiller, address, "--exclude", first["item_id"], "--exclude", "nobody")
    assert not any(first["title"] in line for line in lines)
    assert "1 of the excluded ids are not in the catalogue." in lines


def test_a_short_list_says_why(tiller: Tiller, address: str) -> None:
    shut = [option for name in NAMES for option in ("--filter", f"genre:{name.lower()}=either")]
    lines = ask(tiller, address, *shut, "--k", "240")
    assert any(line.startswith("Short: ") and "items are eligible, 240 were asked for" in line for line in lines)


def test_json_is_the_whole_answer(tiller: Tiller, address: str) -> None:
    ran = tiller("recommend", "--server", address, "--user", "u2", "--promote", "latent:9", "-k", "3", "--json")
    answer = json.loads(ran.out)
    assert len(answer["items"]) == len(answer["baseline"]) == 3
    assert answer["rules"][0]["rule"]["concept"] == "latent:9"
    parts = answer["items"][0]["explanation"]
    total = parts["base_score"] + sum(part["value"] for part in parts["contributions"])
    assert abs(total - answer["items"][0]["score"]) < 1e-5


def test_explain_shows_sums_and_concepts(tiller: Tiller, address: str) -> None:
    lines = ask(tiller, address, "--promote", "genre:western=1", "--k", "3", "--explain")
    head = next(place for place, line in enumerate(lines) if line.split()[:2] == ["item", "score"])
    assert "genre:western" in lines[head + 1]
    assert lines[-1] == "? the read-out says so, the metadata does not"


def test_refusals_are_one_sentence(tiller: Tiller, address: str) -> None:
    def refused(*arguments: object) -> str:
        ran = tiller("recommend", "--server", address, *arguments)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
        return ran.err

    assert refused("--user", "u1", "--promote", "genre:wetsern") == (
        "tiller: unknown concept: found 'genre:wetsern'. Nearest: genre:western.\n"
    )
    assert refused("--user", "u1", "--promote", "genre:western=2").startswith("tiller: rules[0].strength: found 2.0")
    assert refused("--user", "nobody").startswith("tiller: unknown user: found 'nobody', expected one of 12 users.")
    assert refused() == "tiller: who is asking: found neither, expected --user or --history.\n"
    assert refused("--user", "u1", "--history", "i1") == (
        "tiller: who is asking: found both, expected --user or --history.\n"
    )
    assert refused("--user", "u1", "--exclude-history") == (
        "tiller: --exclude-history: found without --history. Name items with --exclude.\n"
    )
    assert refused("--history", "i1,i2") == (
        "tiller: this bundle has no user tower to read a history. Send a user_id or the embedding.\n"
    )
    assert refused("--user", "u1", "--attribute", "kids").startswith("tiller: --attribute kids: found no '='")


def test_no_server(tiller: Tiller) -> None:
    ran = tiller("recommend", "--server", "127.0.0.1:1", "--user", "u1")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "tiller: no server answers at 127.0.0.1:1. Start one: tiller serve --bundle DIR\n"


def test_concepts_from_the_server_are_those_of_the_bundle(tiller: Tiller, address: str, planted: object) -> None:
    for command in (["list", "--all"], ["show", "genre:horror"], ["search", "horror"]):
        from_server = tiller("concepts", *command, "--server", address)
        assert from_server.code == 0
        assert from_server.out == tiller("concepts", *command, "--bundle", planted).out


def test_a_history_in_the_place_of_a_user(tiller: Tiller, world: World, tmp_path: Path) -> None:
    bundle = write_world(with_tower(world, tmp_path), tmp_path / "b")
    with served(bundle.path) as where:
        ran = tiller("recommend", "--server", where, "--history", "i4, i11,no", "--exclude-history", "-k", "4")
        with TillerClient(where) as client:
            titles = [item.title for item in client.recommend(history=["i4", "i11"], exclude_history=True, k=4).items]
    assert (ran.code, ran.err) == (0, "")
    lines = [line.rstrip() for line in ran.out.splitlines() if line.strip()]
    assert lines[0].startswith("A history of 3 items, bundle ")
    assert [line.split(maxsplit=1)[1] for line in lines[3:7]] == titles
    assert "1 of the history's ids not in the catalogue." in ran.out
