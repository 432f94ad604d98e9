"""What a rule can name besides one concept, as plain data: weighted concepts, examples, items, items toward somebody.

Every one has a canonical text (``genre:horror + 0.5 genre:thriller``, ``like i3, i17``), which is a rule's ``concept``
where rules are compared, explained and logged: two rules that name the same have the same text. The same faults are
found whether a rule comes over the wire, from a policy file or from a custom concept; whoever found them says so.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MAX_PARTS = 32
"""Concepts of a set."""

MAX_ITEMS = 1000
"""Item ids of a rule, all together."""

MAX_WEIGHT = 1000.0
SPELT, SPELT_CHARACTERS = 4, 80
"""Item ids that a text spells out, and how long they may be together; of more it has the first ones and a digest."""

CUSTOM_FAMILY = "custom"


@dataclass(frozen=True, slots=True)
class Mixture:
    """A weighted set of concepts: (id, weight), heaviest first; the largest weight is 1."""

    parts: tuple[tuple[str, float], ...]

    @property
    def concepts(self) -> tuple[str, ...]:
        """Concepts that it is made of; all are needed."""
        return tuple(concept for concept, _ in self.parts)

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Items that it is made of; one that is known is enough."""
        return ()

    def __str__(self) -> str:
        return " + ".join(concept if weight == 1 else f"{weight:.6g} {concept}" for concept, weight in self.parts)


@dataclass(frozen=True, slots=True)
class Examples:
    """What items of ``like`` have in common that the average item has not, or that items of ``unlike`` have not."""

    like: tuple[str, ...]
    unlike: tuple[str, ...] = ()

    @property
    def concepts(self) -> tuple[str, ...]:
        """See Mixture."""
        return ()

    @property
    def item_ids(self) -> tuple[str, ...]:
        """See Mixture; without one of these there is nothing to be like."""
        return self.like

    def __str__(self) -> str:
        return f"like {_spelt(self.like)}" + (f"; unlike {_spelt(self.unlike)}" if self.unlike else "")


@dataclass(frozen=True, slots=True)
class Items:
    """These items and no others."""

    item_ids: tuple[str, ...]

    @property
    def concepts(self) -> tuple[str, ...]:
        """See Mixture."""
        return ()

    def __str__(self) -> str:
        return f"items {_spelt(self.item_ids)}"


@dataclass(frozen=True, slots=True)
class Toward:
    """These items, moved toward the audience of a concept; only to be promoted."""

    item_ids: tuple[str, ...]
    audience: str

    @property
    def concepts(self) -> tuple[str, ...]:
        """See Mixture."""
        return (self.audience,)

    def __str__(self) -> str:
        return f"items {_spelt(self.item_ids)} toward {self.audience}"


Subject = Mixture | Examples | Items | Toward


def kind_of(subject: Subject) -> str:
    """What is named where a text would have items in it, or be one of too many: "set", "like", "items", "toward"."""
    kinds = {Mixture: "set", Examples: "like", Items: "items", Toward: "toward"}
    return kinds[type(subject)]


@dataclass(frozen=True, slots=True)
class Custom:
    """A named concept of the policy folder. ``line``: where it stands in ``file``, 1-based."""

    id: str
    display_name: str
    subject: Subject
    description: str = ""
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """Why what was given names nothing: the ``field`` it is about, as in google.rpc.BadRequest."""

    field: str
    what: str
    found: str | None = None
    expected: str | None = None
    hint: str | None = None


@dataclass(frozen=True)
class Given:
    """What a rule or custom concept says about its subject, as it came."""

    concept: str = ""
    concepts: Mapping[str, float] = field(default_factory=dict)
    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    toward: str = ""

    @property
    def ways(self) -> list[str]:
        """Which ways of naming something it uses; one is right."""
        ways = {
            "concept": self.concept,
            "concepts": self.concepts,
            "like": self.like,
            "unlike": not self.like and self.unlike,
            "items": self.items,
        }
        return [name for name, value in ways.items() if value]

    @property
    def reversed(self) -> bool:
        """Only ``unlike``: whoever promotes it demotes what is like it."""
        return bool(self.unlike) and not self.like

    def fault(self) -> Fault | None:
        """The first thing that is wrong; None: ``named`` says what is meant."""
        ways = self.ways
        if len(ways) != 1:
            expected = "one of concept, concepts, like and unlike, items"
            if not ways:
                return Fault("concept", "nothing is named", expected=expected)
            return Fault(ways[1], f"a second subject beside {ways[0]}", expected=expected)
        if self.toward and not self.items:
            hint = "Only items are moved toward an audience: name them in items."
            return Fault("toward", "without items", self.toward, "no toward", hint)
        return self._wrong_weights() or self._wrong_ids()

    def misfit(self, action: str, *, query: bool, share: bool) -> Fault | None:
        """Why a rule with this action ("filter", ...), on the ``query`` channel or with a ``share``, cannot name it."""
        if self.toward and (action != "promote" or share):
            hint = "Items toward an audience have a place of their own in every list. Leave toward out."
            return Fault("toward", f"not taken by a {'share' if share else action}", self.toward, "no toward", hint)
        if self.items and query:
            hint = "Items have no direction that a user could be moved along; name them as examples: like."
            return Fault("channel", "not taken with items", "query", "item", hint)
        if self.reversed and action == "filter":
            hint = "Promote unlike is soft; to return nothing that is like these, filter like."
            return Fault("unlike", "not taken by a filter without like", f"{len(self.unlike)} items", "like", hint)
        return None

    def named(self) -> tuple[str, Subject | None]:
        """The name that rules are compared by, and the subject; None where that is one concept. Only without a fault.

        A set of one concept is that concept. Only ``unlike`` gives what is *like* these: see ``reversed``.
        """
        if self.concept:
            return self.concept, None
        subject: Subject
        if self.concepts:
            if len(self.concepts) == 1:
                return next(iter(self.concepts)), None
            most = max(self.concepts.values())
            parts = ((concept, weight / most) for concept, weight in self.concepts.items())
            subject = Mixture(tuple(sorted(parts, key=lambda part: (-part[1], part[0]))))
        elif self.items:
            ids = tuple(sorted(self.items))
            subject = Toward(ids, self.toward) if self.toward else Items(ids)
        elif self.like:
            subject = Examples(tuple(sorted(self.like)), tuple(sorted(self.unlike)))
        else:
            subject = Examples(tuple(sorted(self.unlike)))
        return str(subject), subject

    def _wrong_weights(self) -> Fault | None:
        if len(self.concepts) > MAX_PARTS:
            return Fault("concepts", "too many", str(len(self.concepts)), f"at most {MAX_PARTS}")
        for concept, weight in self.concepts.items():
            if not (math.isfinite(weight) and 0 < weight <= MAX_WEIGHT):
                hint = "Leave the concept out, or demote it in a rule of its own." if weight <= 0 else None
                return Fault(f"concepts.{concept}", "weight", f"{weight:g}", f"above 0, at most {MAX_WEIGHT:g}", hint)
        return None

    def _wrong_ids(self) -> Fault | None:
        seen: dict[str, str] = {}
        for name in ("like", "unlike", "items"):
            for place, item_id in enumerate(getattr(self, name)):
                if not item_id or item_id in seen:
                    other = f"each item once; it is in {seen[item_id]} already" if item_id else "an item id"
                    return Fault(f"{name}[{place}]", "item id", repr(item_id[:SPELT_CHARACTERS]), other)
                seen[item_id] = f"{name}[{place}]"
        if len(seen) > MAX_ITEMS:
            return Fault(self.ways[0], "too many items", str(len(seen)), f"at most {MAX_ITEMS}")
        return None


def custom_fault(given: Given) -> Fault | None:
    """The first thing that is wrong with what a custom concept is made of."""
    if not given.ways:
        return Fault("concepts", "nothing is said", expected="concepts, like (with or without unlike) or items")
    if (fault := given.fault()) is not None:
        return fault
    if given.reversed:
        hint = "A concept is what items are like: name these in like, and demote it."
        return Fault("unlike", "without like", f"{len(given.unlike)} items", "like", hint)
    nested = next((concept for concept in given.concepts if concept.startswith(f"{CUSTOM_FAMILY}:")), None)
    if nested is not None:
        hint = "Write out what that one is made of."
        return Fault("concepts", "made of a custom concept", nested, "concepts of the bundle", hint)
    return None


def parts_of(subject: Subject) -> Given:
    """The way back: what a message or a file says of a subject."""
    if isinstance(subject, Mixture):
        return Given(concepts=dict(subject.parts))
    if isinstance(subject, Examples):
        return Given(like=subject.like, unlike=subject.unlike)
    return Given(items=subject.item_ids, toward=subject.audience if isinstance(subject, Toward) else "")


def _spelt(item_ids: Iterable[str]) -> str:
    ids = tuple(item_ids)
    if len(ids) <= SPELT and sum(map(len, ids)) <= SPELT_CHARACTERS:
        return ", ".join(ids)
    digest = hashlib.sha256("\0".join(ids).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{ids[0][:SPELT_CHARACTERS]}, ... ({len(ids)} items, {digest})"
