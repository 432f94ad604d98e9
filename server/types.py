"""The core's vocabulary: plain, frozen data that requests, policies and answers are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from server.subject import Given, Subject

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

Mark = tuple[str, float, float]
"""A stage of an answer, when it began and when it ended, in seconds of time.perf_counter."""

DEFAULT_STRENGTH = 0.5
REQUEST = "request"


class Action(StrEnum):
    """What a rule does to the items of its concept."""

    FILTER = "filter"
    DEMOTE = "demote"
    PROMOTE = "promote"


class Channel(StrEnum):
    """Where a soft rule acts: on the items' scores, or on the user's code."""

    ITEM = "item"
    QUERY = "query"


class Order(StrEnum):
    """How an answer's items are ordered: by steered score, or as the recommender alone would."""

    STEERED = "steered"
    BASE = "base"


class Membership(StrEnum):
    """Which items a filter calls members; DEFAULT is LABEL for a named concept and READOUT for a latent."""

    DEFAULT = "default"
    LABEL = "label"
    READOUT = "readout"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``strength`` in [0, 1], always 1 for a filter; ``source`` is "request" or "policy:NAME".

    ``shadow``: belongs to a policy that only counts what it would have done. ``fills``: a filter whose owner wants
    empty places filled with what it leaves out, after everything that passes, rather than a short list. ``share`` in
    [0, 1], in place of a strength: a demotion leaves at most, a promotion gives at least this part of the list.
    ``subject``: what it names where that is not one concept; ``concept`` is then its text.
    """

    action: Action
    concept: str
    strength: float = DEFAULT_STRENGTH
    channel: Channel = Channel.ITEM
    membership: Membership = Membership.DEFAULT
    source: str = REQUEST
    priority: int = 0
    shadow: bool = False
    fills: bool = False
    share: float | None = None
    subject: Subject | None = None

    @classmethod
    def about(cls, given: Given, action: Action, *, share: float | None = None, **rest: Any) -> Rule:
        """A rule on what was ``given``, which has no fault.

        Only ``unlike``: whoever promotes what is unlike some items demotes what is like them, and the other way round.
        """
        name, subject = given.named()
        if given.reversed:
            action = Action.DEMOTE if action is Action.PROMOTE else Action.PROMOTE
            share = None if share is None else 1 - share
        return cls(action, name, share=share, subject=subject, **rest)

    @property
    def force(self) -> float:
        """What conflicts are decided by: any share is stronger than any strength, a tighter one more so."""
        if self.share is None:
            return self.strength
        return 1 + (self.share if self.action is Action.PROMOTE else 1 - self.share)


class Standing(tuple[Rule, ...]):
    """Rules that came before and are held for the next time, as one object: what is made of them is worth keeping."""

    __slots__ = ()


class Status(StrEnum):
    """What became of a rule."""

    APPLIED = "applied"
    OFF = "off"
    OVERRIDDEN = "overridden"
    SHADOW = "shadow"
    UNKNOWN_CONCEPT = "unknown_concept"


@dataclass(frozen=True, slots=True)
class Considered:
    """A rule with what the conflict rule decided about it."""

    rule: Rule
    status: Status
    note: str = ""


@dataclass(frozen=True)
class Plan:
    """Rules after conflicts are resolved, in their canonical order: the same rules in any order give the same plan."""

    considered: tuple[Considered, ...] = ()

    @cached_property
    def applied(self) -> tuple[Rule, ...]:
        """The rules that act."""
        return tuple(entry.rule for entry in self.considered if entry.status is Status.APPLIED)


@dataclass(frozen=True, slots=True)
class Query:
    """A validated request. Exactly one of ``user_id``, ``embedding`` ([D]) and ``history`` (item ids) is set.

    ``vector``: of ``user_id``, [D], where it was looked up elsewhere than in the bundle.
    ``exclude_history``: none of the history's items is returned. ``at``: the instant, in Unix seconds, that the time
    windows of policies are judged at; None: now.
    """

    k: int
    user_id: str | None = None
    vector: FloatArray | None = None
    embedding: FloatArray | None = None
    history: tuple[str, ...] | None = None
    exclude_history: bool = False
    rules: tuple[Rule, ...] = ()
    exclude: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    use_policies: bool = True
    at: float | None = None
    explain: bool = False
    baseline: bool = False
    order: Order = Order.STEERED

    @property
    def is_plain(self) -> bool:
        """Whether it asks for one list and leaves nothing out of it."""
        return not (self.explain or self.baseline or self.exclude or self.exclude_history)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Items best first: row numbers int64 [K] and scores float32 [K]."""

    items: IntArray
    scores: FloatArray


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one rule added to one item's score."""

    rule: Rule
    value: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an item has its score: ``base_score`` + contributions = score.

    ``base_rank`` is 1-based, 0 where the item is not in the part of the unsteered list that was looked at;
    ``concepts`` are (id, read-out, labelled), strongest first.
    """

    base_score: float
    base_rank: int
    contributions: tuple[Contribution, ...]
    concepts: tuple[tuple[str, float, bool], ...]


class Effect(NamedTuple):
    """What a considered rule did: ``dose`` in score units; its concept's shares of the list, if there is a baseline."""

    considered: Considered
    dose: float = 0.0
    note: str = ""
    share_before: float | None = None
    share_after: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Facts about one request; the edges turn them into messages, metrics and logs.

    ``timings`` are seconds per stage: plan, user, mask, search, edit, explain; the edge adds its own. ``eligible`` and
    ``short_reason`` are set only when fewer than k items pass; ``filled``: how many of the last places a filter's
    fallback filled then. ``history``: how many of its ids the user tower read, and how many the catalogue does not
    have; None where the request brought none. ``incoming``: the user's embedding [D] as the SAE reads it, where a
    caller or a user store brought it. ``marks``: when each stage began and ended (``time.perf_counter``).
    ``plan``: what the effects are of, where it is kept: the same object for the same rules; else None.
    """

    ranking: Ranking
    effects: tuple[Effect, ...]
    bundle_id: str
    policy_revision: str
    timings: dict[str, float]
    baseline: Ranking | None = None
    overlap: float | None = None
    explanations: tuple[Explanation, ...] = ()
    unknown_excluded: int = 0
    history: tuple[int, int] | None = None
    eligible: int | None = None
    filled: int = 0
    short_reason: str = ""
    incoming: FloatArray | None = None
    marks: Sequence[Mark] = ()
    plan: Plan | None = None
