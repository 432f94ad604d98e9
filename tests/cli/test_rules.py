from __future__ import annotations

from dataclasses import replace

import pytest

from cli.refuse import UsageRefused
from cli.rules import parse_attribute, parse_channel, parse_filter, parse_soft, told
from client import Rule, filter_out, promote


@pytest.mark.parametrize(
    ("text", "concept", "strength"),
    [("genre:western", "genre:western", None), ("genre:western=0.8", "genre:western", 0.8), ("a:b=c=0", "a:b=c", 0.0)],
)
def test_soft_rule(text: str, concept: str, strength: float | None) -> None:
    assert parse_soft("promote", text, "query") == Rule("promote", concept, strength=strength, channel="query")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("genre:horror + 0.5 genre:thriller=0.8", promote({"genre:horror": 1, "genre:thriller": 0.5}, 0.8)),
        ("0.5 genre:film noir + genre:c+", promote({"genre:film noir": 0.5, "genre:c+": 1})),
        ("genre:rock + roll", promote({"genre:rock": 1, "roll": 1})),
        ("like i3, i17; unlike i4=0.6", promote(like=["i3", "i17"], unlike=["i4"], strength=0.6)),
        ("unlike i4=share:0.9", promote(unlike=["i4"], at_least=0.9)),
        ("items i3,i17", promote(items=["i3", "i17"])),
        ("items i3 toward genre:metal=1", promote(items=["i3"], toward="genre:metal", strength=1)),
        ("custom:cosy", promote("custom:cosy")),
    ],
)
def test_everything_that_a_rule_can_name_as_an_answer_writes_it(text: str, rule: Rule) -> None:
    channel = None if rule.toward else "item"
    assert parse_soft("promote", text) == replace(rule, channel=channel)


def test_a_filter_by_examples() -> None:
    assert parse_filter("like i3, i4") == filter_out(like=["i3", "i4"])
    with pytest.raises(UsageRefused, match=r"like i3; i4: found 'i4' after ';', expected unlike and item ids"):
        parse_filter("like i3; i4")


def test_soft_rule_with_a_share() -> None:
    assert parse_soft("promote", "genre:western=share:0.3") == Rule(
        "promote", "genre:western", channel="item", share=0.3
    )
    assert told(parse_soft("promote", "a:b=share:0.3")) == "promote a:b at least 30%"
    assert told(parse_soft("demote", "a:b=share:0")) == "demote a:b at most 0%"


def test_soft_rule_with_a_strength_that_is_no_number() -> None:
    with pytest.raises(UsageRefused) as refused:
        parse_soft("demote", "genre:western=much")
    assert str(refused.value) == (
        "--demote genre:western=much: found strength 'much', expected a number from 0 to 1 after '=', or 'share:' and "
        "a number."
    )


def test_filter() -> None:
    assert parse_filter("genre:horror") == Rule("filter", "genre:horror")
    assert parse_filter("genre:horror=either") == Rule("filter", "genre:horror", membership="either")
    assert parse_filter("genre:horror=activation") == parse_filter("genre:horror=readout")


def test_filter_takes_no_strength() -> None:
    with pytest.raises(UsageRefused) as refused:
        parse_filter("genre:horror=0.5")
    assert str(refused.value) == (
        "--filter genre:horror=0.5: found '0.5' after '=', expected label | activation | either. "
        "A filter is a promise and takes no strength; use --demote for a soft rule."
    )


def test_channel() -> None:
    assert parse_channel("query") == "query"
    with pytest.raises(UsageRefused) as refused:
        parse_channel("both")
    assert str(refused.value) == "--channel: found 'both', expected item | query."


def test_attribute() -> None:
    assert parse_attribute("surface=a=b") == ("surface", "a=b")
    with pytest.raises(UsageRefused) as refused:
        parse_attribute("kids")
    assert str(refused.value) == "--attribute kids: found no '=', expected NAME=VALUE, such as surface=kids."


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (Rule("promote", "genre:western", strength=0.8, channel="item"), "promote genre:western 0.8"),
        (Rule("promote", "genre:western"), "promote genre:western"),
        (Rule("filter", "genre:horror", membership="either"), "filter genre:horror either"),
        (Rule("filter", "genre:horror"), "filter genre:horror"),
    ],
)
def test_as_a_heading(rule: Rule, text: str) -> None:
    assert told(rule) == text
