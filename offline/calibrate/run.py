"""Calibrate every offered concept, and check the dial on users it was not fitted on.

The users of a calibration are sampled, their taken items masked where interactions are known. Shares count label
members, as a reader of a list would. Legend: U users, N items, K list length, S strengths.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bundle import Calibration, CheckRow, Concept, Curve, DialCheck
from offline.calibrate.config import CalibrateConfig
from offline.calibrate.curves import dose_for_fans, shares_at, turned_round
from offline.datasets.types import Interactions
from offline.evaluate.doses import Base
from offline.evaluate.methods import DIRECTIONS, SERVED, Direction, Line, Methods
from offline.evaluate.panel import BoolArray, FloatArray, IntArray, Panel, incidence
from offline.evaluate.steering import Lists
from offline.evaluate.subject import Subject
from offline.evaluate.window import share_of

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, concept id)`` after every concept."""

CHECKED = (0.25, 0.5, 0.75, 1.0)
"""Strengths the dial is checked at, both ways. Strength 0 is right by law 1 and would only flatter the mean."""

ACTION: dict[Direction, Literal["promote", "demote"]] = {"promote": "promote", "suppress": "demote"}


def calibrate(
    subject: Subject,
    train: Interactions | None = None,
    config: CalibrateConfig | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Curves for every offered concept on both channels, with their error on other users.

    Args:
        subject: the recommender, its SAE and concepts.
        train: interactions to mask; None: nothing is masked, and users are segmented by the length of their vector.
        config: lengths, users, ladder.
        progress: told after every concept.
    """
    config = config or CalibrateConfig()
    offered = subject.offered
    if not offered:
        return Calibration()
    lengths = [k for k in config.lengths if k <= len(subject.embeddings.items)] or [config.lengths[0]]
    curves = len(offered) * len(lengths) * len(SERVED) * len(DIRECTIONS)
    n_users, n_items = len(subject.embeddings.users), len(subject.embeddings.items)
    order = np.random.default_rng(config.seed).permutation(n_users)
    fitted = config.affordable(min(config.users, max(1, n_users // 2)), n_items, curves)
    checked = min(config.affordable(config.check_users, n_items, curves), n_users - fitted)
    fit = _Users.of(subject, train, order[:fitted], lengths, config.seed)
    others = _Users.of(subject, train, order[fitted : fitted + checked], lengths, config.seed) if checked else None
    segments = _segments(subject, train, others.panel.users, config.segments) if others else {}

    found: list[Curve] = []
    rows: list[CheckRow] = []
    for done, concept in enumerate(offered, 1):
        members = subject.labels(concept)
        for place in range(len(lengths)):
            for channel in SERVED:
                for direction in DIRECTIONS:
                    line = fit.line(place, concept, channel, direction)
                    if line is None:
                        continue
                    curve = _curve(
                        line, fit.bases[place], concept, members, channel=channel, direction=direction, config=config
                    )
                    found.append(curve)
                    if others is not None:
                        again = others.line(place, concept, channel, direction)
                        assert again is not None
                        rows.append(
                            _check(curve, again, others.bases[place], members, config=config, segments=segments)
                        )
        if progress is not None:
            progress(done, len(offered), concept.id)
    return Calibration(
        strengths=config.strengths,
        users=fitted,
        seen_masked=train is not None,
        curves=tuple(found),
        check=DialCheck(users=checked, strengths=CHECKED, segments=tuple(segments), rows=tuple(rows))
        if checked
        else None,
    )


@dataclass(frozen=True)
class _Users:
    """Users with their base lists of every length and the lines of every method; ``bases``, ``methods`` per length."""

    panel: Panel
    bases: list[Base]
    methods: list[Methods]

    @classmethod
    def of(cls, subject: Subject, train: Interactions | None, users: IntArray, lengths: list[int], seed: int) -> _Users:
        users = np.sort(users)
        seen = None
        if train is not None:
            taken = incidence(train, len(subject.embeddings.users), len(subject.embeddings.items))
            seen = taken[users].toarray() > 0
        panel = Panel(users, seen, None)
        scores = panel.base_scores(subject.embeddings)
        bases = [Base.of(scores, k) for k in lengths]
        return cls(panel, bases, [Methods(subject, panel, base, None, seed) for base in bases])

    def line(self, place: int, concept: Concept, channel: str, direction: Direction) -> Line | None:
        make = self.methods[place].of(concept, (channel,)).get(channel)
        return make(direction) if make is not None else None


def _curve(
    line: Line, base: Base, concept: Concept, members: BoolArray, *, channel: str, direction: Direction,
    config: CalibrateConfig,
) -> Curve:  # fmt: skip
    measured = shares_at(line, base, members, config.ladder)
    falling = direction == "suppress"
    near = config.left * float(measured[0]) if falling else config.close
    units, shares = turned_round(config.ladder, measured, config.strengths, falling=falling, near=near)
    if falling and channel == "item" and units[-1] > 0:
        # On the item channel more costs next to nothing once the members are gone; moving queries further would.
        units[-1] = dose_for_fans(Lists(line, base).at, members, config.ladder, least=units[-1], left=config.left)
        shares[-1] = min(shares[-1], measured[config.ladder.index(units[-1])])
    return Curve.model_validate(
        {
            "concept": concept.id,
            "channel": channel,
            "action": ACTION[direction],
            "k": base.k,
            "base": float(measured[0]),
            "units": [round(float(value), 5) for value in units],
            "shares": [round(float(value), 5) for value in shares],
        }
    )


def _check(
    curve: Curve, line: Line, base: Base, members: BoolArray, *, config: CalibrateConfig,
    segments: dict[str, npt.NDArray[np.bool_]],
) -> CheckRow:  # fmt: skip
    """The curve on other users, at the checked strengths; each segment against its own unsteered share."""
    lists, before = Lists(line, base), base.lists
    parts: list[npt.NDArray[np.bool_] | slice] = [slice(None), *segments.values()]
    dial, measured = np.empty((len(parts), len(CHECKED))), np.empty((len(parts), len(CHECKED)))
    for place, strength in enumerate(CHECKED):
        after = lists.at(float(np.interp(strength, config.strengths, curve.units)))
        for row, users in enumerate(parts):
            dial[row, place] = dial_share(curve, share_of(before[users], members), strength)
            measured[row, place] = share_of(after[users], members)
    off = np.abs(measured - dial).mean(1)
    return CheckRow.model_validate(
        {
            "concept": curve.concept,
            "channel": curve.channel,
            "action": curve.action,
            "k": curve.k,
            "dial": [round(float(value), 5) for value in dial[0]],
            "measured": [round(float(value), 5) for value in measured[0]],
            "segments": [round(float(value), 5) for value in off[1:]],
        }
    )


def dial_share(curve: Curve, base: float, strength: float) -> float:
    """The share that the dial promises to users whose unsteered share is ``base``.

    A demotion promises to leave a part of what was there; a promotion to fill the list up to the concept's reach.
    """
    if curve.action == "demote":
        left = curve.reach / curve.base if curve.base > 0 else 0.0
        return base * (1 + strength * (left - 1))
    return base + strength * (curve.reach - base)


def _segments(
    subject: Subject, train: Interactions | None, users: IntArray, count: int
) -> dict[str, npt.NDArray[np.bool_]]:
    """Users from light to heavy in equal parts: by what they have taken, else by the length of their vector."""
    if train is not None:
        amount: FloatArray = np.bincount(train.user, minlength=len(subject.embeddings.users))[users].astype(np.float32)
    else:
        amount = np.linalg.norm(subject.embeddings.users[users], axis=1).astype(np.float32)
    place = np.argsort(np.argsort(amount, kind="stable"), kind="stable") * count // max(1, len(users))
    names = [f"{part + 1} of {count}" for part in range(count)]
    return {name: place == part for part, name in enumerate(names) if (place == part).any()}
