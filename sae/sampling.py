"""Which users and items make a training step; a function of (seed, stage, step), so a resumed run draws the same.

A step has ``batch_users`` users and ``batch_items`` items (all of them where there are fewer). ``uniform``: without
replacement. ``interactions``: from observed pairs, so active users and popular items come as often as they act, and
pair j = (users[j], items[j]) is an observed one. ``mixed``: the first half from interactions, the rest uniform.
``shown``: users uniform; half of the items in proportion to how many users' current top lists hold them
(sae.shown), the rest uniform from the others: a list-wise loss then looks where the lists are made. A stage without a
prediction term draws uniformly: what latents mean should not hang on what is popular.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sae.config import PairSampling

IntArray = npt.NDArray[np.int64]


class Draw(NamedTuple):
    """Row numbers of one step."""

    users: IntArray
    items: IntArray


class Sampler:
    """Draws steps."""

    def __init__(
        self,
        n_users: int,
        n_items: int,
        batch_users: int,
        batch_items: int,
        *,
        pairs: tuple[IntArray, IntArray] | None,
        kind: PairSampling,
        seed: int,
        shown: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self.counts = (n_users, n_items)
        self.sizes = (min(batch_users, n_users), min(batch_items, n_items))
        self.pairs = pairs
        self.observed = {"uniform": 0.0, "shown": 0.0, "mixed": 0.5, "interactions": 1.0}[kind]
        self.shown = shown
        self.seed = seed

    def draw(self, stage: int, step: int, *, predicts: bool = True) -> Draw:
        """Rows of one step of one stage; ``predicts``: it has a prediction term."""
        rng = np.random.default_rng([self.seed, stage, step])
        if self.pairs is None or self.observed == 0:
            users = self._uniform(rng, 0, self.sizes[0])
            return Draw(
                users, self._shown(rng) if predicts and self.shown is not None else self._uniform(rng, 1, self.sizes[1])
            )
        taken = [round(self.observed * size) for size in self.sizes]
        rows = rng.integers(0, len(self.pairs[0]), max(taken))
        parts = [
            np.concatenate([self.pairs[side][rows[: taken[side]]], self._uniform(rng, side, size - taken[side])])
            for side, size in enumerate(self.sizes)
        ]
        return Draw(parts[0], parts[1])

    def _shown(self, rng: np.random.Generator) -> IntArray:
        """Half by weight without replacement, as the largest of ``u^(1/w)`` (Efraimidis & Spirakis 2006), half not."""
        assert self.shown is not None
        some = np.flatnonzero(self.shown)
        order = np.argsort(np.log(rng.random(len(some))) / self.shown[some])[::-1]
        first = some[order[: self.sizes[1] // 2]]
        # As many as a whole step has: however many of them are among the first, enough are left.
        others = self._uniform(rng, 1, self.sizes[1])
        rest = others[~np.isin(others, first)][: self.sizes[1] - len(first)]
        return np.concatenate([first, rest]).astype(np.int64)

    def _uniform(self, rng: np.random.Generator, side: int, size: int) -> IntArray:
        drawn: IntArray = rng.choice(self.counts[side], size, replace=False)
        return drawn
