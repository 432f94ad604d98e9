"""`tiller demo` end to end, small: a real training, a real bundle, a real server, and what it prints."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bundle import load_bundle
from cli.demo_report import COLUMNS, Facts
from cli.demo_run import DemoPlan, run_demo
from cli.server_process import served
from offline.datasets import load_dataset
from offline.datasets.synthetic import SyntheticConfig
from tests.cli.test_server_process import serving
from tests.reflection import grpcurl

pytestmark = pytest.mark.train

ITEMS, USERS = 400, 800


@dataclass(frozen=True)
class Shown:
    """One run of the demo."""

    out: Path
    facts: Facts
    text: str
    svg: Path


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder = tmp_path_factory.mktemp("demo")
    out, svg = folder / "bundles" / "demo", folder / "demo.svg"
    # pytest's own capture is per test; this fixture lives for the module.
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("sys.stdout", _Tee(lines))
        facts = run_demo(DemoPlan(out=out, items=ITEMS, users=USERS, steps=150, svg=svg))
    return Shown(out, facts, "".join(lines), svg)


class _Tee:
    encoding = "utf-8"

    def __init__(self, lines: list[str]) -> None:
        self.write = lines.append

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return False


def test_the_bundle_is_whole_and_no_run_folder_stays(demo: Shown) -> None:
    manifest = load_bundle(demo.out).manifest
    assert (manifest.dims.items, manifest.dims.users, manifest.recommender) == (ITEMS, USERS, "mf")
    assert [entry.name for entry in demo.out.parent.iterdir()] == ["demo"]


def test_every_stage_and_its_figures_are_told(demo: Shown) -> None:
    for stage in ("recommender", "SAE, stage 1", "SAE, stage 2", "naming concepts", "writing and verifying"):
        assert stage in demo.text
    assert re.search(r"SAE: \d+ latents, explained variance 0\.\d+ of items .* L0 .* dead \d", demo.text)
    assert "genre:drama" in demo.text


def test_the_filter_kept_its_promise_by_the_planted_truth(demo: Shown) -> None:
    """The labels come from the world itself, made anew, and not from anything the demo read."""
    assert demo.facts.outcome.forbidden == 0
    assert demo.facts.outcome.filtered == demo.facts.outcome.users * len(demo.facts.outcome.shares) * 10
    world = load_dataset("synthetic", seed=0, world=SyntheticConfig(items=ITEMS, users=USERS))
    names, labels = world.truth["concept_names"], world.truth["item_labels"]
    assert isinstance(names, list)
    assert isinstance(labels, np.ndarray)
    members = {f"m{row:04d}" for row in np.flatnonzero(labels[:, names.index(demo.facts.subject.concept)])}
    titles = dict(zip(world.items["item_id"].to_pylist(), world.items["title"].to_pylist(), strict=True))
    marked = {title.split("…")[0] for title in re.findall(r"● ([^●]+?)(?:  |$)", _table(demo.text))}
    assert marked
    for shown in marked - {""}:
        if re.fullmatch(r"\d+ of 10", shown):
            continue
        assert any(title.startswith(shown) and item in members for item, title in titles.items()), shown


def _table(text: str) -> str:
    lines = text.splitlines()
    start = next(place for place, line in enumerate(lines) if line.split()[:1] == ["unsteered"])
    return "\n".join(lines[start : start + 15])


def test_shares_move_as_asked(demo: Shown) -> None:
    facts = demo.facts
    assert 0.1 <= facts.before <= 0.6
    assert facts.filtered == 0
    assert facts.promoted > facts.before
    for shares in facts.outcome.shares.values():
        assert list(shares) == list(COLUMNS)
        assert shares["filter"] == 0
        assert shares["demote 0.5"] < shares["unsteered"] < shares["promote 0.5"]


def test_the_tables_print_the_facts(demo: Shown) -> None:
    facts, table = demo.facts, _table(demo.text)
    for share in (facts.before, facts.filtered, facts.promoted):
        assert f"● {10 * share:.0f} of 10" in table
    assert len(re.findall(r"^ *(\d+) ", table, re.MULTILINE)) == 10
    assert "new" in table
    assert f"0 forbidden items among the {facts.outcome.filtered:,} that filtered requests returned" in demo.text
    assert re.search(r"p50 as the client sees it.*unsteered \d+\.\d ms .*steered \d+\.\d ms", demo.text)


def test_it_ends_with_three_commands_that_name_real_things(demo: Shown) -> None:
    tail = demo.text[demo.text.index("Go on with:") :].replace("\\\n", " ")
    serve, grpcurl, train = (line.strip() for line in tail.splitlines() if line.startswith("     "))
    assert shlex.split(serve)[-4:] == ["--bundle", str(demo.out), "--port", "50051"]
    assert demo.facts.subject.user_id in grpcurl
    assert demo.facts.subject.concept in grpcurl
    assert shlex.split(grpcurl)[-2:] == ["127.0.0.1:50051", "steering.v1.RecommendService/Recommend"]
    assert " train --items items.parquet --users users.parquet --out bundles/mine" in train


def test_the_grpcurl_command_works_by_reflection_on_the_bundle(demo: Shown) -> None:
    tail = demo.text[demo.text.index("Go on with:") :].replace("\\\n", " ")
    typed = shlex.split(next(line for line in tail.splitlines() if "grpcurl" in line))
    with served(demo.out) as address:
        answer = grpcurl([*typed[1:-2], address, typed[-1]])
    assert len(answer["items"]) == 10
    assert [rule["status"] for rule in answer["rules"]] == ["RULE_STATUS_APPLIED"]


def test_the_server_is_stopped(demo: Shown) -> None:
    assert serving(demo.out) == []


def test_the_picture_shows_the_same_table(demo: Shown) -> None:
    picture = demo.svg.read_text()
    assert picture.startswith("<svg")
    assert "unsteered" in picture
    assert "●" in picture


def test_an_unknown_data_set_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    from cli.refuse import UsageRefused

    with pytest.raises(UsageRefused) as refused:
        run_demo(DemoPlan(dataset="ml-2m", out=tmp_path / "demo"))
    assert str(refused.value) == "--dataset: found 'ml-2m', expected ml-1m | ml-100k | lastfm | synthetic."
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_bundle_is_not_replaced(tmp_path: Path) -> None:
    from bundle.errors import BundleExists

    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BundleExists):
        run_demo(DemoPlan(out=tmp_path, items=ITEMS, users=USERS, steps=150))
    assert (tmp_path / "notes.txt").read_text() == "mine"
