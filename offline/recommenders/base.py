"""What a recommender of this project is: a fit that ends in frozen embeddings.

Legend: U users, N items, M interactions, D embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from pydantic import BaseModel

from bundle.errors import DataError
from offline.datasets.types import Embeddings, Interactions

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called as ``progress(epoch, total, metrics)`` after every epoch, counted from 1."""

ConfigT_contra = TypeVar("ConfigT_contra", bound=BaseModel, contravariant=True)


class Recommender(Protocol[ConfigT_contra]):
    """Learns from interactions; the same interactions, configuration and seed give the same embeddings on the CPU."""

    name: str

    def fit(
        self,
        interactions: Interactions,
        n_users: int,
        n_items: int,
        config: ConfigT_contra | None = None,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        device: str = "cpu",
    ) -> Embeddings:
        """Embeddings of all ``n_users`` and ``n_items`` rows, also of those nobody touched; every number is finite."""
        ...


def check_interactions(interactions: Interactions, n_users: int, n_items: int) -> None:
    """Raise DataError where there is nothing to learn from, or an interaction names a row that no table has."""
    if len(interactions) == 0:
        raise DataError("interactions", found="none", expected="at least one", hint="A recommender learns from them.")
    for name, rows, count in (("user", interactions.user, n_users), ("item", interactions.item, n_items)):
        low, high = int(rows.min()), int(rows.max())
        if low < 0 or high >= count:
            raise DataError(
                f"interactions: {name}",
                found=f"row {low if low < 0 else high}",
                expected=f"0 to {count - 1}",
                hint="Number the rows as in the tables.",
            )
