from __future__ import annotations

import pytest

from cli.refuse import UsageRefused
from cli.rules import TypedRule, parse_filter, parse_soft


@pytest.mark.parametrize(
    ("text", "concept", "strength"),
    [("genre:western", "genre:western", None), ("genre:western=0.8", "genre:western", 0.8), ("a:b=c=0", "a:b=c", 0.0)],
)
def test_soft_rule(text: str, concept: str, strength: float | None) -> None:
    assert parse_soft("promote", text) == TypedRule("promote", concept, strength)


def test_soft_rule_with_a_strength_that_is_no_number() -> None:
    with pytest.raises(UsageRefused) as refused:
        parse_soft("demote", "genre:western=much")
    assert str(refused.value) == (
        "--demote genre:western=much: found strength 'much', expected a number from 0 to 1 after '='."
    )


def test_filter() -> None:
    assert parse_filter("genre:horror") == TypedRule("filter", "genre:horror")
    assert parse_filter("genre:horror=either") == TypedRule("filter", "genre:horror", membership="either")


def test_filter_takes_no_strength() -> None:
    with pytest.raises(UsageRefused) as refused:
        parse_filter("genre:horror=0.5")
    assert str(refused.value) == (
        "--filter genre:horror=0.5: found '0.5' after '=', expected label | readout | either. "
        "A filter is a promise and takes no strength; use --demote for a soft rule."
    )


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (TypedRule("promote", "genre:western", 0.8), "promote genre:western 0.8"),
        (TypedRule("promote", "genre:western"), "promote genre:western"),
        (TypedRule("filter", "genre:horror", membership="either"), "filter genre:horror either"),
    ],
)
def test_as_a_heading(rule: TypedRule, text: str) -> None:
    assert str(rule) == text
