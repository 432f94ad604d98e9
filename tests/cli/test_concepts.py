from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from bundle import ConceptFile, Steered
from tests.cli.conftest import Tiller
from tests.world import World, write_world


def test_list(tiller: Tiller, planted: Path, world: World) -> None:
    ran = tiller("concepts", "list", "--bundle", planted)
    assert (ran.code, ran.err) == (0, "")
    rows = [line.split() for line in ran.out.splitlines()]
    assert rows[0] == ["concept", "items", "AUC", "precision", "recall", "purity@10", "attainable", "read-out"]
    assert rows[1] == [
        "genre:horror", str(world.labels[0].sum()), "0.950", "0.90", "0.80", "0.90", "1.00", "logistic"
    ]  # fmt: skip
    assert len(rows) == 7


def test_list_all_says_why_a_concept_is_not_offered(tiller: Tiller, planted: Path) -> None:
    out = " ".join(tiller("concepts", "list", "--bundle", planted, "--all").out.split())
    assert "genre:musical 3 not offered: 3 items carry it; at least 10 are needed" in out


def test_latents_are_a_family(tiller: Tiller, planted: Path) -> None:
    found = json.loads(tiller("concepts", "list", "--bundle", planted, "--family", "latent", "--json").out)
    assert [concept["id"] for concept in found] == [f"latent:{n}" for n in range(24)]


def test_show(tiller: Tiller, planted: Path) -> None:
    ran = tiller("concepts", "show", "genre:western", "--bundle", planted, "--top", "3")
    assert ran.code == 0
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert lines[0] == "concept genre:western Western"
    assert "found AUC 0.950; precision 0.90 and recall 0.80 at the threshold (chance: " in lines[2]
    assert "latents 3 (+1.00)" in lines
    assert len(lines) == lines.index("strongest items id read-out label") + 4
    assert lines[-1].endswith("1.00 yes")


def test_show_a_latent(tiller: Tiller, planted: Path) -> None:
    shown = json.loads(tiller("concepts", "show", "latent:3", "--bundle", planted, "--json").out)
    assert shown["family"] == "latent"
    assert len(shown["top_items"]) == 10


def test_show_one_that_is_not_offered(tiller: Tiller, planted: Path) -> None:
    ran = tiller("concepts", "show", "genre:musical", "--bundle", planted)
    assert ran.code == 0
    assert "not offered" in ran.out


def test_an_unknown_name_is_answered_with_the_nearest(tiller: Tiller, planted: Path) -> None:
    ran = tiller("concepts", "show", "genre:horor", "--bundle", planted)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("tiller: unknown concept: found 'genre:horor'. Nearest: genre:horror")
    assert ran.err.count("\n") == 1


def test_search_looks_at_names_and_at_titles(tiller: Tiller, planted: Path) -> None:
    assert tiller("concepts", "search", "west", "--bundle", planted).out.splitlines()[1].startswith("genre:western")
    top = json.loads(tiller("concepts", "show", "genre:film-noir", "--bundle", planted, "--json").out)["top_items"]
    title = top[0]["title"]
    found = json.loads(tiller("concepts", "search", title, "--bundle", planted, "--json").out)
    assert "genre:film-noir" in [concept["id"] for concept in found]
    assert tiller("concepts", "search", "no such words", "--bundle", planted).out == (
        "no concept matches; `tiller concepts list` shows all of them\n"
    )


def test_one_source_at_a_time(tiller: Tiller, planted: Path) -> None:
    ran = tiller("concepts", "list", "--bundle", planted, "--server", "127.0.0.1:1")
    assert (ran.code, ran.err) == (2, "tiller: --bundle and --server: found both, expected one of them.\n")


def test_show_says_what_steering_reaches_and_warns_where_that_is_poor(
    tiller: Tiller, world: World, tmp_path: Path
) -> None:
    poor = Steered(channel="item", users=300, left_1=0.4, reached_1=0.97, poor="demote 1 leaves 40% of its share")
    concepts = ConceptFile(
        concepts=tuple(
            concept.model_copy(update={"steered": poor}) if concept.id == "genre:western" else concept
            for concept in world.contents.concepts.concepts
        )
    )
    bundle = tmp_path / "bundle"
    write_world(replace(world, contents=replace(world.contents, concepts=concepts)), bundle)
    shown = [
        " ".join(line.split())
        for line in tiller("concepts", "show", "genre:western", "--bundle", bundle).out.splitlines()
    ]
    assert "channel item (measured on 300 users)" in shown
    assert "reach demote 1 leaves 40% of its share; promote 1 brings it to 97% of the list" in shown
    assert "WARNING poor reach: demote 1 leaves 40% of its share" in shown
    unmeasured = tiller("concepts", "show", "genre:horror", "--bundle", bundle).out
    assert "reach" not in unmeasured
