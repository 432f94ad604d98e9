"""Both reproductions from end to end on a planted world: documents, pages, figures, and going on after a kill."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from offline.progress import Quiet
from offline.reproduce import bars, page
from offline.reproduce.arviv import run
from offline.reproduce.config import BETAS, DEPTHS
from offline.reproduce.run import reproduce
from offline.reproduce.store import Store
from offline.reproduce.ways import NAMES
from tests.offline.reproduce import tiny

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def planted() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        tiny.plant(patch)
        yield


@pytest.fixture(scope="module")
def arviv(planted: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    asked = tiny.config("arviv2025", tmp_path_factory.mktemp("arviv"))
    return reproduce(asked, plan=tiny.plan(asked)), asked.out


@pytest.fixture(scope="module")
def klenitskiy(planted: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    asked = tiny.config("klenitskiy2025", tmp_path_factory.mktemp("klenitskiy"))
    return reproduce(asked, plan=tiny.plan(asked)), asked.out


def test_the_bars_can_be_had_first(arviv: tuple[dict[str, Any], Path], planted: None, tmp_path: Path) -> None:
    asked = tiny.config("arviv2025", tmp_path).model_copy(update={"ours": True})
    alone = reproduce(asked, plan=tiny.plan(asked))
    assert [[sae["form"] for sae in setting["saes"]] for setting in alone["settings"]] == [["tiller"]] * 4
    assert alone["bars"] == arviv[0]["bars"]
    assert (tmp_path / "evaluation.html").stat().st_size > 10_000
    after = reproduce(asked.model_copy(update={"ours": False}), plan=tiny.plan(asked))
    assert after["units"] == arviv[0]["units"]


def test_every_setting_has_every_beta_and_ours(arviv: tuple[dict[str, Any], Path]) -> None:
    document, _ = arviv
    settings = document["settings"]
    assert [(s["dataset"], s["recommender"]) for s in settings] == [
        ("ml-1m", "mf"), ("ml-1m", "ncf"), ("lastfm", "mf"), ("lastfm", "ncf"),
    ]  # fmt: skip
    for setting in settings:
        assert [(sae["form"], sae["beta"]) for sae in setting["saes"]] == [
            *(("paper", beta) for beta in BETAS),
            ("tiller", None),
        ]
        for sae in setting["saes"]:
            assert sae["measured"]["fidelity"]["error_preserving"]["rbo_extrapolated"] == pytest.approx(1)
            assert set(sae["measured"]["purity"]["mean"]) == {str(k) for k in DEPTHS}
            assert ("steered" in sae) == (sae["beta"] in (None, 1.0))


def test_purity_never_exceeds_what_is_attainable(arviv: tuple[dict[str, Any], Path]) -> None:
    for setting in arviv[0]["settings"]:
        for sae in setting["saes"]:
            for concept in sae["measured"]["purity"]["concepts"]:
                for at in concept["at"].values():
                    assert at["all_items"] <= at["attainable"] + 1e-6
                    assert at["held_out"] <= at["attainable_half"] + 1e-6


def test_the_prediction_term_follows_beta(arviv: tuple[dict[str, Any], Path]) -> None:
    for setting in arviv[0]["settings"]:
        term = "prediction_cross_entropy" if setting["recommender"] == "ncf" else "prediction_block"
        weights = [sae["config"]["stage1"][term] for sae in setting["saes"] if sae["form"] == "paper"]
        assert weights == list(BETAS)


def test_item_promotion_reaches_disjoint_audiences(arviv: tuple[dict[str, Any], Path]) -> None:
    for setting in arviv[0]["settings"]:
        run = setting["saes"][-1]["promoted"]
        assert [entry["toward"] for entry in run["directions"]] == run["audiences"]
        assert all(row["target"] <= 1 for row in run["directions"][0]["ours"]["rows"])
        start, end = (run["directions"][0]["ours"]["rows"][n] for n in (0, -1))
        assert end["target"] > start["target"]
        assert start["rest_ndcg_kept"] == 1


def test_audiences_are_users_with_something_to_find(arviv: tuple[dict[str, Any], Path]) -> None:
    for setting in arviv[0]["settings"]:
        for sae in setting["saes"]:
            for part in sae.get("steered", ()):
                assert all(part["fans"][way]["ndcg_kept"] is not None for way in ("zeroed", "served", "served_codes"))


def test_the_steering_table_reaches_shares_and_judges_lists(klenitskiy: tuple[dict[str, Any], Path]) -> None:
    sequential = klenitskiy[0]["settings"][0]
    part = sequential["steered"][0]
    assert set(part["promote"]) == set(NAMES)
    for way in ("item", "item_codes", "latent"):
        assert part["promote"][way][0]["ndcg_kept"] == pytest.approx(1)
        assert part["promote"][way][0]["overlap"] == 1
    shares = [row["share"] for row in part["promote"]["item"]]
    assert shares == sorted(shares)
    for target, ways in part["promote_reached"].items():
        for row in ways.values():
            assert row is None or row["share"] >= float(target) - 1e-3
    assert {row["k"] for row in sequential["layers"][0]["saes"]} == {4}
    assert all(row["l0"] <= 4 for layer in sequential["layers"] for row in layer["saes"])


def test_candidates_are_as_many_as_latents(klenitskiy: tuple[dict[str, Any], Path]) -> None:
    for layer in klenitskiy[0]["settings"][0]["layers"]:
        assert layer["raw"]["candidates"]["rotated"] == layer["saes"][-1]["candidates"]["latents"]


def test_nested_latents_are_levels(klenitskiy: tuple[dict[str, Any], Path]) -> None:
    nested = klenitskiy[0]["settings"][1]
    assert [sae["form"] for sae in nested["saes"]] == ["matryoshka", "batchtopk"]
    for sae in nested["saes"]:
        assert sae["variance"] == sorted(sae["variance"])
        assert sae["prefixes"][-1] == sae["levels"][-1]["to"]


@pytest.mark.parametrize("paper", ["arviv", "klenitskiy"])
def test_what_lies_in_the_folder(paper: str, request: pytest.FixtureRequest) -> None:
    document, out = request.getfixturevalue(paper)
    assert json.loads((out / "evaluation.json").read_text()) == document
    html = (out / "evaluation.html").read_text()
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", html)
    assert html.count("<figure>") == len(page.drawings(document))
    for anchor in re.findall(r'<a href="#(\w+)"', html):
        assert f'<section id="{anchor}"' in html
    names = {path.name for path in (out / "figures").iterdir()}
    assert names == {f"{name}.{kind}" for name in page.drawings(document) for kind in ("png", "svg")}


def test_a_second_call_does_nothing_again_and_writes_the_same(
    klenitskiy: tuple[dict[str, Any], Path], planted: None
) -> None:
    document, out = klenitskiy
    before = {path: path.stat().st_mtime_ns for path in (out / "units").iterdir() if path.name != ".lock"}
    pages = (out / "evaluation.html").read_bytes()
    asked = tiny.config("klenitskiy2025", out)
    assert reproduce(asked, plan=tiny.plan(asked)) == document
    assert (out / "evaluation.html").read_bytes() == pages
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_seeds_and_protocols_stand_beside_each_other(planted: None, tmp_path: Path) -> None:
    asked = tiny.config("klenitskiy2025", tmp_path / "two").model_copy(update={"seeds": (0, 1)})
    document = reproduce(asked, plan=tiny.plan(asked))
    assert [(s["kind"], s["seed"]) for s in document["settings"]] == [
        ("sequential", 0), ("nested", 0), ("sequential", 1), ("nested", 1),
    ]  # fmt: skip
    values = [s["ranking"]["recommender"]["ndcg@10"] for s in document["settings"] if s["kind"] == "sequential"]
    row = document["bars"][0]
    assert row["ours"] == pytest.approx(sum(values) / 2)
    assert row["spread"] == pytest.approx(abs(values[0] - values[1]) / 2)
    assert f"{row['ours']:.3f} ± {row['spread']:.3f}" in (tmp_path / "two" / "evaluation.html").read_text()
    assert set(document["settings"][0]["steered"][0]["suppress_reached"]) == {"tenth"}


def test_a_page_of_two_seeds_and_two_protocols(arviv: tuple[dict[str, Any], Path]) -> None:
    document, _ = arviv
    again = [dict(setting, seed=1) for setting in document["settings"]]
    other = [
        dict(setting, protocol="temporal", saes=[
            {key: value for key, value in sae.items() if key not in ("pictured", "steered", "promoted")}
            for sae in setting["saes"]
        ])
        for setting in document["settings"]
    ]  # fmt: skip
    both = document | {"settings": [*document["settings"], *again, *other], "seeds": [0, 1]}
    html = page.render(both, page.drawings(both))
    assert "ML-1M, MF, temporal split" in html
    assert "± 0.000" in html


class Killer(Quiet):
    """Interrupts the run when a stage begins."""

    def __init__(self, at: str) -> None:
        self.at = at

    def stage(self, title: str) -> None:
        if self.at in title:
            raise KeyboardInterrupt


def test_a_killed_run_goes_on_to_the_same_document(
    klenitskiy: tuple[dict[str, Any], Path], planted: None, tmp_path: Path
) -> None:
    asked = tiny.config("klenitskiy2025", tmp_path)
    with pytest.raises(KeyboardInterrupt):
        reproduce(asked, Killer("steering"), tiny.plan(asked))
    done = {path.name for path in (tmp_path / "units").iterdir()}
    assert "ml-1m.leave_last_out.sasrec.seed0.safetensors" in done
    assert not [name for name in done if "unfinished" in name]
    assert not (tmp_path / "evaluation.json").exists()
    again = reproduce(asked, plan=tiny.plan(asked))

    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: timeless(part) for key, part in value.items() if key != "seconds"}
        return [timeless(part) for part in value] if isinstance(value, list) else value

    assert timeless(again) == timeless(klenitskiy[0])


def test_bars_are_judged_against_what_was_measured(arviv: tuple[dict[str, Any], Path]) -> None:
    rows = {(row["on"], row["metric"]): row for row in arviv[0]["bars"]}
    fidelity = rows["ML-1M, MF", "RBO"]
    tiller = arviv[0]["settings"][0]["saes"][-1]
    assert fidelity["ours"] == tiller["measured"]["fidelity"]["both"]["rbo"]
    assert fidelity["reached"] == (fidelity["ours"] >= 0.75)
    assert fidelity["published"] == "0.543"
    assert rows["Last.FM HetRec, MF", "suppress electronic for its fans, share left"]["reached"] is None
    dead = rows["ML-1M, MF", "dead latents"]
    assert dead["reached"] == (dead["ours"] <= 0.01)
    hit, known = bars.reached(arviv[0]["bars"])
    assert 0 <= hit <= known < len(rows)


def test_a_changed_size_makes_anew_what_depends_on_it_alone(arviv: tuple[dict[str, Any], Path], planted: None) -> None:
    _, out = arviv
    before = {path: path.stat().st_mtime_ns for path in (out / "units").iterdir()}
    asked = tiny.config("arviv2025", out)
    store = Store(out)
    run(asked, replace(tiny.plan(asked), promoted_items=1), store, Quiet())
    store.close()
    changed = {path.name for path, then in before.items() if path.stat().st_mtime_ns != then}
    assert changed == {path.name for path in before if path.name.endswith(".promoted.json")}
