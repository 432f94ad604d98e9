"""What a retrieval backend must be able to do. Legend: N items, D' search dimension (D, or D + 1 with a bias)."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from server.types import FloatArray, Ranking


class Retriever(Protocol):
    """A backend. One contract suite (tests/server/retrieval) holds for all of them."""

    exact: bool
    """Whether the ranking is the true top n; what a backend cannot do, it declares."""

    def __len__(self) -> int: ...

    def search(self, query: FloatArray, n: int, allowed: npt.NDArray[np.uint8] | None = None) -> Ranking:
        """The best items of a query [D'], best first.

        At most ``min(n, allowed items)`` come back, each once; ``allowed`` are packed bits (server.bits), None allows
        all.
        """
        ...
