"""One curve: shares measured at a ladder of doses, turned round into the dose of every strength.

Legend: U users, N items, K list length, R rungs of the ladder, S strengths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from offline.evaluate.doses import Base
from offline.evaluate.methods import Line
from offline.evaluate.panel import BoolArray, IntArray
from offline.evaluate.steering import Lists
from offline.evaluate.window import share_of

FloatArray = npt.NDArray[np.float64]

FANS = 25
"""Fans of a concept are one user of so many: those whose unsteered lists hold most of it."""


def shares_at(line: Line, base: Base, members: BoolArray, doses: Sequence[float]) -> FloatArray:
    """Mean share of the members in the top K at each dose, [R]; exact (offline.evaluate.window)."""
    lists = Lists(line, base)
    return np.array([share_of(lists.at(dose), members) for dose in doses])


def turned_round(
    ladder: Sequence[float], measured: FloatArray, strengths: Sequence[float], *, falling: bool, near: float
) -> tuple[FloatArray, FloatArray]:
    """Doses [S] and shares [S] of the strengths, from the shares [R] measured at the ladder's doses.

    The shares at strength s lie at ``first + s (reach - first)``, the reach being the best that any rung gave. Strength
    1 takes the smallest dose that is within ``near`` of it: the last thousandths cost doses without measure. Where
    no dose gains anything (a direction of the query channel that does not move the concept), every strength is a dose
    of 0: a rule that could only do harm does nothing, and its curve says that its reach is poor.
    """
    rungs = np.asarray(ladder, np.float64)
    # More dose never counts as less effect: what noise takes back is not given to the dial (law 6).
    effect = np.maximum.accumulate(measured[0] - measured if falling else measured - measured[0])
    end = int(np.argmax(effect >= effect[-1] - near))
    if end == 0:
        return np.zeros(len(strengths)), np.full(len(strengths), measured[0])
    wanted = np.asarray(strengths, np.float64) * effect[end]
    # Equal effects leave flat parts, where the smallest dose is meant.
    rising = np.concatenate([[True], np.diff(effect[: end + 1]) > 0])
    doses = np.interp(wanted, effect[: end + 1][rising], rungs[: end + 1][rising])
    shares = measured[0] - wanted if falling else measured[0] + wanted
    return doses, np.clip(shares, 0, 1)


def dose_for_fans(
    lists: Callable[[float], IntArray], members: BoolArray, ladder: Sequence[float], *, least: float, left: float
) -> float:
    """The dose of the ladder, from ``least`` on, that takes a concept from its fans, too.

    ``least`` leaves the mean user nothing; whoever is shown little else needs more. It is the rung after the one where
    the fans keep at most ``left`` of their share, because the keenest of all users are not among the sampled; where no
    dose does, the first that leaves them least.
    """
    shown = lists(0.0)
    held = (members[np.maximum(shown, 0)] & (shown >= 0)).sum(1)
    fans = np.argsort(-held, kind="stable")[: max(1, len(held) // FANS)]
    rungs = [dose for dose in ladder if dose >= least]
    shares = np.array([share_of(lists(dose)[fans], members) for dose in rungs])
    enough = shares <= left * share_of(shown[fans], members)
    return rungs[min(int(np.argmax(enough)) + 1, len(rungs) - 1) if enough.any() else int(np.argmin(shares))]
