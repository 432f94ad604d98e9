"""Runs the cases of `tiller policy test`: what a team expects of its policies, against what they do.

The engine is the server's own, on the bundle's users; without a bundle only which policies fire can be looked at.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bundle.errors import TillerError
from server import bits
from server.catalogue import Catalogue
from server.errors import UnknownConcept
from server.outcome import share
from server.policy import Policy, PolicySet, unmet
from server.policy.cases import Case, RangeEntry
from server.policy.load import MEMBERSHIPS
from server.policy.words import nearest
from server.preview import Sample, choose_users
from server.steer import Engine
from server.types import Answer, Membership, Query

USERS = 50
"""Asked where a list is looked at and the case names nobody."""


class CaseRefused(TillerError):
    """A case cannot be run: it names what is not there, or needs a bundle."""


@dataclass(frozen=True)
class Verdict:
    """One case. ``faults``: a sentence per expectation that does not hold; none: it passed."""

    case: Case
    users: int
    faults: tuple[str, ...]


def run(case: Case, policies: PolicySet, engine: Engine | None) -> Verdict:
    """One case's verdict.

    Raises:
        CaseRefused: the case needs a bundle, or names a policy or concept that is not there.
        SteeringError: the bundle does not know the user, or refuses a rule.
    """
    given, expect = case.entry.given, case.entry.expect
    _check_names(case, policies, engine)
    at = time.time() if given.at is None else given.at.timestamp()
    users = _users(case, engine)
    reached: dict[str, int] = {}
    shadowed: dict[str, int] = {}
    for user in users:
        for policy in policies.chosen(given.attributes, user=user, at=at, mandatory_only=given.ignore_policies):
            side = shadowed if policy.shadow else reached
            side[policy.name] = side.get(policy.name, 0) + 1
    told = _Told(policies, given.attributes, users, at, off=given.ignore_policies)
    faults = [told.misses(name, reached, "fires") for name in expect.fires if reached.get(name, 0) < len(users)]
    if expect.fires_only is not None:
        only = expect.fires_only
        faults += [told.misses(name, reached, "fires_only") for name in only if reached.get(name, 0) < len(users)]
        faults += [f"fires_only: {name} fires as well" for name in reached if name not in only]
    faults += [told.misses(name, shadowed, "shadows") for name in expect.shadows if shadowed.get(name, 0) < len(users)]
    faults += [f"silent: {name} reaches {_part(reached[name], users)}" for name in expect.silent if name in reached]
    for name, ends in expect.reach.items():
        faults += _outside(f"reach {name}", reached.get(name, 0) / len(users), ends)
    if expect.looks_at_lists and engine is not None:
        faults += _list_faults(case, engine, [user for user in users if user is not None], at)
    return Verdict(case, len(users), tuple(faults))


def _list_faults(case: Case, engine: Engine, users: Sequence[str], at: float) -> Iterable[str]:
    given, expect, catalogue = case.entry.given, case.entry.expect, engine.catalogue
    query = Query(
        k=given.k, rules=case.rules, attributes=given.attributes, use_policies=not given.ignore_policies, at=at,
        baseline=expect.overlap is not None,
    )  # fmt: skip
    answers = [(user, engine.recommend(_of(query, user))) for user in users]
    for concept, word in expect.members.items():
        yield from _present(concept, MEMBERSHIPS[word], answers, catalogue)
    for concept, ends in expect.share.items():
        members = catalogue.find(concept).members()
        mean = float(np.mean([share(members, answer.ranking) for _, answer in answers]))
        yield from _outside(f"share {concept}", mean, ends)
    if expect.overlap is not None:
        kept = float(np.mean([1.0 if answer.overlap is None else answer.overlap for _, answer in answers]))
        yield from _outside("overlap", kept, expect.overlap)
    if expect.short is not None:
        wrong = [user for user, answer in answers if (answer.eligible is not None) != expect.short]
        if wrong:
            found = "full" if expect.short else "short"
            yield f"short: the lists of {_part(len(wrong), users)} are {found}, {wrong[0]} for one"


def _present(
    concept: str, membership: Membership, answers: Sequence[tuple[str, Answer]], catalogue: Catalogue
) -> Iterable[str]:
    members = catalogue.find(concept).members(membership)
    found = [(user, row) for user, answer in answers for row in answer.ranking.items.tolist() if bits.has(members, row)]
    if found:
        user, row = found[0]
        who = len({user for user, _ in found})
        yield (
            f"absent {concept}: {len(found)} items in the lists of {_part(who, answers)}; "
            f"{user} sees {catalogue.titles[row] or catalogue.item_ids[row]!r}"
        )


def _of(query: Query, user: str) -> Query:
    return replace(query, user_id=user)


def _outside(what: str, found: float, ends: RangeEntry) -> list[str]:
    if ends.min is not None and found < ends.min:
        return [f"{what}: expected at least {ends.min:g}, found {found:.3f}  {bar(found, ends.min)}"]
    if ends.max is not None and found > ends.max:
        return [f"{what}: expected at most {ends.max:g}, found {found:.3f}  {bar(found, ends.max)}"]
    return []


def bar(found: float, limit: float, width: int = 20) -> str:
    """``####......|...``: what was found, and where the limit is, on a line from 0 to 1."""
    cells = ["#" if place < round(found * width) else "." for place in range(width)]
    cells.insert(round(limit * width), "|")
    return "".join(cells)


@dataclass(frozen=True)
class _Told:
    """Says why a policy does not reach everybody."""

    policies: PolicySet
    attributes: dict[str, str]
    users: Sequence[str | None]
    at: float
    off: bool

    def misses(self, name: str, reached: dict[str, int], what: str) -> str:
        policy = next(policy for policy in self.policies.policies if policy.name == name)
        why = self._why(policy, shadow=what == "shadows")
        count = reached.get(name, 0)
        head = f"{what}: {name} " + (f"reaches only {_part(count, self.users)}" if count else "does not fire")
        return head + (f": {why}" if why else "")

    def _why(self, policy: Policy, *, shadow: bool) -> str:
        if policy.shadow != shadow:
            return "it is in shadow mode" if policy.shadow else "it is enforced, not in shadow mode"
        if self.off and not policy.mandatory:
            return "the request ignores policies, and it is not mandatory"
        for user in self.users:
            said = unmet(policy, self.attributes, user, self.at)
            if said:
                return "; ".join(said)
        return ""


def _users(case: Case, engine: Engine | None) -> list[str | None]:
    given = case.entry.given
    if given.user is not None:
        return [given.user]
    count = given.users or (USERS if case.entry.expect.looks_at_lists else 0)
    if not count or engine is None:
        return [None]
    return list(choose_users(engine.catalogue, Sample(users=count)))


def _check_names(case: Case, policies: PolicySet, engine: Engine | None) -> None:
    place, expect = f"{case.file}:{case.line}: {case.entry.name}", case.entry.expect
    known = [policy.name for policy in policies.policies]
    for name in expect.policies:
        if name not in known:
            near = nearest(name, known)
            hint = f"Did you mean {near[0]!r}?" if near else None
            raise CaseRefused(f"{place}: no policy {name!r} in the folder", hint=hint)
    if engine is None:
        if expect.looks_at_lists or case.entry.given.users is not None:
            raise CaseRefused(f"{place}: looks at lists or at users of a bundle", hint="Name one: --bundle DIR.")
        return
    for concept in (*expect.members, *expect.share):
        try:
            engine.catalogue.find(concept)
        except UnknownConcept as error:
            raise CaseRefused(f"{place}: {error}") from error


def _part(count: int, of: Sequence[object]) -> str:
    return f"{count} of {len(of)} users"
