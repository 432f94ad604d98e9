"""`tiller explain`: what it prints adds up digit by digit, is what the server said, and is the same from a bundle."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from cli.console import ASCII, UNICODE
from cli.explain_picture import BAR, Axis, waterfall
from client import Contribution, Explanation, Item, TillerClient, demote, promote
from tests.cli.conftest import Tiller
from tests.world import make_world, write_world

RULES = ("--promote", "genre:western=0.8", "--demote", "genre:comedy")
HEAD = re.compile(r"^ +(\d+) (.+?)  (i\d+)  (base rank (\d+)|not among the best before) → \1  (\S.*)$")
LINE = re.compile(r"^    (\S.*?) +([+-]?\d+\.\d+)(?: +█*)?$")


def explain(tiller: Tiller, *arguments: object) -> list[str]:
    ran = tiller("explain", *arguments)
    assert (ran.code, ran.err) == (0, "")
    return [line.rstrip() for line in ran.out.splitlines()]


def items(lines: list[str]) -> dict[str, list[tuple[str, Decimal]]]:
    """Item id -> its printed lines."""
    found: dict[str, list[tuple[str, Decimal]]] = {}
    current: list[tuple[str, Decimal]] = []
    for line in lines:
        if head := HEAD.match(line):
            current = found[head[3]] = []
        elif (row := LINE.match(line)) and not line.startswith("    carries"):
            current.append((row[1], Decimal(row[2])))
    return found


def test_every_sum_holds_as_it_is_printed(tiller: Tiller, address: str) -> None:
    shown = items(explain(tiller, "--server", address, "--user", "u1", *RULES, "-k", 8))
    assert len(shown) == 8
    for rows in shown.values():
        assert rows[0][0] == "base"
        if len(rows) > 1:
            assert rows[-1][0] == "score"
            assert sum(number for _, number in rows[:-1]) == rows[-1][1]
    assert any(name == "promote genre:western" for rows in shown.values() for name, _ in rows)


def test_numbers_and_places_are_the_server_s(tiller: Tiller, address: str) -> None:
    lines = explain(tiller, "--server", address, "--user", "u1", *RULES, "-k", 6)
    with TillerClient(address) as client:
        rules = [promote("genre:western", 0.8), demote("genre:comedy")]
        answer = client.recommend(user_id="u1", k=6, rules=rules, explain=True, baseline=True)
    shown = items(lines)
    assert list(shown) == [item.item_id for item in answer.items]
    for item in answer.items:
        why = item.explanation
        assert why is not None
        printed = dict(shown[item.item_id])
        assert float(printed["base"]) == pytest.approx(why.base_score, abs=1.1e-4)
        for part in why.contributions:
            if part.value:
                assert float(printed[f"{part.action} {part.concept}"]) == pytest.approx(part.value, abs=1.1e-4)
        heads = [HEAD.match(line) for line in lines]
        (head,) = [one for one in heads if one is not None and one[3] == item.item_id]
        assert int(head[5] or 0) == why.base_rank
    carried = next(line for line in lines if line.startswith("    carries"))
    first = answer.items[0].explanation
    assert first is not None
    for entry in first.concepts[:3]:
        assert f"{entry.concept} {entry.value:.2f}{'' if entry.labelled else '?'}" in carried


def test_a_bundle_on_disk_says_what_its_server_says(tiller: Tiller, address: str, planted: Path) -> None:
    arguments = ("--user", "u2", *RULES, "--channel", "query", "-k", 5)
    assert explain(tiller, "--bundle", planted, *arguments) == explain(tiller, "--server", address, *arguments)


def test_policies_of_a_folder_hold_on_a_bundle(tiller: Tiller, planted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    policy = "{name: west, owner: shop, when: {surface: home}, rules: [{action: promote, concept: 'genre:western'}]}"
    (folder / "a.yaml").write_text(f"policies:\n- {policy}\n")
    arguments = ("--bundle", planted, "--policies", folder, "--user", "u1")
    with_it = explain(tiller, *arguments, "--attribute", "surface=home")
    assert any("policy:west" in line for line in with_it)
    for without in ((), ("--attribute", "surface=home", "--ignore-policies")):
        assert not any("western" in line and "policy" in line for line in explain(tiller, *arguments, *without))


def test_one_item_and_all_its_concepts(tiller: Tiller, address: str) -> None:
    whole = json.loads(tiller("explain", "--server", address, "--user", "u3", *RULES, "--json").out)
    chosen = max(whole["items"], key=lambda item: len(item["explanation"]["concepts"]))
    lines = explain(tiller, "--server", address, "--user", "u3", *RULES, "--item", chosen["item_id"], "--full")
    assert list(items(lines)) == [chosen["item_id"]]
    text = " ".join(lines)
    assert all(entry["concept"] in text for entry in chosen["explanation"]["concepts"])


def test_bars_begin_where_the_one_above_ended() -> None:
    parts = (
        Contribution("genre:a", "promote", "item", "request", 0.5),
        Contribution("genre:b", "demote", "item", "request", -0.25),
        Contribution("genre:c", "demote", "item", "request", 0.0),
    )
    why = Explanation(base_score=0.5, base_rank=3, contributions=parts, concepts=())
    fall = waterfall(Item("i1", "", 0.75, why), why, 2)
    assert [(step.name, step.begin, step.end) for step in fall.steps] == [
        ("base", 0, 50), ("promote genre:a", 50, 100), ("demote genre:b", 100, 75)
    ]  # fmt: skip
    axis = Axis(0, 100)
    assert axis.bar(0, 50, UNICODE) == "█" * (BAR // 2)
    assert axis.bar(50, 100, ASCII) == " " * (BAR // 2) + "#" * (BAR // 2)
    assert axis.bar(100, 75, UNICODE) == " " * (3 * BAR // 4) + "█" * (BAR // 4)
    assert axis.bar(50, 50, UNICODE).strip() == ""
    assert axis.bar(100, 99, UNICODE).count("█") == 1  # a little is not nothing
    assert Axis(-100, 0).bar(-100, 0, UNICODE) == "█" * BAR


def test_what_does_not_add_up_is_not_hidden() -> None:
    why = Explanation(base_score=0.5, base_rank=1, contributions=(), concepts=())
    fall = waterfall(Item("i1", "", 0.75, why), why, 2)
    assert [(step.name, step.part) for step in fall.steps] == [("base", 50), ("not explained", 25)]


def test_refusals(tiller: Tiller, address: str, planted: Path) -> None:
    def refused(*arguments: object) -> str:
        ran = tiller("explain", *arguments)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
        return ran.err

    assert refused("--server", address) == ("tiller: who is asking: found neither, expected --user or --history.\n")
    assert refused("--server", address, "--user", "u1", "--item", "nope", "-k", 3) == (
        "tiller: --item nope: found not among the 3 items of this list. Look deeper: --k.\n"
    )
    assert refused("--user", "u1", "--policies", "somewhere") == (
        "tiller: --policies: found without --bundle. A running server has policies of its own.\n"
    )
    assert refused("--bundle", planted, "--user", "nobody").startswith("tiller: unknown user: found 'nobody'")
    assert refused("--bundle", planted / "no", "--user", "u1").startswith("tiller: no bundle at ")
    assert refused("--server", "127.0.0.1:1", "--user", "u1").startswith("tiller: no server answers at 127.0.0.1:1.")


def test_a_cosine_bundle_adds_up_too(tiller: Tiller, tmp_path: Path) -> None:
    bundle = write_world(make_world(metric="cosine", seed=2), tmp_path / "cosine")
    for rows in items(explain(tiller, "--bundle", bundle.path, "--user", "u1", *RULES, "-k", 5)).values():
        assert sum(number for _, number in rows[:-1]) == rows[-1][1] or len(rows) == 1
