"""Rules to send: ``promote("genre:western", 0.8)``, ``demote("genre:drama")``, ``filter_out("genre:horror")``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Action = Literal["filter", "demote", "promote"]
Channel = Literal["item", "query"]
Membership = Literal["label", "readout", "either"]


Concepts = str | Mapping[str, float]
"""One concept, or a set of concepts with a weight each: ``{"genre:horror": 1, "genre:thriller": 0.5}``."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, of a request or of an answer. What is None was left to the server, or is not taken by the action.

    It is about one thing: ``concept``, ``concepts`` with a weight each, item ids as examples (``like``, ``unlike``), or
    ``items``, perhaps moved ``toward`` the audience of a concept. In an answer ``concept`` is the text of any of these.
    """

    action: Action
    concept: str = ""
    strength: float | None = None
    channel: Channel | None = None
    membership: Membership | None = None
    share: float | None = None
    concepts: Mapping[str, float] | None = field(default=None, hash=False)
    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    toward: str = ""

    @property
    def composed(self) -> bool:
        """Whether it is about something else than one concept."""
        return bool(self.concepts or self.like or self.unlike or self.items)


def promote(
    concept: Concepts = "",
    strength: float | None = None,
    *,
    at_least: float | None = None,
    channel: Channel | None = None,
    like: Iterable[str] = (),
    unlike: Iterable[str] = (),
    items: Iterable[str] = (),
    toward: str = "",
) -> Rule:
    """Raise the concept's items; ``strength`` 0 (off) to 1, None: 0.5, or ``at_least`` this part of the list.

    In the concept's place: item ids to be ``like``, or ``unlike``; or ``items`` themselves, which with ``toward`` are
    moved toward the audience of that concept.
    """
    name, concepts = _named(concept)
    return Rule(
        "promote", name, strength, channel, share=at_least, concepts=concepts, like=tuple(like), unlike=tuple(unlike),
        items=tuple(items), toward=toward,
    )  # fmt: skip


def demote(
    concept: Concepts = "",
    strength: float | None = None,
    *,
    at_most: float | None = None,
    channel: Channel | None = None,
    like: Iterable[str] = (),
    unlike: Iterable[str] = (),
    items: Iterable[str] = (),
) -> Rule:
    """Lower the concept's items; ``strength`` 0 (off) to 1, None: 0.5, or ``at_most`` this part of the list.

    In the concept's place: item ids to be ``like``, or ``unlike``; or ``items`` themselves.
    """
    name, concepts = _named(concept)
    return Rule(
        "demote", name, strength, channel, share=at_most, concepts=concepts, like=tuple(like), unlike=tuple(unlike),
        items=tuple(items),
    )  # fmt: skip


def filter_out(
    concept: Concepts = "",
    *,
    membership: Membership | None = None,
    like: Iterable[str] = (),
    unlike: Iterable[str] = (),
    items: Iterable[str] = (),
) -> Rule:
    """Return no member of the concept; ``membership`` None: by label, for a latent and examples by read-out.

    In the concept's place: item ids to be ``like`` and not ``unlike``; or ``items`` themselves.
    """
    name, concepts = _named(concept)
    return Rule(
        "filter", name, membership=membership, concepts=concepts, like=tuple(like), unlike=tuple(unlike),
        items=tuple(items),
    )  # fmt: skip


def _named(concept: Concepts) -> tuple[str, Mapping[str, float] | None]:
    return (concept, None) if isinstance(concept, str) else ("", dict(concept))
