"""Ways to steer a concept as lists at a dose, through any frozen scorer (metric or network).

``item``: the item channel as served, gain = max(label, read-out). ``item_codes``: the same by the read-out alone, no
label; it is the better one of audience and decoded codes, each item scored as if it had no label (offline.label).
``_ordered``: the same items in the order of their unsteered scores, as ORDER_BASE of a request asks for. ``latent``:
one latent of the user moved, residual kept (the query channel along one latent). ``papers``: the same latent set,
residual dropped, as published. Doses are in each way's own unit: the user's concept gap (bundle.dose) on the item side,
the 90th percentile of the users' activation on the user side; 0 is each way's resting state, which for ``papers`` is
the latent at zero. Legend: U users, N items, K list length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from bundle import SaeWeights, SparseCodes
from offline.calibrate.config import CalibrateConfig
from offline.calibrate.curves import dose_for_fans, turned_round
from offline.datasets.types import Interactions
from offline.evaluate.doses import Base
from offline.evaluate.latents import best_latent
from offline.evaluate.methods import Direction, bounded
from offline.evaluate.panel import BoolArray, FloatArray, IntArray, Panel, best_lists
from offline.evaluate.steering import in_base_order
from offline.evaluate.subject import POSTING_FLOOR
from offline.evaluate.window import share_of
from offline.label.audience import Audience
from offline.label.config import LabelConfig
from offline.label.left_out import LeftOut
from offline.label.soft_step import STEP, step
from offline.reproduce.quality import Judge
from offline.reproduce.ranker import Ranker

ListsAt = Callable[[float], IntArray]
"""Lists [U, K] at a dose."""

NAMES = {
    "item": "item channel, as served",
    "item_ordered": "item channel, as served, in base order",
    "item_codes": "item channel, codes only (held out)",
    "item_codes_ordered": "item channel, codes only, in base order",
    "latent": "user channel, one latent, residual kept",
    "papers": "papers: latent set, residual dropped",
    "block": "papers: latent set after block 0",
}

LABELLING = LabelConfig()
READ_BY: dict[str, Any] = {"labelling": LABELLING.model_dump(mode="json"), "step": STEP}
"""What a steering unit depends on besides its SAE: the read-outs as they are now."""

DOSES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
LARGEST_DOSE = 32.0


class Ways:
    """Every way for one recommender, SAE and panel."""

    def __init__(
        self,
        ranker: Ranker,
        weights: SaeWeights,
        codes: SparseCodes,
        panel: Panel,
        taken: Interactions | None = None,
        *,
        k: int = 10,
    ) -> None:
        """``taken``: interactions of training, for the read-out by audience and the weight of an item in the fits."""
        self.ranker, self.weights, self.codes, self.panel, self.k = ranker, weights, codes, panel, k
        self.users = ranker.trained.embeddings.users[panel.users]
        self.base = Base.of(panel.masked(ranker(self.users)), k)
        audience, popularity = None, None
        if taken is not None:
            audience = Audience(ranker.trained.embeddings.users, taken.user, taken.item)
            popularity = np.bincount(taken.item, minlength=len(codes))
        self._read = LeftOut.of(codes, weights, LABELLING, popularity, audience)
        self._scale = weights.scale(self.users)
        self._code = weights.encode(self.users, "user")

    def of(self, members: BoolArray, direction: Direction) -> dict[str, ListsAt]:
        """Ways for the concept with ``members`` [N] (at least one in and one out)."""
        scores = [own[0] for own in self._read.scores(members[None]).values()]
        best = max(scores, key=lambda own: float(average_precision_score(members, own)))
        read = bounded(step(best, members), members)
        latent = best_latent(self.codes, members)
        item = self.item(np.maximum(read, members.astype(np.float32)), direction)
        by_codes = self.item(read, direction)
        return {
            "item": item,
            "item_ordered": self.ordered(item),
            "item_codes": by_codes,
            "item_codes_ordered": self.ordered(by_codes),
            "latent": self.latent(latent, direction, keep=True),
            "papers": self.latent(latent, direction, keep=False),
        }

    def ordered(self, lists: ListsAt) -> ListsAt:
        """The same lists in the order of the unsteered scores."""
        return lambda dose: in_base_order(self.base, lists(dose))

    def item(self, gain: FloatArray, direction: Direction) -> ListsAt:
        """Score + dose x the user's concept gap x gain [N]."""
        if direction == "suppress":
            column, unit = gain, -self.base.demote_units(gain)
        else:
            column = np.where(gain >= POSTING_FLOOR, gain, np.float32(0))
            unit = self.base.promote_units(gain)
        change = unit[:, None] * column
        # Asked for again in the other order, and for every target: tens of doses of K items each are kept.
        return cache(lambda dose: best_lists(self.base.scores + np.float32(dose) * change, self.k))

    def latent(self, latent: int, direction: Direction, *, keep: bool) -> ListsAt:
        """Move (``keep`` the residual) or set (drop it) one latent of every user."""
        sign = -1 if direction == "suppress" else 1
        active = self._code[:, latent][self._code[:, latent] > 0]
        unit = float(np.quantile(active, 0.9)) if len(active) else float(self.codes.latent_scale()[latent])

        @cache
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


def full_demotion(lists: ListsAt, members: BoolArray) -> float:
    """The dose of demote 1 as a bundle's dial has it: it leaves at most 1 % more than any dose, to fans as to all."""
    config = CalibrateConfig()
    measured = np.array([share_of(lists(dose), members) for dose in config.ladder])
    near = config.left * float(measured[0])
    doses, _ = turned_round(config.ladder, measured, (0.0, 1.0), falling=True, near=near)
    return dose_for_fans(lists, members, config.ladder, least=float(doses[-1]), left=config.left)
