"""Ways to steer a concept as lists at a dose, through any frozen scorer (metric or network).

``item``: the item channel as served, gain = max(label, read-out). ``item_codes``: the same by the read-out of held-out
items alone, no label. ``latent``: one latent of the user moved, residual kept (the query channel along one latent).
``papers``: the same latent set, residual dropped, as published. Doses are in each way's own unit: the user's concept
gap (bundle.dose) on the item side, the 90th percentile of the users' activation on the user side; 0 is each way's
resting state, which for ``papers`` is the latent at zero. Legend: U users, N items, K list length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bundle import SaeWeights, SparseCodes
from offline.evaluate.doses import Base
from offline.evaluate.latents import best_latent
from offline.evaluate.methods import Direction, bounded
from offline.evaluate.panel import BoolArray, FloatArray, IntArray, Panel, best_lists
from offline.evaluate.subject import POSTING_FLOOR
from offline.label.config import LabelConfig
from offline.label.halves import cross_fit, stratified_halves
from offline.label.readouts import Features
from offline.reproduce.quality import Judge
from offline.reproduce.ranker import Ranker

ListsAt = Callable[[float], IntArray]
"""Lists [U, K] at a dose."""

NAMES = {
    "item": "item channel, as served",
    "item_codes": "item channel, codes only (held out)",
    "latent": "user channel, one latent, residual kept",
    "papers": "papers: latent set, residual dropped",
    "block": "papers: latent set after block 0",
}

DOSES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
LARGEST_DOSE = 32.0


class Ways:
    """Every way for one recommender, SAE and panel."""

    def __init__(self, ranker: Ranker, weights: SaeWeights, codes: SparseCodes, panel: Panel, *, k: int = 10) -> None:
        self.ranker, self.weights, self.codes, self.panel, self.k = ranker, weights, codes, panel, k
        self.users = ranker.trained.embeddings.users[panel.users]
        self.base = Base.of(panel.masked(ranker(self.users)), k)
        self._features = Features.of(codes, ranker.trained.embeddings.items)
        self._scale = weights.scale(self.users)
        self._code = weights.encode(self.users, "user")

    def of(self, members: BoolArray, direction: Direction, *, seed: int = 0) -> dict[str, ListsAt]:
        """Ways for the concept with ``members`` [N] (at least 4 in and out)."""
        config = LabelConfig()
        halves = stratified_halves(members, np.arange(len(members)), np.random.default_rng(seed))
        read = bounded(cross_fit("logistic", self._features, members, halves, config).scores, members)
        latent = best_latent(self.codes, members)
        return {
            "item": self.item(np.maximum(read, members.astype(np.float32)), direction),
            "item_codes": self.item(read, direction),
            "latent": self.latent(latent, direction, keep=True),
            "papers": self.latent(latent, direction, keep=False),
        }

    def item(self, gain: FloatArray, direction: Direction) -> ListsAt:
        """Score + dose x the user's concept gap x gain [N]."""
        if direction == "suppress":
            column, unit = gain, -self.base.demote_units(gain)
        else:
            column = np.where(gain >= POSTING_FLOOR, gain, np.float32(0))
            unit = self.base.promote_units(gain)
        step = unit[:, None] * column
        return lambda dose: best_lists(self.base.scores + np.float32(dose) * step, self.k)

    def latent(self, latent: int, direction: Direction, *, keep: bool) -> ListsAt:
        """Move (``keep`` the residual) or set (drop it) one latent of every user."""
        sign = -1 if direction == "suppress" else 1
        active = self._code[:, latent][self._code[:, latent] > 0]
        unit = float(np.quantile(active, 0.9)) if len(active) else float(self.codes.latent_scale()[latent])

        def lists(dose: float) -> IntArray:
            code = self._code.copy()
            if keep:
                code[:, latent] += np.float32(sign * dose * unit)
                moved = self.users + self.weights.delta(code - self._code, self._scale, "user")
            else:
                code[:, latent] = np.float32(sign * dose * unit)
                moved = self.weights.decode(code, self._scale, "user")
            return best_lists(self.panel.masked(self.ranker(np.asarray(moved, np.float32))), self.k)

        return lists


def response(ways: Mapping[str, ListsAt], judge: Judge, members: BoolArray, doses: Sequence[float]) -> dict[str, Any]:
    """Per way one row per dose: what ``Judge`` says, with ``dose``."""
    return {name: [{"dose": dose} | judge(lists(dose), members) for dose in doses] for name, lists in ways.items()}


def reach(
    lists: ListsAt, judge: Judge, members: BoolArray, target: float, direction: Direction, *, steps: int = 7
) -> dict[str, Any] | None:
    """The judge's row at the smallest dose that brings the share to ``target``, by bisection; None: no dose does."""

    def there(row: Mapping[str, Any]) -> bool:
        share = float(row["share"])
        return share <= target if direction == "suppress" else share >= target

    low, high = 0.0, 1.0
    row = judge(lists(0.0), members)
    if there(row):
        return {"dose": 0.0} | row
    row = judge(lists(high), members)
    while not there(row):
        if high >= LARGEST_DOSE:
            return None
        low, high = high, 2 * high
        row = judge(lists(high), members)
    for _ in range(steps):
        middle = (low + high) / 2
        tried = judge(lists(middle), members)
        if there(tried):
            high, row = middle, tried
        else:
            low = middle
    return {"dose": high} | row
