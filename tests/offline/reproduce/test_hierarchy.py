"""A hierarchy that is planted: one general latent over two fine ones."""

from __future__ import annotations

import numpy as np
import pytest

from bundle import SparseCodes
from bundle.sae import Activation, SaeWeights, TowerWeights
from offline.reproduce.hierarchy import children, describe, levels, prefix_variance, trend

pytestmark = pytest.mark.train

NAMES = ["rock", "metal", "punk", "jazz"]
PREFIXES = (2, 4)


def planted() -> tuple[SparseCodes, np.ndarray]:
    """80 items: 40 rock, of which 20 metal and 20 punk; 40 jazz. Latents: rock, jazz | metal, punk."""
    item = np.arange(80)
    members = np.array([item < 40, item < 20, (item >= 20) & (item < 40), item >= 40])
    codes = np.zeros((80, 4), np.float32)
    codes[members[0], 0] = 1
    codes[members[3], 1] = 1
    codes[members[1], 2] = 1
    codes[members[2], 3] = 1
    return SparseCodes.from_dense(codes), members


def test_latents_are_described_by_their_tag() -> None:
    codes, members = planted()
    rows = describe(codes, members, NAMES)
    assert [row["tag"] for row in rows] == ["rock", "jazz", "metal", "punk"]
    assert [row["support"] for row in rows] == [0.5, 0.5, 0.25, 0.25]
    assert [row["purity"] for row in rows] == [1, 1, 1, 1]


def test_levels_shrink() -> None:
    codes, members = planted()
    rows = describe(codes, members, NAMES)
    first, second = levels(rows, PREFIXES)
    assert (first["active"], first["support"], first["tag_share"]) == (2, 0.5, 0.5)
    assert (second["from"], second["to"], second["support"]) == (2, 4, 0.25)
    assert trend(rows, PREFIXES) == {"support": pytest.approx(-1), "tag_share": pytest.approx(-1)}


def test_children_lie_inside_their_parent() -> None:
    codes, members = planted()
    rows = describe(codes, members, NAMES)
    rock, jazz = children(codes, rows, PREFIXES, parents=2, each=2)
    assert rock["tag"] == "rock"
    assert [(child["tag"], child["inside"], child["lift"]) for child in rock["children"]] == [
        ("metal", 1, 2),
        ("punk", 1, 2),
    ]
    assert [child["lift"] for child in jazz["children"]] == [0, 0]


def test_an_empty_level_has_no_medians() -> None:
    assert levels([], (2,)) == [
        {"from": 0, "to": 2, "active": 0, "support": None, "tag_share": None, "purity": None, "auc": None}
    ]


def test_variance_grows_with_the_prefix() -> None:
    items = np.array([[3, 0], [-3, 0], [0, 1], [0, -1]], np.float32)
    directions = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], np.float32)
    nothing = np.zeros(2, np.float32)
    tower = TowerWeights(directions.T.copy(), np.zeros(4, np.float32), directions, nothing, nothing, Activation("relu"))
    # The first two latents hold 18 of the 20 squares.
    assert prefix_variance(SaeWeights(tower, tower, normalise=False), items, (2, 4)) == pytest.approx([0.9, 1])
