"""Rules to send: ``promote("genre:western", 0.8)``, ``demote("genre:drama")``, ``filter_out("genre:horror")``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Action = Literal["filter", "demote", "promote"]
Channel = Literal["item", "query"]
Membership = Literal["label", "readout", "either"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, of a request or of an answer. What is None was left to the server, or is not taken by the action."""

    action: Action
    concept: str
    strength: float | None = None
    channel: Channel | None = None
    membership: Membership | None = None
    share: float | None = None


def promote(
    concept: str, strength: float | None = None, *, at_least: float | None = None, channel: Channel | None = None
) -> Rule:
    """Raise the concept's items; ``strength`` 0 (off) to 1, None: 0.5, or ``at_least`` this part of the list."""
    return Rule("promote", concept, strength=strength, channel=channel, share=at_least)


def demote(
    concept: str, strength: float | None = None, *, at_most: float | None = None, channel: Channel | None = None
) -> Rule:
    """Lower the concept's items; ``strength`` 0 (off) to 1, None: 0.5, or ``at_most`` this part of the list."""
    return Rule("demote", concept, strength=strength, channel=channel, share=at_most)


def filter_out(concept: str, *, membership: Membership | None = None) -> Rule:
    """Return no member of the concept; ``membership`` None: by label, for a latent by read-out."""
    return Rule("filter", concept, membership=membership)
