"""Rules as they are typed: ``genre:western``, ``genre:western=0.8``, ``genre:horror=either``."""

from __future__ import annotations

from typing import Literal, cast, get_args

from cli.refuse import UsageRefused
from client.rules import Channel, Membership, Rule


def parse_soft(action: Literal["demote", "promote"], text: str, channel: Channel = "item") -> Rule:
    """``CONCEPT``, ``CONCEPT=STRENGTH`` or ``CONCEPT=share:PART``; the server checks name and range.

    A share is the part of the list that a promotion gives at least and a demotion leaves at most.
    """
    concept, equals, strength = text.rpartition("=")
    if not equals:
        return Rule(action, text, channel=channel)
    number = strength.removeprefix("share:")
    try:
        if number != strength:
            return Rule(action, concept, share=float(number), channel=channel)
        return Rule(action, concept, strength=float(strength), channel=channel)
    except ValueError:
        raise UsageRefused(
            f"--{action} {text}",
            found=f"strength {strength!r}",
            expected="a number from 0 to 1 after '=', or 'share:' and a number",
        ) from None


def parse_filter(text: str) -> Rule:
    """``CONCEPT`` or ``CONCEPT=label|activation|either`` of a filter; ``readout`` is the same as ``activation``."""
    concept, equals, membership = text.rpartition("=")
    if not equals:
        return Rule("filter", text)
    membership = "readout" if membership == "activation" else membership  # the word of policy files
    if membership not in get_args(Membership):
        raise UsageRefused(
            f"--filter {text}",
            found=f"{membership!r} after '='",
            expected="label | activation | either",
            hint="A filter is a promise and takes no strength; use --demote for a soft rule.",
        )
    return Rule("filter", concept, membership=cast(Membership, membership))


def parse_channel(text: str) -> Channel:
    """``item`` or ``query``."""
    if text not in get_args(Channel):
        raise UsageRefused("--channel", found=repr(text), expected=" | ".join(get_args(Channel)))
    return cast(Channel, text)


def parse_attribute(text: str) -> tuple[str, str]:
    """``NAME=VALUE``."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageRefused(f"--attribute {text}", found="no '='", expected="NAME=VALUE, such as surface=kids")
    return name, value


def told(rule: Rule) -> str:
    """``promote genre:western 0.8``, as a heading shows it."""
    if rule.share is not None:
        return f"{rule.action} {rule.concept} {'at least' if rule.action == 'promote' else 'at most'} {rule.share:.0%}"
    extra = rule.membership if rule.action == "filter" else None if rule.strength is None else f"{rule.strength:g}"
    return f"{rule.action} {rule.concept}" + (f" {extra}" if extra else "")
