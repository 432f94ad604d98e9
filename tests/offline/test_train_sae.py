"""The command itself: what it prints, what it refuses and with which exit code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bundle import load_bundle
from offline.train_sae import main
from tests.conftest import ROOT
from tests.offline.own_data import QUICK, write_tables

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_tables(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A --config file that trains in a second."""
    return configured(tmp_path_factory.mktemp("config"), {"sae": QUICK})


def configured(folder: Path, document: object) -> Path:
    file = folder / "config.yaml"
    with file.open("w") as handle:
        YAML(typ="safe", pure=True).dump(document, handle)
    return file


def told(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    out, err = capsys.readouterr()
    return out, " ".join(err.split())


def refuse(arguments: list[object], capsys: pytest.CaptureFixture[str]) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    out, err = told(capsys)
    assert out == ""
    return err


def test_tables_to_a_bundle_and_a_summary(
    tables: dict[str, Path], quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    given = ["--items", tables["items"], "--users", tables["users"], "--interactions", tables["interactions"]]
    assert main([*map(str, given), "--config", str(quick), "--out", str(out), "--no-evaluate", "--name", "Mine"]) == 0
    text, log = told(capsys)
    bundle = load_bundle(out)
    ranking = bundle.manifest.provenance["ranking"]
    assert re.search(rf"recommender +{ranking['recommender']['ndcg@10']:.4f}", text)
    assert re.search(rf"popularity +{ranking['popularity']['ndcg@10']:.4f}", text)
    assert "SAE: 48 latents, explained variance" in text
    assert f"Concepts: {bundle.manifest.dims.concepts} offered" in text
    assert re.search(r"genre:drama +\d+ +0\.\d{3} +[01]\.\d\d +[01]\.\d\d +[01]\.\d\d", text)
    assert f"Bundle {bundle.manifest.bundle_id} (Mine) in {out}" in text
    assert f"  tiller serve --bundle {out} --port 50051\n" in text
    assert f"  tiller concepts list --bundle {out}\n" in text
    assert re.search(r"  tiller recommend --user u00000 --promote \S+ --k 10\n", text)
    assert "naming concepts: done in" in log
    assert bundle.manifest.provenance["config"]["sae"]["latents"] == 48
    command = bundle.manifest.provenance["command"]
    assert command[:4] == ["python", "-m", "offline.train_sae", "--items"]
    assert command[-2:] == ["--name", "Mine"]


def test_flags_win_over_the_file(
    tables: dict[str, Path], quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    given = ["--items", tables["items"], "--users", tables["users"], "--config", quick, "--out", out, "--no-evaluate"]
    knobs = ["--latents", "40", "--k-items", "3", "--k-users", "7", "--activation", "batchtopk", "--columns", "genre"]
    assert main([*map(str, given), *knobs, "--seed", "4"]) == 0
    manifest = load_bundle(out).manifest
    sae = manifest.provenance["sae"]["config"]
    assert (sae["latents"], sae["activation"], sae["seed"]) == (40, "batchtopk", 4)
    assert (sae["stage1"]["k_items"], sae["stage1"]["k_users"], sae["stage1"]["steps"]) == (3, 3, 120)
    assert (sae["stage2"]["k_items"], sae["stage2"]["k_users"]) == (3, 7)
    assert manifest.user_activation.kind == "threshold"
    capsys.readouterr()


def test_a_killed_process_is_resumed_by_the_same_command(
    tables: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real process, killed with SIGKILL while the SAE trains."""
    slow = configured(tmp_path, {"sae": {**QUICK, "stage1": {"steps": 1500}}})
    out = tmp_path / "mine"
    given = ["--items", tables["items"], "--users", tables["users"], "--config", slow, "--out", out, "--no-evaluate"]
    command = [sys.executable, "-m", "offline.train_sae", *map(str, given)]
    with subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as run:
        checkpoint = tmp_path / "mine.run" / "sae" / "checkpoint.safetensors"
        while run.poll() is None and not checkpoint.exists():
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL
    assert checkpoint.exists()
    assert not out.exists()
    assert main(list(map(str, given))) == 0
    _, log = told(capsys)
    assert f"Going on with the run in {out}.run." in log
    assert load_bundle(out).manifest.dims.items == 300
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "mine"]


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out, _ = capsys.readouterr()
    assert "python -m offline.train_sae --items items.parquet --users users.parquet --out bundles/mine" in " ".join(
        out.split()
    )
    for option in ("--item-vectors", "--dataset", "--k-items", "--replace", "--resume", "--device", "--config"):
        assert option in out


def test_without_arguments_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "--items" in "".join(capsys.readouterr())


def test_an_unknown_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert "No such option" in refuse(["--itmes", "x"], capsys)


def test_nothing_to_train_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refuse(["--out", tmp_path / "b"], capsys) == (
        "train: input: found nothing to train on, expected --items and --users, or --dataset. "
        "Look at the examples: python -m offline.train_sae --help"
    )


def test_items_without_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refuse(["--items", "items.parquet", "--out", tmp_path / "b"], capsys) == (
        "train: input: found items without users, expected --users TABLE.parquet, or --user-vectors X.npy with "
        "--user-ids IDS. The SAE reads both towers: a rule on the query channel edits a user."
    )


def test_two_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refuse(["--dataset", "synthetic", "--items", "i.parquet", "--out", tmp_path / "b"], capsys) == (
        "train: input: found --dataset and own tables, expected one of the two. Leave one out."
    )


def test_cosine_for_a_recommender_that_is_trained_for_products(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refuse(["--dataset", "synthetic", "--metric", "cosine", "--out", tmp_path / "b"], capsys) == (
        "train: metric: found cosine with recommender mf, expected dot, which it is trained for. Leave --metric out."
    )


def test_data_without_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refuse(["--data", "ml-1m.zip", "--out", tmp_path / "b"], capsys) == (
        "train: input: found --data without --dataset. Say which data set it is: --dataset."
    )


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--metric", "euclid"], "train: options: metric: found 'euclid', expected Input should be 'dot' or 'cosine'."),
        (
            ["--dataset", "ml-2m"],
            "train: options: dataset: found 'ml-2m', expected Input should be 'ml-1m', 'ml-100k', 'lastfm' or "
            "'synthetic'.",
        ),
        (["--seed", "-1"], "train: options: seed: found -1, expected Input should be greater than or equal to 0."),
    ],
    ids=["metric", "dataset", "seed"],
)
def test_values_that_cannot_be(
    flags: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refuse(["--out", tmp_path / "b", *flags], capsys) == sentence


SECTIONS = "sae, recommender, world, label, calibration, evaluation"


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (
            {"sae": {"latnets": 64}},
            "train: sae: latnets: found an unknown key, expected one of latents, ",
        ),
        ({"sae": {"stage1": {"step": 5}}}, "train: sae: stage1.step: found an unknown key, expected one of latents, "),
        ({"sae": {"latents": 1}}, "train: sae: latents: found 1, expected Input should be greater than or equal to 2."),
        ({"sae": {"latents": 8, "stage1": {"k_items": 9}}}, "train: sae: expected k_users and k_items must not exceed"),
        ({"label": {"min_acu": 0.7}}, "train: label: min_acu: found an unknown key, expected one of columns, "),
        ({"world": {"item": 300}}, "train: world: item: found an unknown key, expected one of items, "),
        ({"latents": {}}, f"an unknown section, expected one of {SECTIONS}. Keys of"),
        ([1, 2], f"found something else, expected sections {SECTIONS}, each with keys."),
    ],
    ids=["sae", "stage", "value", "sparsity", "label", "world", "section", "list"],
)
def test_a_config_that_cannot_be_is_refused_before_data_is_read(
    document: object, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(tmp_path, document)
    given = ["--items", "nowhere.parquet", "--users", "nowhere.parquet", "--config", config, "--out", tmp_path / "b"]
    assert sentence in refuse(given, capsys)
    assert list(tmp_path.iterdir()) == [config]


def test_the_nearest_key_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path, {"sae": {"stage2": {"prediction_listwsie": 2}}})
    given = ["--items", "nowhere.parquet", "--users", "nowhere.parquet", "--config", config, "--out", tmp_path / "b"]
    assert refuse(given, capsys).endswith("Did you mean stage2.prediction_listwise?")


def test_a_config_that_is_no_yaml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("sae: [")
    sentence = refuse(["--dataset", "synthetic", "--config", config, "--out", tmp_path / "b"], capsys)
    assert sentence.startswith(f"train: {config}: found not a YAML file that can be read (")


def test_an_output_that_is_taken(tables: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    assert refuse(["--items", tables["items"], "--users", tables["users"], "--out", out], capsys) == (
        f"train: {out} is there already. Choose another folder, or pass --replace."
    )


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "items.parquet"
    sentence = refuse(["--items", missing, "--users", missing, "--out", tmp_path / "b"], capsys)
    assert f"train: {missing}" in sentence
    assert list(tmp_path.iterdir()) == []
