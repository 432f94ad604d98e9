"""A request's way through the core: one snapshot, one plan, one list.

validate -> plan (request rules + matching policies) -> user vector -> base list -> edits -> steered list -> explain

Several requests go through it step by step: all take one step before any takes the next, so that each but the first
finds the step's code in the core's cache, and what the scorer is asked is asked in one go (docs/decisions/027). Nothing
of a request depends on who goes with it, and its answer has the bits that it has alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from bundle import Bundle, dose
from server import bits, edits, fallback, outcome, targets
from server.asked import LISTED, Asked, ask, prepare
from server.bits import BitArray
from server.catalogue import Catalogue
from server.encoder import Encoder
from server.explain import explain
from server.kept import Kept
from server.policy import Policy, PolicySet, resolve
from server.question import ask_together, most_together, question_of
from server.ready import Ready
from server.retrieval import FlatRetriever, Retriever, open_retriever
from server.run import Clock, Run, each
from server.settings import Limits
from server.subject import Toward
from server.toward import Pusher
from server.types import Action, Answer, Effect, Explanation, Order, Plan, Query, Ranking, Rule, Standing
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
        """Requests that are scored in less time together than one after the other; 1: none."""
        return most_together(self.retriever)

    def recommend(self, query: Query, until: float = math.inf) -> Answer:
        """Answer one request.

        Args:
            query: what is asked.
            until: when nobody waits for it any more, by ``time.perf_counter``.

        Raises:
            SteeringError: the request is refused; ``field`` says which part of it.
        """
        (answer,) = self.recommend_each((query,), (until,))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def recommend_each(self, queries: Sequence[Query], until: Sequence[float]) -> list[Answer | Exception]:
        """Answer several requests, each as ``recommend`` does or with what that would raise.

        Args:
            queries: what is asked.
            until: of each, when nobody waits for it any more.
        """
        runs = [Run(query, Clock(end)) for query, end in zip(queries, until, strict=True)]
        each(self._plan, runs)
        if len(runs) > 1 and isinstance(self.retriever, FlatRetriever):
            going = [run for run in runs if run.result is None]
            seconds = ask_together(self.retriever, [(run.query, run.question) for run in going])
            for run in going:
                run.clock.add("search", seconds)
        for step in (self._search, self._edit, self._steer, self._tell):
            each(step, runs)
        return [run.result for run in runs if run.result is not None]

    def _plan(self, run: Run) -> None:
        """Refuse the request, or know what is to be done and for whom."""
        validate(run.query, self.catalogue, self.limits)
        ready = self._ready(run.query)
        run.clock.lap("plan")
        run.question = question_of(run.query, ready, self.catalogue, self.encoder)
        run.clock.lap("user")

    def _search(self, run: Run) -> None:
        """The unsteered list; where nothing but filters acts, that is the answer."""
        query, question = run.query, run.question
        ready = question.ready
        if question.listed is not None and len(question.listed.items) == query.k:
            self._plain(run, question.listed)
            return
        excluded, run.unknown_excluded = self._excluded(query.exclude)
        if query.exclude_history:
            seen = bits.of_rows(np.array(question.history, np.int64), len(self.retriever))
            excluded = seen if excluded is None else excluded | seen
        run.excluded, allowed = excluded, ready.allowed(excluded)
        asked = ask(
            self.retriever,
            question.x,
            question.query,
            self.catalogue.vectors,
            unit=self.catalogue.bundle.manifest.metric == "cosine",
            rules=bool(ready.soft),
            listed=ready.is_slight and allowed is None and 4 * query.k <= LISTED,
            columns=self.catalogue.columns,
            scores=question.scores,
        )
        run.clock.lap("mask")
        run.depth = max(query.k, dose.depth(query.k)) if ready.soft or query.explain else query.k
        base = asked.search(run.depth, allowed)
        run.clock.lap("search")
        if query.is_plain and not ready.soft and len(base.items) == query.k:
            self._plain(run, base)
        else:
            run.asker = edits.Asker(question.x, asked, allowed, base, query.k)

    def _plain(self, run: Run, listed: Ranking) -> None:
        """Answer a plain request whose list is there: what the steps that follow would come to."""
        ready = run.question.ready
        run.result = self._answer(run, listed, outcome.effects(ready.plan, (), listed, None, self.catalogue))
        run.clock.lap("explain")

    def _edit(self, run: Run) -> None:
        """The soft rules as edits, and the question moved by them: given strengths first, then shares, then the cap."""
        assert self.pusher is not None  # __post_init__
        ready, asker = run.question.ready, run.asker
        made = edits.make_edits(ready, self.encoder, self.pusher, asker)
        moved = edits.displaced(asker.asked, made)
        made += targets.solve(ready.shares, made, self.catalogue, asker, moved)
        run.made = edits.capped(made, asker, self.limits.max_displacement)
        run.moved = moved if run.made is made else edits.displaced(asker.asked, run.made)
        run.clock.lap("edit")

    def _steer(self, run: Run) -> None:
        """The steered list, with its empty places filled where a policy says so."""
        query, question, asker, moved, made = run.query, run.question, run.asker, run.moved, run.made

        def search(k: int, among: BitArray) -> Ranking:
            base = asker.asked.search(run.depth, among)
            return _steered(edits.Asker(question.x, asker.asked, among, base, k), moved, made)

        passing = _steered(asker, moved, made)
        ranking = fallback.filled(
            passing, query.k, question.ready.plan, excluded=run.excluded, catalogue=self.catalogue, search=search
        )
        if query.order is Order.BASE and made:
            ranking = _by_base(ranking, asker.asked, len(passing.items))
        run.passing, run.ranking, run.unsteered = len(passing.items), ranking, asker.base
        if question.ready.filters and (query.baseline or query.explain):
            run.unsteered = asker.asked.search(run.depth, None if run.excluded is None else ~run.excluded)
        run.clock.lap("search")

    def _tell(self, run: Run) -> None:
        """What the answer says beside its list."""
        query, question, asker, made, ranking = run.query, run.question, run.asker, run.made, run.ranking
        plan, allowed, items = question.ready.plan, asker.allowed, len(self.retriever)
        explanations: tuple[Explanation, ...] = ()
        if query.explain:
            named = [entry.rule for entry in plan.considered]
            explanations = explain(ranking, asker.asked, run.unsteered, made, self.catalogue, named=named)
        baseline = _head(run.unsteered, query.k) if query.baseline else None
        eligible = None
        if run.passing < query.k:
            eligible = items if allowed is None else bits.count(allowed, items)
        fill = ranking.items[run.passing :]
        effects = outcome.effects(plan, made, ranking, baseline, self.catalogue)
        run.result = self._answer(
            run,
            ranking,
            fallback.told(effects, fill, self.catalogue) if len(fill) else effects,
            baseline=baseline,
            overlap=outcome.overlap(ranking, baseline),
            explanations=explanations,
            unknown_excluded=run.unknown_excluded,
            eligible=eligible,
            filled=len(fill),
            short_reason="" if eligible is None else outcome.why_short(plan, run.excluded, eligible, items, query.k),
        )
        run.clock.lap("explain")

    def _answer(self, run: Run, ranking: Ranking, effects: tuple[Effect, ...], **rest: Any) -> Answer:
        query, question = run.query, run.question
        history = None
        if query.history is not None:
            read = min(len(question.history), self.encoder.history_length)
            history = read, len(query.history) - len(question.history)
        return Answer(
            ranking=ranking,
            effects=effects,
            bundle_id=self.bundle_id,
            policy_revision=self.policy_revision,
            timings=run.clock.laps,
            history=history,
            marks=run.clock.marks,
            plan=question.ready.plan if question.ready.kept else None,
            incoming=None if query.user_id is not None and query.vector is None else question.x,
            **rest,
        )

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


def _steered(asker: edits.Asker, moved: Asked, made: list[edits.Edit]) -> Ranking:
    """The answer's list; with no edit it is the head of the base list, bit for bit (law 1)."""
    if not made:
        return _head(asker.base, asker.k)
    base = asker.base if moved is asker.asked else None
    return moved.steered(asker.k, edits.gains(made, moved), asker.allowed, base)


def _by_base(ranking: Ranking, asked: Asked, passing: int) -> Ranking:
    """The same items with their steered scores, in unsteered order; what a fallback filled in stays behind."""
    base = asked.scores(ranking.items)
    order = np.lexsort((ranking.items, -base, np.arange(len(base)) >= passing))
    return Ranking(ranking.items[order], ranking.scores[order])


def _head(ranking: Ranking, k: int) -> Ranking:
    return ranking if len(ranking.items) <= k else Ranking(ranking.items[:k], ranking.scores[:k])
