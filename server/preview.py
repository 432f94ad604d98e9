"""Who would see what differently: two engines of one bundle, asked the same questions.

A situation is a set of request attributes; a policy that is different between the two sides brings the situation that
it asks for, so that a change of the kids' surface is looked at on the kids' surface.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from server.bits import BitArray
from server.catalogue import Catalogue
from server.errors import InvalidRequest, UnknownUser
from server.outcome import overlap
from server.policy import Change, Policy, PolicySet, changes
from server.steer import Engine
from server.types import Answer, IntArray, Query, Ranking

MOST_SITUATIONS = 12
MOST_USERS = 5_000
EXAMPLES = 3
SMALL = 0.01
"""A concept whose share moves less is told only where a rule names it."""


class Stopped(Exception):
    """Nobody waits for the preview any more."""


@dataclass(frozen=True, slots=True)
class Share:
    """Mean share of the lists' places that carry a concept's label; ``ruled``: a rule of either side names it."""

    concept: str
    before: float
    after: float
    ruled: bool


@dataclass(frozen=True, slots=True)
class Fired:
    """How many of the users a policy reaches."""

    policy: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Item:
    """One place of a list."""

    item_id: str
    title: str


@dataclass(frozen=True, slots=True)
class Example:
    """One user's two lists, best first."""

    user_id: str
    overlap: float
    before: tuple[Item, ...]
    after: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Situation:
    """What changes for requests with these attributes.

    ``changed``: users whose list is not the same, order included; ``overlap``: mean share of the first list that is
    still in the second; ``short_before``, ``short_after``: lists of fewer than k items; ``examples``: the users whose
    lists are the furthest apart.
    """

    attributes: Mapping[str, str]
    users: int
    changed: int
    overlap: float
    short_before: int
    short_after: int
    fired: tuple[Fired, ...]
    shares: tuple[Share, ...]
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """Two sets of policies compared. ``at``: the instant, Unix seconds, at which both were looked at."""

    revision_before: str
    revision_after: str
    k: int
    at: float
    changes: tuple[Change, ...]
    situations: tuple[Situation, ...]


@dataclass(frozen=True)
class Sample:
    """What is asked: ``users`` users drawn with ``seed`` from those of the bundle, or the ``user_ids`` alone.

    ``attributes``: the one situation to look at; None: those that the different policies ask for. ``at``: Unix seconds;
    None: now.
    """

    users: int = 200
    user_ids: tuple[str, ...] = ()
    seed: int = 0
    k: int = 10
    attributes: Mapping[str, str] | None = None
    at: float | None = None
    examples: int = field(default=EXAMPLES)


def compare(
    before: Engine, after: Engine, sample: Sample, step: Callable[[int, int], bool] = lambda *_: True
) -> Preview:
    """Ask both engines for every user in every situation.

    Args:
        before: the engine as it is.
        after: of the same bundle, with other policies.
        sample: whom to ask, in which situations.
        step: told (done, in all) after every user; False ends it.

    Raises:
        SteeringError: a user, k or the sample's size is refused.
        Stopped: ``step`` said so.
    """
    at = time.time() if sample.at is None else sample.at
    old, new = before.policies or PolicySet(), after.policies or PolicySet()
    users = choose_users(before.catalogue, sample)
    different = changes(old, new)
    asked = [sample.attributes] if sample.attributes is not None else situations(old, new, different)
    total = len(asked) * len(users)
    looked = []
    for place, attributes in enumerate(asked):
        looked.append(_Looked(before, after, dict(attributes), sample, at))
        for number, user in enumerate(users, 1):
            looked[-1].ask(user)
            if not step(place * len(users) + number, total):
                raise Stopped
    return Preview(old.revision, new.revision, sample.k, at, tuple(different), tuple(one.situation() for one in looked))


def choose_users(catalogue: Catalogue, sample: Sample) -> list[str]:
    """The users to ask, in a stable order.

    Raises:
        UnknownUser: the bundle stores no users.
        InvalidRequest: more users than a preview takes.
    """
    if sample.user_ids:
        chosen = list(dict.fromkeys(sample.user_ids))
    else:
        known = catalogue.bundle.contents.user_ids
        if not known:
            raise UnknownUser(
                "this bundle stores no users to look at", field="user_ids",
                hint="Train it with --store-users (the default).",
            )  # fmt: skip
        order = np.random.default_rng(sample.seed).permutation(len(known))[: sample.users]
        chosen = [known[place] for place in sorted(order.tolist())]
    if not 1 <= len(chosen) <= MOST_USERS:
        raise InvalidRequest("users", field="users", found=len(chosen), expected=f"1 to {MOST_USERS}")
    return chosen


def situations(old: PolicySet, new: PolicySet, different: Sequence[Change]) -> list[dict[str, str]]:
    """One set of attributes per kind of request that a different policy asks for, the plainest first."""
    names = {change.name for change in different}
    names |= {
        policy.name
        for policy in (*old.policies, *new.policies)
        if any(rule.concept in names for rule in policy.rules)  # a concept of one's own that is another one now
    }
    found: dict[tuple[tuple[str, str], ...], None] = {}
    for policy in (*new.policies, *old.policies):
        if policy.name in names and policy.enabled:
            found.setdefault(_situation(policy))
    ordered = sorted(found, key=len)
    return [dict(pairs) for pairs in ordered[:MOST_SITUATIONS]]


def _situation(policy: Policy) -> tuple[tuple[str, str], ...]:
    return tuple((name, min(values)) for name, values in policy.when)


class _Looked:
    """One situation while it is being looked at."""

    def __init__(self, before: Engine, after: Engine, attributes: dict[str, str], sample: Sample, at: float) -> None:
        self._engines = (before, after)
        self._attributes = attributes
        self._sample = sample
        self._at = at
        self._seen: tuple[list[IntArray], list[IntArray]] = ([], [])
        self._lists: list[tuple[float, str, Ranking, Ranking]] = []
        self._users = self._changed = 0
        self._kept = 0.0
        self._short = [0, 0]
        self._fired: dict[str, list[int]] = {}
        self._ruled: set[str] = set()

    def ask(self, user: str) -> None:
        query = Query(k=self._sample.k, user_id=user, attributes=self._attributes, at=self._at)
        was, now = (self._answer(side, query) for side in (0, 1))
        kept = overlap(now.ranking, was.ranking)
        self._users += 1
        same = np.array_equal(was.ranking.items, now.ranking.items)
        self._changed += not same
        if not same:
            entry = (1.0 if kept is None else kept, user, was.ranking, now.ranking)
            self._lists = sorted([*self._lists, entry], key=lambda one: one[:2])[: self._sample.examples]
        self._kept += 1.0 if kept is None else kept

    def _answer(self, side: int, query: Query) -> Answer:
        engine = self._engines[side]
        answer = engine.recommend(query)
        self._seen[side].append(answer.ranking.items)
        self._short[side] += len(answer.ranking.items) < query.k
        for policy in (engine.policies or PolicySet()).chosen(query.attributes, user=query.user_id, at=query.at):
            self._fired.setdefault(policy.name, [0, 0])[side] += 1
            self._ruled.update(rule.concept for rule in policy.rules)
        return answer

    def situation(self) -> Situation:
        catalogue = self._engines[1].catalogue
        counts = [np.bincount(np.concatenate(lists), minlength=len(catalogue.item_ids)) for lists in self._seen]
        return Situation(
            attributes=self._attributes,
            users=self._users,
            changed=self._changed,
            overlap=self._kept / self._users,
            short_before=self._short[0],
            short_after=self._short[1],
            fired=tuple(Fired(name, *sides) for name, sides in sorted(self._fired.items())),
            shares=tuple(_shares(catalogue, counts, self._ruled)),
            examples=tuple(
                Example(user, kept, _items(was, catalogue), _items(now, catalogue))
                for kept, user, was, now in self._lists
            ),
        )


def _shares(catalogue: Catalogue, counts: Sequence[IntArray], ruled: Iterable[str]) -> list[Share]:
    """Concepts that a rule names, then those that moved most."""
    names = set(ruled)
    found = []
    for steerable in catalogue.named:
        before, after = (_share(steerable.members(), side) for side in counts)
        if steerable.id in names or abs(after - before) >= SMALL:
            found.append(Share(steerable.id, before, after, steerable.id in names))
    return sorted(found, key=lambda share: (not share.ruled, -abs(share.after - share.before), share.concept))


def _share(members: BitArray, counts: IntArray) -> float:
    inside = np.unpackbits(members, count=len(counts), bitorder="little").astype(bool)
    return float(counts[inside].sum() / max(1, counts.sum()))


def _items(ranking: Ranking, catalogue: Catalogue) -> tuple[Item, ...]:
    return tuple(Item(catalogue.item_ids[row], catalogue.titles[row]) for row in ranking.items.tolist())
