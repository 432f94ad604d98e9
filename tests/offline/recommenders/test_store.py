import numpy as np
import pytest
from safetensors.numpy import save_file
from torch import nn

from bundle.errors import DataError, TrainingError
from offline.datasets.types import Embeddings
from offline.recommenders.base import TrainedRecommender
from offline.recommenders.registry import CONFIGS, make_recommender
from offline.recommenders.store import load, save

pytestmark = pytest.mark.train


def tables(metric="dot"):
    return Embeddings(np.ones((3, 2), np.float32), np.zeros((4, 2), np.float32), None, metric)


def test_the_metric_is_kept(tmp_path):
    save(TrainedRecommender("mf", tables("cosine")), tmp_path / "a")
    assert load(tmp_path / "a").embeddings.metric == "cosine"


def test_modules_of_an_owner_are_refused(tmp_path):
    with pytest.raises(DataError) as caught:
        save(TrainedRecommender("custom", tables(), nn.Linear(2, 1)), tmp_path / "a")
    assert str(caught.value) == (
        "recommender custom: found modules that this project did not build, expected mf, ncf or sasrec. "
        "Keep your own modules yourself, as ONNX: offline.export_torch."
    )


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"half")
    with pytest.raises(TrainingError, match=r"a: found not readable .* Train the recommender again\."):
        load(tmp_path / "a")


def test_tensors_of_something_else_are_refused(tmp_path):
    save_file({"items": np.ones(3, np.float32)}, tmp_path / "a")
    with pytest.raises(TrainingError) as caught:
        load(tmp_path / "a")
    assert str(caught.value) == (
        f"{tmp_path / 'a'}: format: found None, expected 'tiller.recommender.1'. Train the recommender again."
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_recommenders_by_name(name):
    assert make_recommender(name).name == name


def test_an_unknown_name_is_refused():
    with pytest.raises(DataError, match=r"^recommender: found 'svd', expected one of mf, ncf, sasrec\.$"):
        make_recommender("svd")


@pytest.mark.parametrize(
    ("tower", "length", "found"), [(None, 5, "5 without a user tower"), (nn.Linear(2, 1), 0, "0 with a user tower")]
)
def test_a_tower_and_its_length_go_together(tower, length, found):
    with pytest.raises(DataError, match=f"^recommender custom: history_length: found {found}, expected"):
        TrainedRecommender("custom", tables(), user_tower=tower, history_length=length)
