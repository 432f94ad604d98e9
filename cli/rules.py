"""Rules as they are typed: ``genre:western``, ``genre:western=0.8``, ``genre:horror=either``, ``like i3, i17=0.6``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, cast, get_args

from cli.refuse import UsageRefused
from client.rules import Channel, Membership, Rule


def parse_rules(
    promote: Iterable[str] | None, demote: Iterable[str] | None, filter_: Iterable[str] | None, channel: str
) -> list[Rule]:
    """All that was typed in one command, promotions first."""
    where = parse_channel(channel)
    return [
        *(parse_soft("promote", text, where) for text in promote or ()),
        *(parse_soft("demote", text, where) for text in demote or ()),
        *(parse_filter(text) for text in filter_ or ()),
    ]


def parse_soft(action: Literal["demote", "promote"], text: str, channel: Channel = "item") -> Rule:
    """``CONCEPT``, ``CONCEPT=STRENGTH`` or ``CONCEPT=share:PART``; the server checks name and range.

    A share is the part of the list that a promotion gives at least and a demotion leaves at most.
    """
    concept, equals, strength = text.rpartition("=")
    if not equals:
        return about(Rule(action, channel=channel), text)
    number = strength.removeprefix("share:")
    try:
        if number != strength:
            rule = Rule(action, share=float(number), channel=channel)
        else:
            rule = Rule(action, strength=float(strength), channel=channel)
    except ValueError:
        raise UsageRefused(
            f"--{action} {text}",
            found=f"strength {strength!r}",
            expected="a number from 0 to 1 after '=', or 'share:' and a number",
        ) from None
    return about(rule, concept)


def about(rule: Rule, text: str) -> Rule:
    """The rule, about what is typed; the same words as in an answer.

    ``genre:horror``; ``genre:horror + 0.5 genre:thriller``; ``like ID, ID; unlike ID``; ``unlike ID``;
    ``items ID, ID``; ``items ID toward genre:metal``.
    """
    head, _, rest = text.strip().partition(" ")
    if head == "items":
        ids, _, toward = rest.partition(" toward ")
        # Whoever moves items does so in their own place: there is no channel.
        channel = None if toward else rule.channel
        return replace(rule, items=_ids(ids), toward=toward.strip(), channel=channel)
    if head in {"like", "unlike"}:
        first, _, other = rest.partition(";")
        word, _, others = other.strip().partition(" ")
        if word not in {"", "unlike"} or (head == "unlike" and word):
            raise UsageRefused(text, found=f"{other.strip()!r} after ';'", expected="unlike and item ids")
        like, unlike = ((), _ids(first)) if head == "unlike" else (_ids(first), _ids(others))
        return replace(rule, like=like, unlike=unlike)
    parts = [part.strip() for part in text.split(" + ")]
    if len(parts) == 1 and not _WEIGHT.match(parts[0]):
        return replace(rule, concept=text)
    return replace(rule, concepts=dict(_weighted(part) for part in parts))


_WEIGHT = re.compile(r"([0-9.eE+-]+)\s+(?=\S+:)")


def _weighted(part: str) -> tuple[str, float]:
    given = _WEIGHT.match(part)
    if given is None:
        return part, 1.0
    try:
        return part[given.end() :], float(given[1])
    except ValueError:
        raise UsageRefused(part, found=f"weight {given[1]!r}", expected="a number, such as 0.5 genre:horror") from None


def _ids(text: str) -> tuple[str, ...]:
    return tuple(item for part in text.split(",") if (item := part.strip()))


def parse_filter(text: str) -> Rule:
    """``CONCEPT`` or ``CONCEPT=label|activation|either`` of a filter; ``readout`` is the same as ``activation``."""
    concept, equals, membership = text.rpartition("=")
    if not equals:
        return about(Rule("filter"), text)
    membership = "readout" if membership == "activation" else membership  # the word of policy files
    if membership not in get_args(Membership):
        raise UsageRefused(
            f"--filter {text}",
            found=f"{membership!r} after '='",
            expected="label | activation | either",
            hint="A filter is a promise and takes no strength; use --demote for a soft rule.",
        )
    return about(Rule("filter", membership=cast(Membership, membership)), concept)


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
