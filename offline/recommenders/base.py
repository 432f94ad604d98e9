"""What a recommender of this project is: a fit that ends in frozen embeddings and, where it has them, modules.

Legend: U users, N items, M interactions, D embedding, B users of a batch, n items of a block, T positions of a history.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel
from torch import nn

from bundle.errors import DataError
from offline.datasets.types import Embeddings, Interactions

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called as ``progress(epoch, total, metrics)`` after every epoch, counted from 1."""

ConfigT_contra = TypeVar("ConfigT_contra", bound=BaseModel, contravariant=True)


@dataclass(frozen=True)
class NetworkEmbeddings(Embeddings):
    """Embeddings under a ``network``: ``forward(users [B, D], items [n, D]) -> [B, n]``; the metric says nothing."""

    network: nn.Module


@dataclass(frozen=True)
class TrainedRecommender:
    """A recommender that will not learn any more: its modules are in eval mode and ask for no gradient.

    ``name``: mf, ncf, sasrec, popularity or custom. ``scorer``: a network in place of the embeddings' own metric,
    ``forward(users [B, D], items [n, D]) -> [B, n]`` raw logits. ``user_tower``: ``forward(history int64 [B, T]) ->
    [B, D]``, item row + 1, 0 is padding on the left, the newest item last. ``history_length``: T of the tower, 0
    without one. ``facts``: configuration, seconds, epochs and figures, as JSON can hold them.
    """

    name: str
    embeddings: Embeddings
    scorer: nn.Module | None = None
    user_tower: nn.Module | None = None
    history_length: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for module in (self.scorer, self.user_tower):
            if module is not None:
                module.eval().requires_grad_(False)
        if (self.user_tower is None) != (self.history_length == 0):
            raise DataError(
                f"recommender {self.name}: history_length",
                found=f"{self.history_length} {'without' if self.user_tower is None else 'with'} a user tower",
                expected="the length of the histories that the tower reads, 0 without one",
            )

    @property
    def scored(self) -> Embeddings:
        """The embeddings together with what scores them."""
        if self.scorer is None:
            return self.embeddings
        tables = self.embeddings
        return NetworkEmbeddings(tables.items, tables.users, tables.item_bias, tables.metric, self.scorer)


class Recommender(Protocol[ConfigT_contra]):
    """Learns from interactions; the same interactions, configuration and seed give the same model on the CPU."""

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
        checkpoint: Path | None = None,
    ) -> TrainedRecommender:
        """A model of all ``n_users`` and ``n_items`` rows, also of those nobody touched; every number is finite.

        ``checkpoint``: a file that keeps an unfinished fit, so that the same call goes on from the last epoch; those
        that are done in seconds do not use it.
        """
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
