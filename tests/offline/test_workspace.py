from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bundle.errors import TrainingError
from offline.datasets.types import Embeddings
from offline.recommenders.base import TrainedRecommender
from offline.workspace import Workspace

pytestmark = pytest.mark.train


def embeddings(bias: bool) -> Embeddings:
    rng = np.random.default_rng(0)
    items, users = rng.normal(size=(5, 3)).astype(np.float32), rng.normal(size=(4, 3)).astype(np.float32)
    return Embeddings(items, users, rng.normal(size=5).astype(np.float32) if bias else None, "dot")


@pytest.mark.parametrize("bias", [True, False])
def test_the_recommender_is_remembered(tmp_path: Path, bias: bool) -> None:
    workspace = Workspace(tmp_path / "mine")
    workspace.claim({"seed": 0}, resume=True)
    assert workspace.recall() is None
    given = embeddings(bias)
    workspace.remember(TrainedRecommender("mf", given, facts={"seed": 3}))
    workspace.release(delete=False)
    again = Workspace(tmp_path / "mine")
    assert again.claim({"seed": 0}, resume=True) == f"Going on with the run in {tmp_path / 'mine.run'}."
    known = again.recall()
    assert known is not None
    np.testing.assert_array_equal(known.embeddings.items, given.items)
    np.testing.assert_array_equal(known.embeddings.users, given.users)
    assert (known.embeddings.item_bias is not None) == bias
    assert (known.name, known.facts) == ("mf", {"seed": 3})
    again.release(delete=True)
    assert not again.folder.exists()


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    first = Workspace(tmp_path / "mine")
    with pytest.raises(TrainingError) as refused:
        Workspace(tmp_path / "mine")
    assert str(refused.value) == (
        f"{tmp_path / 'mine.run'}: found another run at work in it. Wait for it, or choose another --out."
    )
    first.release(delete=False)
    Workspace(tmp_path / "mine").release(delete=False)


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    folder = tmp_path / "mine.run"
    folder.mkdir()
    (folder / "thesis.txt").write_text("dear")
    with pytest.raises(TrainingError) as refused:
        Workspace(tmp_path / "mine")
    assert str(refused.value) == (
        f"run folder {folder}: found files of something else (thesis.txt), expected a run folder or nothing. "
        "Move them away, or choose another --out."
    )
    assert (folder / "thesis.txt").read_text() == "dear"


def test_a_damaged_memory_says_what_to_do(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "mine")
    workspace.claim({}, resume=True)
    (workspace.folder / "recommender.safetensors").write_bytes(b"half")
    with pytest.raises(TrainingError, match=r"not readable .* Delete the run folder, or pass --no-resume\."):
        workspace.recall()
    workspace.release(delete=True)


def test_a_damaged_marker_is_another_run_s(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "mine")
    workspace.claim({}, resume=True)
    (workspace.folder / "run.json").write_text("[half")
    assert workspace.claim({}, resume=True).endswith("it is of another configuration or other data.")
    workspace.release(delete=True)
