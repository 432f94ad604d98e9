"""examples/custom_recommender, typed as its first lines say."""

import os
import re
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest

from bundle import load_bundle
from offline.train_sae import main
from tests.conftest import ROOT

pytestmark = pytest.mark.train

SCRIPT = ROOT / "examples" / "custom_recommender" / "recommender.py"


def test_the_example_ends_in_a_bundle_that_holds_its_networks(tmp_path):
    told = SCRIPT.read_text().split('"""')[1].replace("\\\n", " ")
    make, train = (line.split() for line in re.findall(r"^    (python .*)$", told, flags=re.MULTILINE))
    assert make[1:] == ["examples/custom_recommender/recommender.py", "mine"]
    folder = tmp_path / "mine"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(SCRIPT), str(folder)],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("400 items and 300 users")

    assert train[:3] == ["python", "-m", "offline.train_sae"]
    quick = tmp_path / "quick.yaml"
    quick.write_text("sae: {latents: 48, batch_users: 32, batch_items: 64, stage1: {steps: 99}, stage2: {steps: 30}}\n")
    typed = [word.replace("mine", str(folder)) for word in train[3:]]
    assert main([*typed, "--config", str(quick), "--no-calibrate", "--no-evaluate"]) == 0
    bundle = load_bundle(folder / "bundle")
    assert (bundle.manifest.recommender, bundle.manifest.scorer, bundle.manifest.history_length) == (
        "custom",
        "network",
        20,
    )
    ranking = bundle.manifest.provenance["ranking"]
    assert ranking["recommender"]["ndcg@10"] > ranking["popularity"]["ndcg@10"]
    session = onnxruntime.InferenceSession(folder / "bundle" / "user_tower.onnx", providers=["CPUExecutionProvider"])
    (users,) = session.run(None, {"history": np.array([[0] * 18 + [3, 9]])})
    assert users.shape == (1, 24)
