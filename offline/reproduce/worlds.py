"""A data set as the experiments see it: split, concepts as members, years, popularity. Legend: N items, C "
"concepts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle.errors import DataError
from offline.datasets import load_dataset
from offline.datasets.types import Dataset
from offline.label.candidates import find_candidates
from offline.label.config import LabelConfig
from offline.recommenders.split import Protocol, Split, hold_out

BoolArray = npt.NDArray[np.bool_]

FAMILY = {"ml-1m": "genre", "lastfm": "tag"}
"""The column whose values are the concepts of a data set."""

TITLES = {"ml-1m": "ML-1M", "lastfm": "Last.FM HetRec"}

FILES = {"ml-1m": "ml-1m*", "lastfm": "hetrec2011-lastfm*"}
"""How the archive, or the folder it was unpacked into, is found in the folder that --data names."""


@dataclass(frozen=True)
class World:
    """One data set under one protocol.

    ``names`` and ``members`` bool [C, N]: every genre or tag; ``years`` [N] (NaN: none); ``popularity`` [N], distinct
    training users of an item; ``facts``: what decides all that.
    """

    name: str
    protocol: str
    dataset: Dataset
    split: Split
    names: list[str]
    members: BoolArray
    years: npt.NDArray[np.float64]
    popularity: npt.NDArray[np.int64]
    facts: dict[str, Any]

    @property
    def key(self) -> str:
        """Its part of a unit's name."""
        return f"{self.name}.{self.protocol}"

    @property
    def items(self) -> int:
        """Number of items, N."""
        return int(self.dataset.items.num_rows)

    @property
    def users(self) -> int:
        """Number of users, U."""
        return len(self.dataset.user_ids)

    def concept(self, name: str) -> BoolArray:
        """Members of a concept, bool [N]."""
        return np.asarray(self.members[self.names.index(name)])


def make_world(dataset: Dataset, protocol: Protocol, *, seed: int = 0) -> World:
    """Split the interactions and read the concepts; ``seed`` draws a random test."""
    assert dataset.interactions is not None
    split = hold_out(dataset.interactions, protocol, seed=seed)
    family = FAMILY.get(dataset.name, "genre")
    found = find_candidates(dataset.items, LabelConfig(columns=(family,), max_per_family=10_000)).concepts
    n_items = dataset.items.num_rows
    years = np.full(n_items, np.nan)
    if "year" in dataset.items.column_names:
        years = dataset.items["year"].to_numpy(zero_copy_only=False).astype(np.float64)
    pairs = np.unique(split.train.user.astype(np.int64) * n_items + split.train.item)
    provenance = {key: dataset.provenance.get(key) for key in ("md5", "items", "users", "interactions", "order")}
    return World(
        name=dataset.name,
        protocol=protocol,
        dataset=dataset,
        split=split,
        names=[concept.display_name for concept in found],
        members=np.array([concept.members for concept in found], np.bool_).reshape(len(found), n_items),
        years=years,
        popularity=np.bincount(pairs % n_items, minlength=n_items),
        facts={"data": dataset.name, "protocol": protocol, "split_seed": seed, **provenance},
    )


def read(name: str, folder: Path | None) -> Dataset:
    """A data set from its archive in ``folder``, or downloaded.

    Raises:
        DataError: the folder holds no such archive, or more than one.
    """
    return load_dataset(name, None if folder is None else _archive(name, folder))


def _archive(name: str, folder: Path) -> Path:
    pattern = FILES[name]
    hits = [path for path in sorted(folder.glob(pattern)) if path.is_dir() or path.suffix == ".zip"]
    if len(hits) > 1:
        hits = [path for path in hits if path.suffix == ".zip"] or hits
    if len(hits) != 1:
        told = ", ".join(path.name for path in hits) or "none"
        raise DataError(
            f"{folder}",
            found=f"{told} like {pattern}",
            expected=f"one archive of {name}, or the folder it was unpacked into",
            hint="Check --data, or leave it out to download the archives.",
        )
    return hits[0]
