"""What a request asks of a scorer. Legend: D embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from server.bits import BitArray
from server.retrieval import Gain, Posting
from server.steerable import Steerable
from server.types import FloatArray, IntArray, Ranking

ScoreArray = npt.NDArray[np.float64]


class Asked(Protocol):
    """What a request asks of a scorer."""

    def search(self, n: int, allowed: BitArray | None) -> Ranking:
        """The unsteered best ``n`` of the allowed items."""
        ...

    def best_members(self, steerables: Sequence[Steerable], n: int, allowed: BitArray | None) -> list[FloatArray]:
        """Unsteered scores of each one's ``n`` best allowed members (the posting list's core), descending."""
        ...

    def posting(self, steerable: Steerable) -> Posting | None:
        """The items a promotion can touch, as ``steered`` wants them; None: it needs none."""
        ...

    def steered(self, k: int, gains: Sequence[Gain], allowed: BitArray | None, base: Ranking | None) -> Ranking:
        """Top ``k`` by score plus gains; ``base``: this embedding's own unsteered list, when it is at hand."""
        ...

    def scores(self, rows: IntArray) -> ScoreArray:
        """Unsteered scores of some items, [len(rows)]."""
        ...

    def elsewhere(self, rows: IntArray, deltas: FloatArray) -> ScoreArray:
        """Unsteered scores that some items would have if their embeddings were moved by ``deltas`` [len(rows), D].

        Under cosine an embedding is its unit vector, and the moved one is brought back to unit length.
        """
        ...

    def moved(self, displacements: Sequence[FloatArray]) -> Asked:
        """The same question from a place further on, by each displacement [D] in turn."""
        ...

    def moves(self, displacements: Sequence[FloatArray], rows: IntArray) -> ScoreArray:
        """What each displacement adds to some items' scores, [displacements, len(rows)]; they sum to the whole."""
        ...
