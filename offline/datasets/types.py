"""What every source of data hands on. Legend: N items, U users, M interactions, D embedding."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bundle import Metric

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Interactions:
    """Who took what: row numbers of ``Dataset.users`` and ``Dataset.items``.

    ``user``, ``item`` int32 [M]; ``order`` int64 [M], larger is later, only comparable within one user (a time stamp or
    a position); ``weight`` float32 [M], a count or rating, 1 where there is none.
    """

    user: npt.NDArray[np.int32]
    item: npt.NDArray[np.int32]
    order: npt.NDArray[np.int64]
    weight: FloatArray

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Interactions:
        """The interactions of the given rows (indices or mask)."""
        return Interactions(self.user[rows], self.item[rows], self.order[rows], self.weight[rows])


@dataclass(frozen=True)
class Dataset:
    """Items, users and what happened between them.

    ``items``: string columns ``item_id`` (unique) and ``title`` first, then metadata columns: string or list<string>
    become concept families, numbers become interval families. ``user_ids`` unique. ``truth`` is what the planted world
    knows about itself (empty for real data): ``item_concepts`` bool [N, C], ``concept_names``, ...
    """

    name: str
    items: pa.Table
    user_ids: list[str]
    interactions: Interactions | None
    provenance: dict[str, object] = field(default_factory=dict)
    truth: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Embeddings:
    """A frozen two-tower recommender: score of item v for user u is ``users[u] . items[v] + item_bias[v]`` or cosine.

    ``items`` [N, D], ``users`` [U, D], ``item_bias`` [N] or None; float32; rows follow the Dataset.
    """

    items: FloatArray
    users: FloatArray
    item_bias: FloatArray | None
    metric: Metric
