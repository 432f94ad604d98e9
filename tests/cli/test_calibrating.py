"""`tiller bundle calibrate` on the planted world: shown, drawn, written, refused."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bundle import load_bundle
from server.steer import Engine
from server.types import Action, Query, Rule
from tests.cli.conftest import Tiller
from tests.world import make_world, write_world

pytestmark = pytest.mark.train

FEW = ("--users", "20", "--check-users", "10", "--lengths", "5")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with users enough to calibrate on some and to check on others."""
    return write_world(make_world(users=40), tmp_path_factory.mktemp("calibrating") / "crowd").path


def test_without_a_target_it_only_tells(tiller: Tiller, crowd: Path) -> None:
    before = sorted((file.name, file.stat().st_mtime_ns) for file in crowd.iterdir())
    ran = tiller("bundle", "calibrate", crowd, *FEW)
    assert ran.code == 0, ran.err
    assert "on 10 users that the 20 of the curves do not include" in ran.out
    assert "genre:horror" in ran.out
    assert "share of top 5" in ran.out
    assert sorted((file.name, file.stat().st_mtime_ns) for file in crowd.iterdir()) == before


def test_a_new_bundle_serves_the_new_dial(tiller: Tiller, crowd: Path, tmp_path: Path) -> None:
    target, picture = tmp_path / "calibrated", tmp_path / "dial.svg"
    ran = tiller("bundle", "calibrate", crowd, *FEW, "--out", target, "--figure", picture)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[-1].startswith(f"{target}: bundle ")
    assert picture.read_text().startswith("<?xml")
    assert tiller("bundle", "verify", target).code == 0
    made = load_bundle(target)
    assert made.manifest.provenance["calibrated_from"] == load_bundle(crowd).manifest.bundle_id
    curve = made.contents.calibration.dial.curve("genre:horror", "item", "promote", 5)
    assert curve is not None
    query = Query(k=5, user_id="u1", rules=(Rule(Action.PROMOTE, "genre:horror", 0.5),))
    doses = [Engine.open(load_bundle(folder)).recommend(query).effects[0].dose for folder in (crowd, target)]
    # Uncalibrated, strength .5 is one unit (bundle.dose); calibrated, it is what the curve says.
    assert doses[1] == pytest.approx(doses[0] * curve.units[5])
    assert doses[1] != pytest.approx(doses[0], rel=1e-3)


def test_taken_items_are_masked(tiller: Tiller, crowd: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken.parquet"
    pq.write_table(pa.table({"user_id": ["u1", "u2"], "item_id": ["i3", "i4"]}), taken)
    target = tmp_path / "calibrated"
    ran = tiller("bundle", "calibrate", crowd, *FEW, "--interactions", taken, "--out", target)
    assert ran.code == 0, ran.err
    assert json.loads((target / "calibration.json").read_text())["seen_masked"] is True


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("--lengths", "10,5"), "--lengths: found '10,5', expected rising whole numbers, like 10,40"),
        (("--lengths", "ten"), "--lengths: found 'ten', expected rising whole numbers, like 10,40"),
        (("--figure", "dial.jpg"), "figure: found dial.jpg, expected a name that ends in .svg, .png, .pdf"),
        (("--data", "x.zip"), "--data without --dataset. Say which data set it is."),
        (("--dataset", "ml-1m", "--interactions", "t.parquet"), "--interactions and --dataset: expected one"),
    ],
)
def test_what_cannot_be_done_is_refused_before_work(
    tiller: Tiller, crowd: Path, typed: tuple[str, ...], said: str
) -> None:
    ran = tiller("bundle", "calibrate", crowd, *typed)
    assert ran.code == 2
    assert said in ran.err
    assert "calibrating" not in ran.err
