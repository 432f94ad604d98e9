"""`tiller bundle index` on the planted world: measured, written, refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from bundle import IndexParams, IvfParams, PqParams, RecallRow, load_bundle
from cli.index_advice import TRIES, advise
from cli.index_recall import CONCEPTS, MASKS, FilterCatalogue, make_rows
from offline import proxy
from server import bits
from server.retrieval import ProxyRetriever, open_retriever
from server.types import Action, Channel
from tests.bundle.forge import edit_manifest
from tests.cli.conftest import Tiller
from tests.network import with_network
from tests.world import make_world, write_world

COARSE = ("--kind", "ivf", "--param", "nlist=20", "--param", "nprobe=1", "--param", "candidates=10", "--queries", "20")
QUERIES = [
    "unsteered",
    "promote 1, item channel",
    "demote 1, item channel",
    "promote 1, query channel",
    "demote 1, query channel",
    "filter passing 50 %",
    "filter passing 10 %",
    "filter passing 1 %",
]


@pytest.mark.parametrize("kind", ["hnsw", "hnsw-sq8", "ivf", "ivf-sq8"])
def test_an_index_is_built_measured_and_served(tiller: Tiller, planted: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "indexed"
    more = ("--param", "nprobe=6") if kind.startswith("ivf") else ()  # half of six lists are too few
    ran = tiller("bundle", "index", planted, "--kind", kind, "--out", target, "--queries", "16", *more)
    assert ran.code == 0
    assert ran.out.splitlines()[-1].startswith(f"{target}: bundle ")
    entry = load_bundle(target).manifest.index
    assert entry is not None
    assert (entry.kind, entry.gate, entry.asked_as, entry.seed) == (kind, 0.95, "users", 0)
    assert [row.query for row in entry.recall] == QUERIES
    assert all(row.queries == 16 and row.lowest >= 0.95 for row in entry.recall)
    assert all(f"{row.query}  " in ran.out for row in entry.recall)
    assert tiller("bundle", "verify", target).code == 0


def test_flat_is_exact_and_has_nothing_to_measure(tiller: Tiller, planted: Path, tmp_path: Path) -> None:
    (tmp_path / ".flat.index-killed").mkdir()
    ran = tiller("bundle", "index", planted, "--kind", "flat", "--out", tmp_path / "flat")
    entry = load_bundle(tmp_path / "flat").manifest.index
    assert ran.code == 0
    assert entry is not None
    assert (entry.kind, entry.recall, entry.passed) == ("flat", (), True)
    assert [path.name for path in tmp_path.iterdir()] == ["flat"]  # what a killed build left is gone too


def test_under_the_gate_nothing_is_written_and_the_parameter_is_named(
    tiller: Tiller, planted: Path, tmp_path: Path
) -> None:
    target = tmp_path / "indexed"
    ran = tiller("bundle", "index", planted, *COARSE, "--out", target)
    assert ran.code == 2
    last = ran.err.strip().splitlines()[-1]
    assert last.startswith("tiller: ivf index (")
    assert "is under the gate, nothing was written: expected 0.95 or more. Raise nprobe: --param nprobe=" in last
    assert " <" in ran.out
    assert not target.exists()
    assert list(tmp_path.iterdir()) == []
    raised = last.partition("--param ")[2].partition(" ")[0]
    again = tiller("bundle", "index", planted, *COARSE, "--param", raised, "--out", target)
    assert again.code == 0


def test_a_lower_gate_lets_it_through_and_the_server_holds_it_to_that(
    tiller: Tiller, planted: Path, tmp_path: Path
) -> None:
    target = tmp_path / "indexed"
    assert tiller("bundle", "index", planted, *COARSE, "--gate", "0.1", "--out", target).code == 0
    assert tiller("bundle", "verify", target).code == 0
    edit_manifest(target, lambda document: document["index"].update(gate=0.99))
    ran = tiller("bundle", "verify", target)
    assert ran.code == 2
    assert f"{target}: the ivf index is under its gate (" in ran.err
    assert ran.err.endswith(f"Build it again: tiller bundle index {target} --replace\n")


def test_replace_puts_the_new_one_in_the_bundles_place(tiller: Tiller, planted: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(planted, tmp_path / "copy"))
    refused = tiller("bundle", "index", copy, "--kind", "hnsw")
    assert (refused.code, refused.err) == (
        2, "tiller: where to write the new bundle. Name a folder with --out, or replace DIR: --replace.\n"
    )  # fmt: skip
    assert tiller("bundle", "index", copy, "--kind", "hnsw", "--queries", "8", "--replace").code == 0
    manifest = json.loads((copy / "manifest.json").read_text())
    assert manifest["index"]["kind"] == "hnsw"
    assert manifest["provenance"]["reindexed_from"] == load_bundle(planted).manifest.bundle_id


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--kind", "tree"), "--kind: found 'tree', expected flat, hnsw, hnsw-sq8, ivf, ivf-sq8, ivf-pq."),
        (
            ("--kind", "hnsw", "--param", "ef_search"),
            "--param: found 'ef_search', expected NAME=VALUE with a whole number, as ef_search=256.",
        ),
        (
            ("--kind", "hnsw", "--param", "nprobe=3"),
            "hnsw index: parameter 'nprobe': expected m, ef_construction, ef_search, euclidean.",
        ),
    ],
)
def test_what_cannot_be_typed(
    tiller: Tiller, planted: Path, tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    ran = tiller("bundle", "index", planted, *options, "--out", tmp_path / "indexed")
    assert ran.code == 2
    assert ran.err.splitlines()[-1] == f"tiller: {told}"


def test_what_is_asked(planted: Path) -> None:
    """Strongest doses on both channels, and filters that let through what they say, by chance and by region."""
    catalogue = FilterCatalogue(load_bundle(planted))
    rows, whose = make_rows(catalogue, 24, 0)
    assert ([row.name for row in rows], whose) == (QUERIES, "users")
    assert all(len(row.requests) == 24 for row in rows)
    by_name = {row.name: row.requests for row in rows}
    asked = {
        "promote 1, item channel": (Action.PROMOTE, Channel.ITEM),
        "demote 1, query channel": (Action.DEMOTE, Channel.QUERY),
    }
    for name, (action, channel) in asked.items():
        rules = [request.rules[0] for request in by_name[name]]
        assert {(rule.action, rule.channel, rule.strength) for rule in rules} == {(action, channel, 1.0)}
        assert 1 < len({rule.concept for rule in rules}) <= CONCEPTS
    for name, share in (("filter passing 50 %", 0.5), ("filter passing 10 %", 0.1), ("filter passing 1 %", 0.01)):
        filters = {request.rules[0].concept for request in by_name[name]}
        assert len(filters) == MASKS
        for concept in filters:
            forbidden = catalogue.find(concept).members()
            assert 240 - bits.count(forbidden, 240) == max(1, round(share * 240))


def recall(value: float) -> Sequence[RecallRow]:
    return [RecallRow(query="q", queries=1, recall_at_10=value, recall_at_100=1, milliseconds=0, flat_milliseconds=0)]


def test_advice_doubles_the_parameter_that_helps_most() -> None:
    def remeasure(params: IndexParams) -> Sequence[RecallRow]:
        assert isinstance(params, PqParams)
        return recall(min(1, params.nprobe / 100 + params.candidates / 1000))

    failed = PqParams(nlist=64, nprobe=8, candidates=100, pq_m=4)
    told = advise("ivf-pq", failed, 0.9, 10_000, remeasure)
    assert told == "Raise candidates: --param candidates=1600 reached 1.000 on the same queries."


def test_advice_that_has_nothing_left_says_what_else_there_is() -> None:
    asked: list[int] = []

    def remeasure(params: IndexParams) -> Sequence[RecallRow]:
        assert isinstance(params, IvfParams)
        asked.append(params.nprobe)
        return recall(0.5)

    told = advise("ivf", IvfParams(nlist=12, nprobe=4, candidates=10), 0.9, 1_000, remeasure)
    assert asked == [8, 12]
    assert told == (
        "Even nprobe=12 reached only 0.500. Try fewer lists (--param nlist=...), --kind hnsw or --kind flat."
    )
    assert len(asked) <= TRIES


def test_a_networks_index_is_over_proxies_and_measured_against_every_item(
    tiller: Tiller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"ANCHORS": 24, "RANK": 20, "FITTED": 300, "MEASURED": 1}.items():
        monkeypatch.setattr(proxy, name, value)
    world = make_world(items=400, users=200)
    source = write_world(with_network(world, tmp_path), tmp_path / "exact").path
    target = tmp_path / "indexed"
    ran = tiller(
        "bundle", "index", source, "--kind", "hnsw", "--out", target, "--queries", "16", "--param", "rescored=120"
    )
    assert ran.code == 0, ran.err
    entry = load_bundle(target).manifest.index
    assert entry is not None
    assert (entry.kind, entry.rescored) == ("hnsw", 120)
    assert [row.query for row in entry.recall] == QUERIES
    assert all(row.lowest >= 0.95 for row in entry.recall)
    assert isinstance(open_retriever(load_bundle(target)), ProxyRetriever)
    assert tiller("bundle", "verify", target).code == 0
    flat = ("bundle", "index", target, "--kind", "flat", "--replace", "--queries", "4")
    few = tiller(*flat, "--param", "rescored=5")
    assert few.code == 2
    assert few.err.splitlines()[-1].endswith(
        "nothing was written: expected 0.95 or more. Raise --param rescored=10, the candidates that the network ranks."
    )
    assert tiller(*flat).code == 0
    assert load_bundle(target).manifest.index.rescored == 400  # type: ignore[union-attr]


def test_a_metric_has_nothing_to_rescore(tiller: Tiller, planted: Path, tmp_path: Path) -> None:
    ran = tiller("bundle", "index", planted, "--kind", "flat", "--out", tmp_path / "b", "--param", "rescored=10")
    assert (ran.code, ran.err) == (2, "tiller: flat index: parameter 'rescored': expected none.\n")
