"""The search on the planted world: what decides is not what reports, a killed study goes on, the frontier is one."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bundle import SparseCodes
from offline.datasets.synthetic import SyntheticConfig, make_synthetic
from offline.search import study as studies
from offline.search.__main__ import main
from offline.search.bench import Bench, purity_across, purity_of_all
from offline.search.figure import draw_frontier, table
from offline.search.space import BEFORE, DEFAULT, configuration, draw, given
from sae.config import SaeConfig

pytestmark = pytest.mark.train

STEPS = 0.01


@pytest.fixture(scope="module")
def bench():
    world = make_synthetic(SyntheticConfig(items=400, users=500), seed=1)
    return Bench.build(world, seed=0, device="cpu")


def test_the_default_point_is_the_default_configuration():
    base = SaeConfig.for_data(64, 3706, 6040)
    assert configuration(DEFAULT, base, 64) == base


def test_the_point_before_is_another():
    base = SaeConfig.for_data(64, 3706, 6040)
    before = configuration(BEFORE, base, 64, steps=0.5)
    assert (before.stage2.k_items, before.temperature, before.stage2.learning_rate) == (8, 0.25, 1e-2)
    assert (before.stage1.steps, before.stage2.steps) == (base.stage1.steps // 2, base.stage2.steps // 2)


class Corner:
    """A trial that always draws the lowest or the highest of every range."""

    def __init__(self, high):
        self.high = high

    def suggest_float(self, _, low, high, **__):
        return high if self.high else low

    def suggest_categorical(self, _, choices):
        return choices[-1 if self.high else 0]


@pytest.mark.parametrize("high", [False, True])
@pytest.mark.parametrize("dim", [8, 16, 64, 256])
def test_every_corner_of_the_space_is_a_configuration(dim, high):
    config = configuration(draw(Corner(high)), SaeConfig.for_data(dim, 2000, 3000), dim)
    assert config.stage2.k_items <= config.latents // 4
    assert set(draw(Corner(high))) == set(DEFAULT)


def test_deciding_and_reporting_share_no_user_and_no_item(bench):
    assert not set(bench.search_panel.users) & set(bench.report_panel.users)
    assert bench.deciding.sum() == len(bench.deciding) // 2
    assert len(bench.search_panel.users) == len(bench.search_panel.seen)


def test_purity_across_chooses_on_one_half_and_scores_on_the_other():
    # 200 items. Latent 0 fires on the concept's items of the deciding half and on strangers of the other half; latent 1
    # on half of its members on both sides.
    members = np.zeros((1, 200), bool)
    members[0, :50] = members[0, 100:150] = True
    deciding = np.arange(200) < 100
    dense = np.zeros((200, 2), np.float32)
    dense[:50, 0] = 2.0
    dense[150:, 0] = 2.0
    dense[:, 1] = np.where(np.arange(200) % 2, 1.0, 0.0)
    figures = purity_across(SparseCodes.from_dense(dense), members, deciding)
    assert figures["heldout@10"] == figures["heldout@50"] == 0.0
    assert figures["attainable@50"] == 1.0
    # On all items latent 0's ties go to the lower rows, which are members.
    assert purity_of_all(SparseCodes.from_dense(dense), members) == [1.0, 1.0, 1.0]


def test_a_study_goes_on_and_confirms_once(bench, tmp_path):
    told = []
    study = studies.open_study(tmp_path, "s", seed=0)
    studies.search(study, bench, trials=2, steps=STEPS, seed=0, device="cpu", tell=told.append)
    again = studies.open_study(tmp_path, "s", seed=0)
    studies.search(again, bench, trials=3, steps=STEPS, seed=0, device="cpu", tell=told.append)
    assert [text.split(":")[0] for text in told] == ["trial 0", "trial 1", "trial 2"]
    trials = studies.complete(again)
    assert (trials[0].params, trials[1].params) == (DEFAULT, BEFORE)
    assert trials[2].params not in (DEFAULT, BEFORE)
    front = studies.frontier(again)
    assert front
    for one in front:
        assert not any(other.values[0] > one.values[0] and other.values[1] > one.values[1] for other in trials)

    points = {"default": DEFAULT, "default before": BEFORE}
    lines = studies.confirm(tmp_path, bench, points, (0,), device="cpu", tell=told.append, steps=STEPS)
    assert [(line["name"], line["seed"]) for line in lines] == [("default", 0), ("default before", 0)]
    before = (tmp_path / studies.CONFIRMED).read_text()
    (tmp_path / studies.CONFIRMED).write_text(before + '{"cut o')
    assert studies.confirm(tmp_path, bench, points, (0,), device="cpu", tell=told.append, steps=STEPS) == lines
    assert len(told) == 5

    rows = table(lines).splitlines()
    assert len(rows) == 4
    assert f"{lines[0]['purity@10']:.3f} / {lines[0]['purity@20']:.3f}" in rows[2]
    values = [(trial.values[0], trial.values[1]) for trial in trials]
    default = studies.default_values(again)
    assert default == values[0]
    draw_frontier(values, values[:1], lines, tmp_path / "frontier.svg", default)
    drawing = (tmp_path / "frontier.svg").read_text()
    assert drawing.count(">default<") == 2  # in the legend of the trials, and beside its confirmed point
    assert "default before" in drawing
    assert "held-out purity / attainable" in drawing


@pytest.mark.data
def test_the_command_writes_what_it_found(tmp_path, capsys, data_dir):
    archive = str(data_dir / "ml-100k.zip")
    arguments = ["--dataset", "ml-100k", "--data", archive, "--out", str(tmp_path), "--trials", "1", "--steps", "0.005"]
    assert main(arguments) == 0
    document = json.loads((tmp_path / "search.json").read_text())
    assert [trial["number"] for trial in document["trials"]] == document["frontier"] == [0]
    assert document["trials"][0]["point"] == DEFAULT
    assert "genre:film-noir" not in document["concepts"]  # 24 films: too few to halve
    assert "genre:drama" in document["concepts"]
    assert "1 trials, 1 on the frontier" in capsys.readouterr().out


def test_a_data_set_that_is_not_there_is_refused(tmp_path, capsys):
    assert main(["--data", str(tmp_path / "no.zip"), "--out", str(tmp_path), "--trials", "1"]) == 2
    assert capsys.readouterr().err.startswith("refused: ")


def test_a_point_of_one_s_own_is_what_differs_from_the_default(tmp_path, capsys):
    assert given('{"width": 8}') == {**DEFAULT, "width": 8}
    for text in ('{"widht": 8}', "[1]", "width=8"):
        assert main(["--out", str(tmp_path), "--trials", "1", "--point", text]) == 2
        told = capsys.readouterr().err
        assert told.startswith(f"refused: --point: found {text}, expected a JSON object with keys of norm_power, ")


def test_points_are_tried_next_and_once(tmp_path):
    own = {**DEFAULT, "width": 8}
    for _ in range(2):
        study = studies.open_study(tmp_path, "s", seed=0, points=[own])
        waiting = [trial.system_attrs["fixed_params"] for trial in study.get_trials()]
        assert waiting == [DEFAULT, BEFORE, own]
