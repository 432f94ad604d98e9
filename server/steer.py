"""A request's way through the core: one snapshot, one plan, one list.

validate -> user vector -> plan (request rules + matching policies) -> base list -> edits -> steered list -> explain
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from bundle import Bundle, dose
from server import bits, edits, fallback, outcome, targets
from server.asked import LISTED, Asked, ask, prepare
from server.bits import BitArray
from server.catalogue import Catalogue
from server.encoder import Encoder
from server.errors import DeadlinePassed
from server.explain import explain
from server.kept import Kept
from server.policy import Policy, PolicySet, resolve
from server.question import Question, most_together, question_of, scored_together
from server.ready import Ready
from server.retrieval import Retriever, open_retriever
from server.settings import Limits
from server.subject import Toward
from server.toward import Pusher
from server.types import Action, Answer, Explanation, Order, Plan, Query, Ranking, Rule, Standing
from server.validate import validate, validate_rules

PLANS = 64
"""Plans that are kept; a bit per item and filter list of each."""


@dataclass(frozen=True)
class Engine:
    """An immutable snapshot of bundle and policies: whoever holds it is served by it from start to end (law 9)."""

    catalogue: Catalogue
    encoder: Encoder
    retriever: Retriever
    policies: PolicySet | None
    limits: Limits
    pusher: Pusher | None = None
    _kept: Kept[tuple[int, ...], tuple[tuple[Rule, ...], Ready]] = field(init=False, repr=False, compare=False)
    _bare: Ready = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Whoever puts policies into force puts their concepts into force; another retriever moves items otherwise."""
        customs = () if self.policies is None else self.policies.concepts
        object.__setattr__(self, "catalogue", self.catalogue.with_customs(customs))
        if self.pusher is None or self.pusher.retriever is not self.retriever:
            object.__setattr__(self, "pusher", Pusher(self.catalogue.with_customs(()), self.retriever))
        object.__setattr__(self, "_kept", Kept(PLANS))
        object.__setattr__(self, "_bare", Ready(Plan(), self.catalogue))

    @classmethod
    def open(cls, bundle: Bundle, policies: PolicySet | None = None, limits: Limits | None = None) -> Engine:
        """Load what a bundle needs to be served: names, ONNX sessions, index."""
        catalogue = Catalogue(bundle)
        retriever = open_retriever(bundle, catalogue.vectors)
        return cls(catalogue, Encoder(bundle), retriever, policies, limits or Limits())

    @property
    def bundle_id(self) -> str:
        """Which bundle answers."""
        return self.catalogue.bundle.manifest.bundle_id

    @property
    def policy_revision(self) -> str:
        """Which policies answer."""
        return self.policies.revision if self.policies is not None else "none"

    @cached_property
    def most_together(self) -> int:
        """Requests whose ``questions`` take less time together than one after the other; 1: none."""
        return most_together(self.retriever)

    def questions(self, queries: Sequence[Query]) -> list[Question | None]:
        """What the requests ask of the scorer, made together where that takes less time; None: it will be refused."""
        return scored_together(self.retriever, [self._question(query) for query in queries])

    def _question(self, query: Query) -> Question | None:
        began = time.perf_counter()
        try:
            validate(query, self.catalogue, self.limits)
            question = question_of(query, self.catalogue, self.encoder)
        except Exception:  # whoever answers the request will meet the same, and the others must not
            return None
        return replace(question, seconds={"user": time.perf_counter() - began})

    def recommend(self, query: Query, until: float = math.inf, question: Question | None = None) -> Answer:
        """Answer one request.

        Args:
            query: what is asked.
            until: when nobody waits for it any more, by ``time.perf_counter``.
            question: what ``questions`` gave for it; the answer is the same without, bit for bit.

        Raises:
            SteeringError: the request is refused; ``field`` says which part of it.
        """
        clock = _Clock(until, {} if question is None else question.seconds)
        if question is None:
            validate(query, self.catalogue, self.limits)
        ready = self._ready(query)
        plan = ready.plan
        clock.lap("plan")
        if question is None:
            question = question_of(query, self.catalogue, self.encoder)
        x, history = question.x, question.history
        clock.lap("user")
        excluded, unknown = self._excluded(query.exclude)
        if query.exclude_history:
            seen = bits.of_rows(np.array(history, np.int64), len(self.retriever))
            excluded = seen if excluded is None else excluded | seen
        allowed = ready.allowed(excluded)
        unit = self.catalogue.bundle.manifest.metric == "cosine"
        asked = ask(
            self.retriever,
            x,
            question.query,
            self.catalogue.vectors,
            unit=unit,
            rules=bool(ready.soft),
            listed=ready.is_slight and allowed is None and 4 * query.k <= LISTED,
            columns=self.catalogue.columns,
            scores=question.scores,
        )
        clock.lap("mask")

        depth = max(query.k, dose.depth(query.k)) if ready.soft or query.explain else query.k
        asker = edits.Asker(x, asked, allowed, asked.search(depth, allowed), query.k)
        clock.lap("search")
        made, moved = self._edits(ready, asker)
        clock.lap("edit")

        def search(k: int, among: BitArray) -> Ranking:
            return self._steered(edits.Asker(x, asked, among, asked.search(depth, among), k), moved, made)

        passing = self._steered(asker, moved, made)
        ranking = fallback.filled(passing, query.k, plan, excluded=excluded, catalogue=self.catalogue, search=search)
        if query.order is Order.BASE and made:
            ranking = _by_base(ranking, asked, len(passing.items))
        unsteered = asker.base
        if ready.filters and (query.baseline or query.explain):
            unsteered = asked.search(depth, None if excluded is None else ~excluded)
        clock.lap("search")

        explanations: tuple[Explanation, ...] = ()
        if query.explain:
            named = [entry.rule for entry in plan.considered]
            explanations = explain(ranking, asked, unsteered, made, self.catalogue, named=named)
        baseline = _head(unsteered, query.k) if query.baseline else None
        items = len(self.retriever)
        eligible = None
        if len(passing.items) < query.k:
            eligible = items if allowed is None else bits.count(allowed, items)
        fill = ranking.items[len(passing.items) :]
        effects = outcome.effects(plan, made, ranking, baseline, self.catalogue)
        answer = Answer(
            ranking=ranking,
            effects=fallback.told(effects, fill, self.catalogue) if len(fill) else effects,
            bundle_id=self.bundle_id,
            policy_revision=self.policy_revision,
            timings=clock.laps,
            baseline=baseline,
            overlap=outcome.overlap(ranking, baseline),
            explanations=explanations,
            unknown_excluded=unknown,
            history=None if query.history is None else self._history_use(query.history, history),
            eligible=eligible,
            filled=len(fill),
            marks=clock.marks,
            plan=plan if ready.kept else None,
            incoming=None if query.user_id is not None and query.vector is None else x,
            short_reason="" if eligible is None else outcome.why_short(plan, excluded, eligible, items, query.k),
        )
        clock.lap("explain")
        return answer

    def warm(self) -> None:
        """Answer requests of real shape once, so that the first caller does not pay for first times."""
        for concept in self.catalogue.named:
            prepare(self.retriever, concept)
        self.catalogue.columns.by_item  # noqa: B018 - fills a cache
        x = np.asarray(self.catalogue.bundle.contents.item_vectors[0], np.float32)
        k = min(10, self.limits.max_k)
        offered = next((concept.id for concept in self.catalogue.named), "latent:0")
        self.recommend(Query(k=k, embedding=x, explain=True, baseline=True))
        for action in Action:
            self.recommend(Query(k=k, embedding=x, rules=(Rule(action, offered),)))
        code, scale = self.encoder.encode(x)
        self.encoder.displacement(code, scale)
        self.warm_policies()

    def warm_policies(self) -> None:
        """Make what the policies name, so that no request waits for it."""
        assert self.pusher is not None  # __post_init__
        for policy in self.policies.policies if self.policies is not None else ():
            for rule in policy.rules if policy.enabled else ():
                if self.catalogue.offers(rule) and isinstance(rule.subject, Toward):  # of others its author is warned
                    self.pusher.push(rule.subject, self.catalogue.find(rule.subject.audience))

    def _history_use(self, item_ids: tuple[str, ...], rows: list[int]) -> tuple[int, int]:
        """How many of a history's ids the tower read, and how many the catalogue does not have."""
        return min(len(rows), self.encoder.history_length), len(item_ids) - len(rows)

    def _ready(self, query: Query) -> Ready:
        """The plan of the request's rules and the matching policies'; kept, as far as it holds nothing large.

        Rules that came before and come again are the same object, and were found valid then.
        """
        chosen: Sequence[Policy] = ()
        if self.policies is not None:
            chosen = self.policies.chosen(
                query.attributes, user=query.user_id, at=query.at, mandatory_only=not query.use_policies
            )
        if not chosen and not query.rules:
            return self._bare
        lasting = not query.rules or isinstance(query.rules, Standing)
        key = (id(query.rules), *map(id, chosen))
        if lasting and (known := self._kept.get(key)) is not None:
            return known[1]
        validate_rules(query.rules, self.catalogue)
        rules = (*query.rules, *(rule for policy in chosen for rule in policy.rules))
        ready = Ready(resolve(rules, self.catalogue.offers), self.catalogue)
        if lasting and ready.lasts:
            ready.kept = True
            self._kept.put(key, (query.rules, ready))  # holding the rules, so that no others get their id
        return ready

    def _excluded(self, item_ids: tuple[str, ...]) -> tuple[BitArray | None, int]:
        """The excluded items (None: none), and how many ids the catalogue does not have."""
        if not item_ids:
            return None, 0
        known = [row for row in map(self.catalogue.item_rows.get, item_ids) if row is not None]
        if not known:
            return None, len(item_ids)
        return bits.of_rows(np.array(known, np.int64), len(self.retriever)), len(item_ids) - len(known)

    def _edits(self, ready: Ready, asker: edits.Asker) -> tuple[list[edits.Edit], Asked]:
        """The soft rules as edits, and the question moved by them: given strengths first, then shares, then the cap."""
        assert self.pusher is not None  # __post_init__
        made = edits.make_edits(ready, self.encoder, self.pusher, asker)
        moved = edits.displaced(asker.asked, made)
        made += targets.solve(ready.shares, made, self.catalogue, asker, moved)
        within = edits.capped(made, asker, self.limits.max_displacement)
        return within, moved if within is made else edits.displaced(asker.asked, within)

    def _steered(self, asker: edits.Asker, moved: Asked, made: list[edits.Edit]) -> Ranking:
        """The answer's list; with no edit it is the head of the base list, bit for bit (law 1)."""
        if not made:
            return _head(asker.base, asker.k)
        base = asker.base if moved is asker.asked else None
        return moved.steered(asker.k, edits.gains(made, moved), asker.allowed, base)


class _Clock:
    """Seconds per stage, ``spent`` ones included; a stage visited twice adds up. None is begun after ``until``."""

    def __init__(self, until: float, spent: Mapping[str, float]) -> None:
        self.laps: dict[str, float] = dict(spent)
        self._until = until
        self._last = time.perf_counter()
        self.marks = [("decode", self._last)]

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[stage] = self.laps.get(stage, 0.0) + now - self._last
        self._last = now
        if now > self._until:
            raise DeadlinePassed
        self.marks.append((stage, now))


def _by_base(ranking: Ranking, asked: Asked, passing: int) -> Ranking:
    """The same items with their steered scores, in unsteered order; what a fallback filled in stays behind."""
    base = asked.scores(ranking.items)
    order = np.lexsort((ranking.items, -base, np.arange(len(base)) >= passing))
    return Ranking(ranking.items[order], ranking.scores[order])


def _head(ranking: Ranking, k: int) -> Ranking:
    return ranking if len(ranking.items) <= k else Ranking(ranking.items[:k], ranking.scores[:k])
