from __future__ import annotations

from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

from server.policy.diagnose import _CHOICES
from server.policy.schema import EXPECTED, PolicyEntry, PolicyFile, RuleEntry
from server.types import DEFAULT_STRENGTH, Action, Channel, Membership

MODELS: list[type[BaseModel]] = [PolicyFile, PolicyEntry, RuleEntry]


@pytest.mark.parametrize("model", MODELS)
def test_every_field_is_described_and_says_what_it_expects(model: type[BaseModel]) -> None:
    for name, info in model.model_fields.items():
        assert info.description, name
        assert EXPECTED[name]


def test_choices_are_those_of_the_core() -> None:
    fields = RuleEntry.model_fields
    assert set(get_args(fields["action"].annotation)) == {action.value for action in Action}
    assert set(get_args(fields["channel"].annotation)) == {channel.value for channel in Channel}
    assert set(_CHOICES["membership"]) == {m.value for m in Membership} - {Membership.DEFAULT.value}
    assert set(_CHOICES) == {"action", "channel", "mode", "membership"}


def test_defaults() -> None:
    entry = PolicyEntry.model_validate(
        {"name": "a", "owner": "b", "rules": [{"action": "demote", "concept": "genre:drama"}]}
    )
    assert (entry.enabled, entry.mode, entry.priority, entry.when, entry.description) == (True, "enforce", 0, None, "")
    assert entry.rules[0].strength == DEFAULT_STRENGTH == 0.5
    assert (entry.rules[0].channel, entry.rules[0].membership) == ("item", None)


def test_models_are_frozen() -> None:
    rule = RuleEntry.model_validate({"action": "filter", "concept": "genre:drama"})
    with pytest.raises(ValidationError, match="Instance is frozen"):
        rule.concept = "genre:comedy"


def test_keys_of_later_versions_are_no_fields_yet() -> None:
    assert set(PolicyEntry.model_fields) == {
        "name", "owner", "description", "enabled", "mode", "priority", "when", "rules",
    }  # fmt: skip
    assert set(RuleEntry.model_fields) == {"action", "concept", "strength", "channel", "membership"}
