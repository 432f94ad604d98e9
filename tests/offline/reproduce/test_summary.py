"""Means over seeds and how they are shown; archives found in a folder; members of a world."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle.errors import DataError
from offline.reproduce.panels import able_users
from offline.reproduce.summary import Figure, at, cell, over
from offline.reproduce.worlds import _archive, make_world
from tests.offline.reproduce import tiny

pytestmark = pytest.mark.train


def test_one_seed_has_no_spread_and_none_no_figure() -> None:
    assert Figure.of([0.5]) == Figure(0.5, None)
    assert Figure.of([None, None]) is None
    assert Figure.of([0.2, None, 0.4]) == Figure(pytest.approx(0.3), pytest.approx(0.1))


def test_cells_say_mean_and_spread() -> None:
    assert cell(Figure(0.7456, 0.0031)).shown == "0.746 ± 0.003"
    assert cell(Figure(0.051, None), 1, percent=True).shown == "5.1 %"
    assert cell(None).value is None


def test_a_part_without_the_figure_does_not_count() -> None:
    parts = [{"a": {"b": 1}}, {}, None, {"a": {"b": None}}]
    assert over(parts, at("a", "b")) == Figure(1.0, None)


def test_an_archive_is_found_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "ml-1m").mkdir()
    assert _archive("ml-1m", tmp_path).name == "ml-1m"
    (tmp_path / "ml-1m-rebuilt.zip").touch()
    assert _archive("ml-1m", tmp_path).name == "ml-1m-rebuilt.zip"
    (tmp_path / "ml-1m.zip").touch()
    with pytest.raises(DataError, match=r"found ml-1m-rebuilt\.zip, ml-1m\.zip like ml-1m\*"):
        _archive("ml-1m", tmp_path)


def test_a_world_counts_training_users_and_knows_its_concepts() -> None:
    world = make_world(tiny.dataset("ml-1m"), "paper")
    assert world.members.shape == (len(world.names), world.items)
    genres = world.dataset.items["genre"].to_pylist()
    drama = world.concept("Drama")
    assert [n for n, own in enumerate(genres) if "Drama" in (own or [])] == np.flatnonzero(drama).tolist()
    train = world.split.train
    item = int(train.item[0])
    assert world.popularity[item] == len(set(train.user[train.item == item].tolist()))
    assert world.facts["protocol"] == "paper"
    assert np.isfinite(world.years).all()


def test_only_users_with_an_unseen_test_item_are_able() -> None:
    world = make_world(tiny.dataset("ml-1m"), "temporal")
    # Whoever took a test item before has nothing to find.
    test = world.split.test
    again = replace(world, split=world.split._replace(train=test))
    assert able_users(again).tolist() == []
    seen = set(zip(world.split.train.user.tolist(), world.split.train.item.tolist(), strict=True))
    pairs = zip(test.user.tolist(), test.item.tolist(), strict=True)
    assert able_users(world).tolist() == sorted({user for user, item in pairs if (user, item) not in seen})
