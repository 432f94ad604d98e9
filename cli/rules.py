"""Rules as they are typed: ``genre:western``, ``genre:western=0.8``, ``genre:horror=either``."""

from __future__ import annotations

from dataclasses import dataclass

from cli.refuse import UsageRefused

MEMBERSHIPS = ("label", "readout", "either")


@dataclass(frozen=True)
class TypedRule:
    """One rule from the command line. ``strength`` None: the server's default; ``membership`` only for a filter."""

    action: str
    concept: str
    strength: float | None = None
    membership: str = ""

    def __str__(self) -> str:
        """``promote genre:western 0.8``, as a heading shows it."""
        extra = self.membership or ("" if self.strength is None else f"{self.strength:g}")
        return f"{self.action} {self.concept} {extra}".rstrip()


def parse_soft(action: str, text: str) -> TypedRule:
    """``CONCEPT`` or ``CONCEPT=STRENGTH`` of a promotion or demotion; the server checks the concept's name."""
    concept, equals, strength = text.rpartition("=")
    if not equals:
        return TypedRule(action, text)
    try:
        return TypedRule(action, concept, float(strength))
    except ValueError:
        raise UsageRefused(
            f"--{action} {text}", found=f"strength {strength!r}", expected="a number from 0 to 1 after '='"
        ) from None


def parse_filter(text: str) -> TypedRule:
    """``CONCEPT`` or ``CONCEPT=label|readout|either`` of a filter; a filter is a promise and takes no strength."""
    concept, equals, membership = text.rpartition("=")
    if not equals:
        return TypedRule("filter", text)
    if membership not in MEMBERSHIPS:
        raise UsageRefused(
            f"--filter {text}",
            found=f"{membership!r} after '='",
            expected=" | ".join(MEMBERSHIPS),
            hint="A filter is a promise and takes no strength; use --demote for a soft rule.",
        )
    return TypedRule("filter", concept, membership=membership)
