"""Whole runs whose recommender is a network: NCF, SASRec, and one's own, as files and as torch modules."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from bundle import load_bundle
from bundle.errors import DataError, TrainingError
from offline.config import PipelineConfig
from offline.datasets.synthetic import make_synthetic
from offline.export_torch import export_scorer, export_user_tower
from offline.pipeline import run
from offline.recommenders.histories import Histories
from offline.recommenders.ncf import NcfScorer
from offline.recommenders.sasrec import SasRecConfig, SasRecTower
from offline.recommenders.split import temporal
from tests.offline.own_data import QUICK, WORLD, write_tables
from tests.offline.test_pipeline import Told

pytestmark = pytest.mark.train

SMALL = {
    "ncf": {"dim": 16, "epochs": 4, "batch_users": 64},
    "sasrec": {"dim": 16, "epochs": 4, "max_length": 20},
}
LOOK = {"steering_users": 30, "fewest_users": 20, "fidelity_users": 30, "max_concepts": 2}


def config(out: Path, name: str, **options: object) -> PipelineConfig:
    wanted = {
        "dataset": "synthetic",
        "world": WORLD,
        "recommender": name,
        "recommender_options": SMALL[name],
        "sae": QUICK,
        "evaluate": False,
        "calibrate": False,
    }
    return PipelineConfig(out=out, **(wanted | options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = write_tables(tmp_path_factory.mktemp("tables"))
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(made["items"]).drop_columns(["bias"]), made["items"])
    return made


@pytest.fixture
def network(tables: dict[str, Path]) -> NcfScorer:
    torch.manual_seed(0)
    return NcfScorer(np.load(tables["item_vectors"]).shape[1]).eval()


def own(tables: dict[str, Path], out: Path, **options: object) -> PipelineConfig:
    given = {"items": tables["items"], "users": tables["users"], "sae": QUICK, "evaluate": False, "calibrate": False}
    return PipelineConfig(out=out, **(given | options))  # type: ignore[arg-type]


def test_ncf_ends_in_a_bundle_whose_graph_scores(tmp_path: Path) -> None:
    out = tmp_path / "ncf"
    manifest = run(config(out, "ncf", evaluate=True, evaluation=LOOK))
    assert (manifest.recommender, manifest.scorer, manifest.history_length) == ("ncf", "network", 0)
    assert {"scorer.onnx", "evaluation.json"} <= set(manifest.files)
    contents = load_bundle(out).contents
    assert contents.user_vectors is not None
    session = onnxruntime.InferenceSession(out / "scorer.onnx", providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"user": contents.user_vectors[:5], "items": contents.item_vectors})
    assert scores.shape == (5, 300)
    assert np.isfinite(scores).all()
    ranking = manifest.provenance["ranking"]
    assert set(ranking) == {"protocol", "recommender", "popularity", "item_knn"}
    document = json.loads((out / "evaluation.json").read_text())
    assert document["fidelity"]["variants"]["error_preserving"]["rbo_extrapolated"] == pytest.approx(1.0)
    assert {"item", "query"} <= {row["method"] for row in document["steering"]["rows"]}


def test_sasrec_ends_in_a_bundle_whose_tower_makes_its_users(tmp_path: Path) -> None:
    out = tmp_path / "sasrec"
    manifest = run(config(out, "sasrec"))
    assert (manifest.recommender, manifest.scorer, manifest.history_length) == ("sasrec", "metric", 20)
    contents = load_bundle(out).contents
    assert (contents.item_bias, contents.user_tower_onnx) == (None, out / "user_tower.onnx")
    interactions = make_synthetic(WORLD, seed=0).interactions
    assert interactions is not None
    known = Histories.of(temporal(interactions).train, 240)
    windows = known.windows(np.arange(240), known.lengths(), 20)
    session = onnxruntime.InferenceSession(out / "user_tower.onnx", providers=["CPUExecutionProvider"])
    (users,) = session.run(None, {"history": windows})
    assert users == pytest.approx(contents.user_vectors, abs=1e-4)


@pytest.mark.parametrize("name", ["ncf", "sasrec"])
def test_a_fit_killed_in_the_middle_goes_on(name: str, tmp_path: Path) -> None:
    straight = run(config(tmp_path / "straight", name))
    with pytest.raises(KeyboardInterrupt):
        run(config(tmp_path / "killed", name), Told(die_at=(f"training the recommender ({name})", 2)))
    assert (tmp_path / "killed.run" / "fit.safetensors").is_file()
    again = Told()
    resumed = run(config(tmp_path / "killed", name), again)
    assert [step for stage, step in again.steps if stage.startswith("training the recommender")] == [3, 4]
    assert resumed.files == straight.files


@pytest.mark.parametrize("protocol", ["paper", "leave_last_out"])
def test_another_protocol_is_another_run(protocol: str, tmp_path: Path) -> None:
    manifest = run(config(tmp_path / "out", "sasrec", protocol=protocol))
    assert manifest.provenance["ranking"]["protocol"].startswith(f"{protocol}:")
    assert manifest.provenance["config"]["protocol"] == protocol


def test_one_s_own_scorer_and_tower_as_files(tables: dict[str, Path], network: NcfScorer, tmp_path: Path) -> None:
    dim = network.user.in_features
    tower = SasRecTower(300, SasRecConfig(dim=dim, heads=1, max_length=7))
    tower.initialise(torch.Generator().manual_seed(0))
    export_scorer(network, tmp_path / "s.onnx", dim=dim)
    export_user_tower(tower.eval(), tmp_path / "t.onnx", history_length=7, n_items=300)
    out = tmp_path / "mine"
    manifest = run(own(tables, out, scorer=tmp_path / "s.onnx", user_tower=tmp_path / "t.onnx"))
    assert (manifest.recommender, manifest.scorer, manifest.history_length) == ("custom", "network", 7)
    for name, given in (("scorer.onnx", "s.onnx"), ("user_tower.onnx", "t.onnx")):
        assert (out / name).read_bytes() == (tmp_path / given).read_bytes()
    assert manifest.provenance["recommender"] == {"kind": "custom", "scorer": "s.onnx", "user_tower": "t.onnx"}


def test_one_s_own_torch_module(tables: dict[str, Path], network: NcfScorer, tmp_path: Path) -> None:
    export_scorer(network, tmp_path / "s.onnx", dim=network.user.in_features)
    as_file = run(own(tables, tmp_path / "file", scorer=tmp_path / "s.onnx"))
    as_module = run(own(tables, tmp_path / "module"), scorer=network)
    assert (as_module.recommender, as_module.scorer) == ("custom", "network")
    assert as_module.provenance["recommender"] == {"kind": "custom", "scorer": "NcfScorer"}
    assert (tmp_path / "module" / "scorer.onnx").read_bytes() == (tmp_path / "file" / "scorer.onnx").read_bytes()
    # The SAE was trained through the same function.
    first, second = (load_bundle(tmp_path / name).contents.sae.user.w_dec for name in ("file", "module"))
    assert first == pytest.approx(second, abs=0.02)
    assert as_file.dims == as_module.dims


def test_a_module_beside_a_file_or_a_data_set_is_refused(
    tables: dict[str, Path], network: NcfScorer, tmp_path: Path
) -> None:
    export_scorer(network, tmp_path / "s.onnx", dim=network.user.in_features)
    with pytest.raises(TrainingError, match=r"^scorer: found a module beside a file, expected own tables"):
        run(own(tables, tmp_path / "out", scorer=tmp_path / "s.onnx"), scorer=network)
    with pytest.raises(TrainingError, match=r"^scorer: found a module beside --dataset"):
        run(config(tmp_path / "out", "ncf"), scorer=network)


def test_a_scorer_beside_a_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"^input: found --dataset and own tables"):
        config(tmp_path / "out", "ncf", scorer=tmp_path / "s.onnx")


def test_a_scorer_beside_a_bias_is_refused(tables: dict[str, Path], network: NcfScorer, tmp_path: Path) -> None:
    biased = write_tables(tmp_path / "biased")
    with pytest.raises(DataError, match=r"^scorer: found an item bias beside it"):
        run(own(biased, tmp_path / "out"), scorer=network)


def test_a_recommender_beside_own_tables_is_refused(tables: dict[str, Path], tmp_path: Path) -> None:
    for given in ({"recommender": "ncf"}, {"recommender_options": {"dim": 8}}):
        with pytest.raises(TrainingError, match=r"^recommender: found asked for beside own tables, expected --dataset"):
            own(tables, tmp_path / "out", **given)


def test_a_protocol_without_interactions_is_refused(tables: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as refused:
        run(own(tables, tmp_path / "out", protocol="paper"))
    assert str(refused.value) == "protocol paper: found no interactions, expected --interactions to hold out."
    assert not (tmp_path / "out.run").exists()


def test_keys_of_another_recommender_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as refused:
        config(tmp_path / "out", "sasrec", recommender_options={"max_lenght": 20})
    assert str(refused.value).startswith("recommender: max_lenght: found an unknown key, expected one of dim, blocks,")
    assert str(refused.value).endswith("Did you mean max_length?")


def test_an_unknown_recommender_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="'mf', 'ncf' or 'sasrec'"):
        PipelineConfig(out=tmp_path / "out", dataset="synthetic", recommender="svd")  # type: ignore[arg-type]
