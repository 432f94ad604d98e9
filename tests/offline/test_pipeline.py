"""Whole runs on a small planted world: from tables to a bundle that loads, killed and resumed, refused early."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from bundle import Bundle, load_bundle
from bundle.errors import BundleExists, DataError, TrainingError
from offline.config import PipelineConfig
from offline.pipeline import run
from offline.progress import Quiet
from offline.summary import evaluation_lines
from tests.offline.own_data import QUICK, WORLD, write_tables

pytestmark = pytest.mark.train

MF = {"dim": 16, "epochs": 5}


class Told(Quiet):
    """Remembers what it was told; pulls the plug when the SAE has come to ``die_at`` (stage, step)."""

    def __init__(self, die_at: tuple[str, int] | None = None) -> None:
        self.stages: list[str] = []
        self.said: list[str] = []
        self.steps: list[tuple[str, int]] = []
        self.closed = 0
        self._die_at = die_at

    def stage(self, title: str) -> None:
        self.stages.append(title)

    def step(self, done: int, total: int | None, figures: Mapping[str, float]) -> None:  # noqa: ARG002
        self.steps.append((self.stages[-1], done))
        if self._die_at is not None and (self.stages[-1], done) == self._die_at:
            raise KeyboardInterrupt

    def say(self, text: str) -> None:
        self.said.append(text)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_tables(tmp_path_factory.mktemp("tables"))


def own(tables: dict[str, Path], out: Path, names: tuple[str, ...], **options: object) -> PipelineConfig:
    given = {name: tables[name] for name in names}
    return PipelineConfig(out=out, **({"sae": QUICK, "evaluate": False} | given | options))  # type: ignore[arg-type]


def synthetic(out: Path, **options: object) -> PipelineConfig:
    wanted = {"dataset": "synthetic", "world": WORLD, "recommender_options": MF, "sae": QUICK, "evaluate": False}
    return PipelineConfig(out=out, **(wanted | options))  # type: ignore[arg-type]


def offered(bundle: Bundle) -> set[str]:
    return {concept.id for concept in bundle.contents.concepts.concepts if concept.offered}


@pytest.fixture(scope="module")
def from_parquet(tables: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Told]:
    out, ui = tmp_path_factory.mktemp("out") / "mine", Told()
    run(own(tables, out, ("items", "users", "interactions"), name="Mine"), ui)
    return load_bundle(out), ui


def test_own_parquet_to_a_bundle(from_parquet: tuple[Bundle, Told]) -> None:
    bundle, ui = from_parquet
    manifest, contents = bundle.manifest, bundle.contents
    assert (manifest.name, manifest.recommender, manifest.metric) == ("Mine", "embeddings", "dot")
    assert (manifest.dims.items, manifest.dims.users, manifest.dims.latents) == (300, 240, 48)
    assert contents.item_bias is not None
    assert {"genre:drama", "genre:comedy"} <= offered(bundle)
    qualities = [c.quality for c in contents.concepts.concepts if c.offered]
    assert np.mean([quality.auc for quality in qualities if quality is not None]) > 0.75
    assert {curve.concept for curve in contents.calibration.curves} == offered(bundle)
    assert contents.calibration.check is not None
    assert not bundle.path.with_name("mine.run").exists()
    assert ui.stages == [
        "reading tables",
        "ranking against popularity",
        "training the SAE, stage 1",
        "training the SAE, stage 2",
        "naming concepts",
        "calibrating the dial",
        "writing and verifying the bundle",
    ]
    assert ui.closed == 1


def test_the_stored_codes_are_those_of_the_stored_sae(from_parquet: tuple[Bundle, Told]) -> None:
    contents = from_parquet[0].contents
    np.testing.assert_array_equal(contents.item_codes.dense(), contents.sae.encode(contents.item_vectors, "item"))


def test_provenance_holds_what_a_rerun_needs(from_parquet: tuple[Bundle, Told]) -> None:
    provenance = from_parquet[0].manifest.provenance
    assert provenance["seed"] == 0
    assert provenance["sae"]["config"]["stage1"]["steps"] == 120
    assert set(provenance["sae"]["metrics"]) >= {"explained_variance_items", "l0_users", "dead_share"}
    assert {len(digest) for digest in provenance["data"]["files"].values()} == {64}
    assert set(provenance["data"]["files"]) == {"items.parquet", "users.parquet", "interactions.parquet"}
    assert {"data", "ranking", "sae", "concepts"} <= set(provenance["seconds"])
    assert {"python", "numpy", "torch", "scikit-learn"} <= set(provenance["versions"])
    ranking = provenance["ranking"]
    # The world's own utilities rank better than counting does.
    assert ranking["recommender"]["ndcg@10"] > ranking["popularity"]["ndcg@10"] > 0


def test_npy_gives_the_same_bundle_as_parquet(
    tables: dict[str, Path], tmp_path: Path, from_parquet: tuple[Bundle, Told]
) -> None:
    names = ("item_vectors", "item_ids", "user_vectors", "user_ids", "interactions")
    manifest = run(own(tables, tmp_path / "npy", names, name="Mine"))
    assert manifest.files == from_parquet[0].manifest.files


def test_without_interactions_and_with_cosine(tables: dict[str, Path], tmp_path: Path) -> None:
    items = tmp_path / "items.parquet"
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(tables["items"]).drop_columns(["bias", "popularity"]), items)
    config = PipelineConfig(
        out=tmp_path / "cosine",
        items=items,
        users=tables["users"],
        metric="cosine",
        columns=("genre",),
        store_users=False,
        sae=QUICK,
        evaluate=False,
    )
    manifest = run(config)
    bundle = load_bundle(tmp_path / "cosine")
    assert manifest.provenance["ranking"] is None
    assert (manifest.metric, manifest.dims.users) == ("cosine", 0)
    assert {concept.family for concept in bundle.contents.concepts.concepts} == {"genre"}


def test_a_data_set_trains_its_recommender_first(tmp_path: Path) -> None:
    ui = Told()
    manifest = run(synthetic(tmp_path / "demo", keep_run=True), ui)
    assert (manifest.name, manifest.recommender, manifest.dims.embedding) == ("synthetic", "mf", 16)
    assert manifest.provenance["recommender"]["config"]["epochs"] == 5
    assert ("training the recommender (mf)", 5) in ui.steps
    assert (tmp_path / "demo.run" / "recommender.safetensors").is_file()


def test_a_killed_run_goes_on_and_ends_in_the_same_bundle(tmp_path: Path) -> None:
    straight = run(synthetic(tmp_path / "straight"))
    killed = Told(die_at=("training the SAE, stage 2", 30))
    with pytest.raises(KeyboardInterrupt):
        run(synthetic(tmp_path / "killed"), killed)
    assert not (tmp_path / "killed").exists()
    again = Told()
    resumed = run(synthetic(tmp_path / "killed"), again)
    assert again.said[:2] == [
        f"Going on with the run in {tmp_path / 'killed.run'}.",
        "The recommender is trained already.",
    ]
    sae_steps = [step for step in again.steps if step[0].startswith("training the SAE")]
    assert sae_steps[0] == ("training the SAE, stage 2", 30)  # from the checkpoint of step 20
    assert resumed.files == straight.files
    assert not (tmp_path / "killed.run").exists()


def test_another_configuration_starts_anew(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    with pytest.raises(KeyboardInterrupt):
        run(synthetic(out), Told(die_at=("training the SAE, stage 1", 40)))
    ui = Told(die_at=("training the SAE, stage 1", 10))
    with pytest.raises(KeyboardInterrupt):
        run(synthetic(out, seed=1), ui)
    assert ui.said[0] == (
        f"The unfinished run in {tmp_path / 'mine.run'} is thrown away: it is of another configuration or other data."
    )


def test_no_resume_starts_anew(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    with pytest.raises(KeyboardInterrupt):
        run(synthetic(out), Told(die_at=("training the SAE, stage 1", 40)))
    ui = Told(die_at=("training the SAE, stage 1", 10))
    with pytest.raises(KeyboardInterrupt):
        run(synthetic(out, resume=False), ui)
    assert ui.said[0] == f"The unfinished run in {tmp_path / 'mine.run'} is thrown away: as asked."


def test_an_occupied_output_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    ui = Told()
    with pytest.raises(BundleExists) as refused:
        run(synthetic(out), ui)
    assert str(refused.value) == f"{out} is there already. Choose another folder, or pass --replace."
    with pytest.raises(BundleExists, match="is there and is not a bundle"):
        run(synthetic(out, replace=True), ui)
    assert ui.stages == []
    assert not out.with_name("mine.run").exists()


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    out = tmp_path / "file" / "mine"
    with pytest.raises(TrainingError) as refused:
        run(synthetic(out))
    assert str(refused.value) == (
        f"{out}.run: found cannot be written (Not a directory), expected a folder beside --out for checkpoints. "
        "Choose another --out, or make room."
    )


def test_a_refused_input_leaves_nothing_behind(tables: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError):
        run(own(tables, tmp_path / "mine", ("items", "users"), columns=("gnere",)))
    assert list(tmp_path.iterdir()) == []


def test_replace_puts_the_new_bundle_in_the_old_one_s_place(
    tables: dict[str, Path], tmp_path: Path, from_parquet: tuple[Bundle, Told]
) -> None:
    out = tmp_path / "mine"
    shutil.copytree(from_parquet[0].path, out)
    second = run(own(tables, out, ("items", "users"), replace=True, seed=5))
    assert second.bundle_id != from_parquet[0].manifest.bundle_id
    assert load_bundle(out).manifest.bundle_id == second.bundle_id


def test_the_evaluation_is_written_beside_the_bundle(tables: dict[str, Path], tmp_path: Path) -> None:
    ui = Told()
    options = {"steering_users": 40, "fewest_users": 20, "fidelity_users": 40, "max_concepts": 3}
    names = ("items", "users", "interactions")
    manifest = run(own(tables, tmp_path / "demo", names, evaluate=True, evaluation=options), ui)
    assert "evaluation.json" in manifest.files
    document = json.loads((tmp_path / "demo" / "evaluation.json").read_text())
    assert document["recommender"] == manifest.provenance["ranking"]
    assert document["steering"]["concepts"] == 3
    assert [row["stage"] for row in document["history"]].count("stage2") == 6
    assert {"item_decoded"} <= {row["method"] for row in document["steering"]["rows"]}
    steered = [c.steered for c in load_bundle(tmp_path / "demo").contents.concepts.concepts if c.steered is not None]
    assert [(found.users, found.channel in {"item", "query"}) for found in steered] == [(40, True)] * 3
    assert document["provenance"]["data"] == manifest.provenance["data"]
    assert "measuring fidelity and steering" in ui.stages
    assert manifest.provenance["seconds"]["evaluation"] > 0
    assert "<h1>Evaluation of demo</h1>" in (tmp_path / "demo" / "evaluation.html").read_text()
    lines = evaluation_lines(tmp_path / "demo" / "evaluation.json")
    assert any("of a list is unchanged when there is no rule" in line for line in lines)
    assert not any("popularity" in line for line in lines)
