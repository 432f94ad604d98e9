"""What is done is not done again; what is half there or another's is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bundle.errors import TrainingError
from offline.reproduce.store import Store, plain

pytestmark = pytest.mark.train


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    made.close()


class Work:
    """Counts how often it is done."""

    def __init__(self) -> None:
        self.times = 0

    def data(self) -> dict[str, object]:
        self.times += 1
        return {"n": np.int64(self.times), "missing": np.nan, "list": np.array([1.5, np.inf])}

    def arrays(self) -> tuple[dict[str, np.ndarray], dict[str, object]]:
        self.times += 1
        return {"a": np.full((2, 2), self.times)}, {"dead": 0.5}


def test_a_unit_is_made_once_and_again_when_its_facts_change(store: Store) -> None:
    work = Work()
    first = store.data("one", {"seed": 0}, work.data)
    assert {key: first[key] for key in ("n", "missing", "list")} == {"n": 1, "missing": None, "list": [1.5, None]}
    assert store.data("one", {"seed": 0}, work.data) == first
    assert store.data("one", {"seed": 1}, work.data)["n"] == 2
    assert (store.made, store.found) == (2, 1)


def test_arrays_come_back_as_they_were(store: Store) -> None:
    work = Work()
    made, about = store.arrays("a", {}, work.arrays)
    again, told = store.arrays("a", {}, work.arrays)
    assert again["a"].tolist() == made["a"].tolist() == [[1, 1], [1, 1]]
    assert told == about
    assert about["dead"] == 0.5
    assert work.times == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"fingerprint": "x"}'])
def test_a_damaged_file_is_made_anew(store: Store, content: bytes) -> None:
    work = Work()
    (store.folder / "one.json").write_bytes(content)
    (store.folder / "a.safetensors").write_bytes(content)
    assert store.data("one", {}, work.data)["n"] == 1
    assert store.arrays("a", {}, work.arrays)[0]["a"][0, 0] == 2


def test_a_failure_leaves_nothing_half_written(store: Store) -> None:
    def stumble() -> dict[str, object]:
        return {"bad": object()}

    with pytest.raises(TypeError):
        store.data("one", {}, stumble)
    assert [path.name for path in store.folder.iterdir()] == [".lock"]


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(TrainingError, match="another run at work in it"):
        Store(tmp_path)
    store.close()
    Store(tmp_path).close()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="cannot be written"):
        Store(tmp_path / "file")


def test_the_file_says_what_it_holds(store: Store) -> None:
    store.data("one", {"seed": 3}, lambda: {"x": 1})
    document = json.loads((store.folder / "one.json").read_text())
    assert document["facts"] == {"seed": 3}
    assert plain({1: (np.float32(0.5), None)}) == {"1": [0.5, None]}
