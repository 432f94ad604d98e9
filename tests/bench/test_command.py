"""`tiller bench` on a planted bundle: real processes, a table, files, and a comparison."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from cli.bench.result import compare, read_result
from cli.bench.workload import FAISS, make_cases
from cli.main import run
from tests.bench.test_result import catalogue, result
from tests.world import World, make_world, write_world

SHORT = [
    "--rounds",
    "2",
    "--seconds",
    "0.05",
    "--latency-seconds",
    "0.05",
    "--share",
    "0.5",
    "--batch",
    "4",
    "--k",
    "5",
]


@cache
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "bundle"
    write_world(world(), folder)
    return folder


def test_a_run_prints_writes_and_compares_what_it_measured(
    planted: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Beside an earlier run that was ten thousand times as fast: the gate says no."""
    earlier = result(catalogue(world().contents.items.num_rows, speed=1e-4, slowed=1e-8))
    (tmp_path / "earlier.json").write_text(earlier.model_dump_json())
    asked = ["bench", "--bundle", str(planted), "--out", str(tmp_path), "--compare", str(tmp_path / "earlier.json")]
    assert run([*asked, "--gate", *SHORT]) == 1
    printed = capfd.readouterr().out
    (one,) = read_result(tmp_path / "bench.json").catalogues
    assert set(one.throughput) == {FAISS, *(case.name for case in make_cases(4))}
    assert all(len(rates) == 2 and min(rates) > 0 for rates in one.throughput.values())
    assert all(each.p50[0] <= each.p99[0] for case in one.latency.values() for each in case.values())
    assert one.server_bytes is not None
    assert one.server_bytes > 10 << 20
    changes = {change.case: change.verdict for change in compare(read_result(tmp_path / "bench.json"), earlier)}
    assert changes["8 rules"] == changes["32 rules"] == "worse"
    for text in (*one.throughput, "of echo + FAISS", "no rule, of what echo + FAISS allow", "worse"):
        assert text in printed
    assert "| no rule " in (tmp_path / "bench.md").read_text()
    drawn = find_spec("matplotlib") is not None
    assert (tmp_path / "bench.svg").exists() == (tmp_path / "bench.png").exists() == drawn


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--items", "10", "--bundle", "x"], "tiller: --items and --bundle: found both, expected one of them.\n"),
        (["--compare", "/nowhere/b.json"], "tiller: cannot read /nowhere/b.json: found No such file or directory. "
                                           "Give the bench.json of an earlier tiller bench.\n"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_before_the_work(
    asked: list[str], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "--out", str(tmp_path / "out"), *asked]) == 2
    assert capfd.readouterr().err == message
    assert not (tmp_path / "out").exists()
