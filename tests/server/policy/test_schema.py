from __future__ import annotations

from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

from server.policy.conditions import RolloutEntry, When, WindowEntry
from server.policy.diagnose import CHOICES
from server.policy.load import MEMBERSHIPS
from server.policy.schema import EXPECTED, PolicyEntry, PolicyFile, RuleEntry, ShareEntry
from server.types import DEFAULT_STRENGTH, Action, Channel, Membership

MODELS: list[type[BaseModel]] = [PolicyFile, PolicyEntry, RuleEntry, ShareEntry, When, WindowEntry, RolloutEntry]


@pytest.mark.parametrize("model", MODELS)
def test_every_field_is_described_and_says_what_it_expects(model: type[BaseModel]) -> None:
    for name, info in model.model_fields.items():
        assert info.description, name
        assert EXPECTED[info.alias or name]


def test_choices_are_those_of_the_core() -> None:
    fields = RuleEntry.model_fields
    assert set(get_args(fields["action"].annotation)) == {action.value for action in Action}
    assert set(get_args(fields["channel"].annotation)) == {channel.value for channel in Channel}
    assert set(MEMBERSHIPS.values()) == set(Membership)
    assert MEMBERSHIPS["activation"] is MEMBERSHIPS["readout"] is Membership.READOUT
    assert set(CHOICES["membership"]) == set(MEMBERSHIPS) - {None, "readout"}
    assert set(CHOICES) == {"action", "channel", "mode", "membership", "fallback"}


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
