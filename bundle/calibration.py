"""calibration.json: what a strength means, measured per concept, channel, action and list length.

A strength is a place on the dial, from 0 (off) to 1 (all that the concept can reach). With ``b`` the mean unsteered
share of the concept in the top k and ``r`` the share at strength 1, a rule of strength s gives the mean share
``b + s (r - b)``; a demotion's r is near 0, so it leaves about ``1 - s`` of the exposure. The dose that does so is a
number of *units*, the user's own concept gap (bundle.dose), found offline on sampled users and checked on others
(docs/decisions/014). Legend: S strengths, K list lengths.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bundle import dose

Channel = Literal["item", "query"]
Action = Literal["promote", "demote"]
Share = Annotated[float, Field(ge=0, le=1)]

POOR_LEFT = 0.2
"""Part of the base share that a demotion of strength 1 may leave before its reach counts as poor."""

POOR_REACHED = 0.3
"""Share of the list that a promotion of strength 1 must reach."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Curve(_Frozen):
    """Doses of one rule at every calibrated strength, and the mean shares they gave on the calibration's users."""

    concept: str
    channel: Channel
    action: Action
    k: int = Field(ge=1, description="length of the list")
    base: Share = Field(description="mean share of the concept without a rule")
    units: tuple[Annotated[float, Field(ge=0)], ...] = Field(description="dose at each strength, never falling, [S]")
    shares: tuple[Share, ...] = Field(description="mean share at each strength, [S]")

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if len(self.units) != len(self.shares) or not self.units:
            raise ValueError(f"units and shares: found {len(self.units)} and {len(self.shares)}, expected as many")
        if self.units[0] != 0 or any(b < a for a, b in zip(self.units, self.units[1:], strict=False)):
            raise ValueError("units: expected to start at 0 and never to fall")
        return self

    @property
    def reach(self) -> float:
        """Mean share of the concept at strength 1."""
        return self.shares[-1]

    @property
    def poor(self) -> str:
        """One sentence where strength 1 does not do what its name promises; empty where it does."""
        if self.action == "demote" and self.base > 0 and self.reach > POOR_LEFT * self.base:
            return f"demote 1 leaves {self.reach / self.base:.0%} of {self.concept} on the {self.channel} channel"
        if self.action == "promote" and self.reach < max(POOR_REACHED, self.base):
            return f"promote 1 brings {self.concept} to {self.reach:.0%} of the list on the {self.channel} channel"
        return ""


class CheckRow(_Frozen):
    """One curve on users it was not found on: the share that the dial says and the share that was measured."""

    concept: str
    channel: Channel
    action: Action
    k: int = Field(ge=1)
    dial: tuple[Share, ...] = Field(description="at each checked strength")
    measured: tuple[Share, ...] = Field(description="at each checked strength")
    segments: tuple[Share, ...] = Field(description="mean |measured - dial| within each segment of the users")

    @property
    def error(self) -> float:
        """Mean |measured share - dial share|."""
        return float(np.mean(np.abs(np.subtract(self.measured, self.dial))))


class DialCheck(_Frozen):
    """How far the dial was off on users it was not found on: |measured share - dial share|, means."""

    users: int = Field(ge=0)
    strengths: tuple[Share, ...] = Field(description="checked strengths, of promotions and of demotions")
    segments: tuple[str, ...] = Field(description="segments of the users, from light to heavy")
    rows: tuple[CheckRow, ...]

    def error(self, channel: Channel, concepts: Collection[str] | None = None, k: int | None = None) -> float:
        """Mean error of a channel, over some concepts (None: all) and one list length (None: all)."""
        return float(np.mean([row.error for row in self._rows(channel, concepts, k)]))

    def segment_errors(self, channel: Channel, concepts: Collection[str] | None = None) -> dict[str, float]:
        """Mean error within each segment."""
        errors = np.mean([row.segments for row in self._rows(channel, concepts, None)], axis=0)
        return {name: float(error) for name, error in zip(self.segments, errors, strict=True)}

    @property
    def channels(self) -> list[Channel]:
        """Channels that were checked."""
        return sorted({row.channel for row in self.rows})

    def _rows(self, channel: Channel, concepts: Collection[str] | None, k: int | None) -> list[CheckRow]:
        return [
            row
            for row in self.rows
            if row.channel == channel and (concepts is None or row.concept in concepts) and k in {None, row.k}
        ]


class Calibration(_Frozen):
    """calibration.json. Without curves a strength follows one curve for all (bundle.dose)."""

    unit: Literal["concept_gap"] = "concept_gap"
    strengths: tuple[Share, ...] = Field(default=(), description="[S], 0 first, 1 last, rising")
    users: int = Field(default=0, ge=0, description="users the curves were found on")
    seen_masked: bool = Field(default=False, description="items the users had taken were masked")
    curves: tuple[Curve, ...] = ()
    check: DialCheck | None = Field(default=None, description="the dial's error on other users")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        ends = self.strengths[:1] + self.strengths[-1:]
        rising = all(a < b for a, b in zip(self.strengths, self.strengths[1:], strict=False))
        if self.strengths and (ends != (0.0, 1.0) or not rising):
            raise ValueError("strengths: expected to rise from 0 to 1")
        for curve in self.curves:
            if len(curve.units) != len(self.strengths):
                raise ValueError(
                    f"curve of {curve.concept}: found {len(curve.units)} units, expected {len(self.strengths)}, "
                    "one per strength"
                )
        return self

    def to_json(self) -> str:
        """The document, a curve per line, so that people can read it and diffs stay small."""
        return _document(self.model_dump(mode="json"), "")

    @cached_property
    def dial(self) -> Dial:
        """The curves, ready to be asked."""
        return Dial(self)


class Dial:
    """Units of a dose by concept, channel, action, list length and strength."""

    def __init__(self, calibration: Calibration) -> None:
        self._strengths = list(calibration.strengths)
        grouped: dict[tuple[str, Channel, Action], dict[int, Curve]] = {}
        for curve in calibration.curves:
            grouped.setdefault((curve.concept, curve.channel, curve.action), {})[curve.k] = curve
        self._curves = {key: _table(by_k) for key, by_k in grouped.items()}
        self._reach = grouped
        self._poor = {
            key: {k: curve.poor for k, curve in by_k.items()}
            for key, by_k in grouped.items()
            if any(curve.poor for curve in by_k.values())
        }
        self._typical = {
            (channel, action): _typical([table for key, table in self._curves.items() if key[1:] == (channel, action)])
            for channel in ("item", "query")
            for action in ("promote", "demote")
        }

    def units(self, concept: str, channel: Channel, action: Action, *, k: int, strength: float) -> float:
        """Dose in units of the user's concept gap, 0 at strength 0, never falling with it.

        Between calibrated list lengths the dose is linear in log k, outside it is the nearest one's. A concept that was
        not calibrated (a latent, say) takes the median of those that were; a bundle without curves the common curve.
        """
        table = self._curves.get((concept, channel, action)) or self._typical[channel, action]
        if table is None:
            curve = dose.demote_dose if action == "demote" else dose.promote_dose
            return curve(strength, 1.0)
        lengths, rows = table
        low, beyond = _place(math.log(k), lengths)
        place, part = _place(strength, self._strengths)
        value = _between(rows[low], place, part)
        return value if not beyond else value + beyond * (_between(rows[low + 1], place, part) - value)

    def poor(self, concept: str, channel: Channel, action: Action, *, k: int) -> str:
        """One sentence where strength 1 does not do what its name promises; empty where it does or nothing is known."""
        sentences = self._poor.get((concept, channel, action))
        return "" if sentences is None else sentences[min(sentences, key=lambda other: abs(math.log(other / k)))]

    def curve(self, concept: str, channel: Channel, action: Action, k: int) -> Curve | None:
        """The calibrated curve of the nearest list length; None where the concept was not calibrated."""
        by_k = self._reach.get((concept, channel, action))
        return None if not by_k else by_k[min(by_k, key=lambda other: abs(math.log(other) - math.log(k)))]


Table = tuple[list[float], list[list[float]]]


def _table(by_k: Mapping[int, Curve]) -> Table:
    """Log list lengths [K], ascending, and the units [K, S]; lists, because one number is looked up at a time."""
    lengths = sorted(by_k)
    return [math.log(k) for k in lengths], [list(by_k[k].units) for k in lengths]


def _place(value: float, ascending: Sequence[float]) -> tuple[int, float]:
    """Where a value lies: after which entry, and how far on the way to the next one, in [0, 1); an end beyond it."""
    low = bisect_right(ascending, value) - 1
    if low < 0:
        return 0, 0.0
    if low + 1 == len(ascending):
        return low, 0.0
    return low, (value - ascending[low]) / (ascending[low + 1] - ascending[low])


def _between(row: Sequence[float], low: int, part: float) -> float:
    return row[low] if not part else row[low] + part * (row[low + 1] - row[low])


def _typical(tables: list[Table]) -> Table | None:
    """The median curve of all concepts, over those with the most common list lengths."""
    if not tables:
        return None
    lengths = max((table[0] for table in tables), key=len)
    rows = [table[1] for table in tables if table[0] == lengths]
    return lengths, np.median(rows, axis=0).tolist()


def _document(value: object, indent: str) -> str:
    """JSON with a line per key of the outer objects and per row of a table."""
    inner = indent + " "
    if isinstance(value, dict) and len(indent) < 2:
        pairs = (f"{inner}{json.dumps(key)}: {_document(part, inner)}" for key, part in value.items())
        return "{\n" + ",\n".join(pairs) + f"\n{indent}}}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(f"{inner}{json.dumps(row, allow_nan=False)}" for row in value) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False)
