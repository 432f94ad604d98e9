from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.policy import Policy, PolicySet
from server.types import Action, Rule


def policy(name: str, *, enabled: bool = True, shadow: bool = False, **when: set[str]) -> Policy:
    rule = Rule(Action.FILTER, "genre:horror", 1.0, source=f"policy:{name}", shadow=shadow)
    conditions = tuple((key, frozenset(values)) for key, values in sorted(when.items()))
    return Policy(name, "owner", "", enabled, shadow, 0, conditions, (rule,), "a.yaml", 1, (1,))


def names(policies: PolicySet, **attributes: str) -> list[str]:
    return [rule.source.removeprefix("policy:") for rule in policies.matching(attributes)]


def test_all_conditions_must_hold_and_any_value_of_each_will_do() -> None:
    loaded = PolicySet(
        (
            policy("kids", surface={"kids"}),
            policy("dach", country={"DE", "AT"}, surface={"home", "kids"}),
            policy("always"),
            policy("off", enabled=False),
            policy("trial", shadow=True, surface={"kids"}),
        )
    )
    assert names(loaded) == ["always"]
    assert names(loaded, surface="kids") == ["kids", "always", "trial"]
    assert names(loaded, surface="kids", country="AT") == ["kids", "dach", "always", "trial"]
    assert names(loaded, surface="home", country="AT") == ["dach", "always"]
    assert names(loaded, country="DE") == ["always"]
    assert names(loaded, surface="Kids") == ["always"]
    assert names(loaded, surface="kids", country="FR", other="x") == ["kids", "always", "trial"]


def test_no_policies() -> None:
    assert PolicySet().matching({"surface": "kids"}) == ()
    assert PolicySet().revision == "none"


def test_a_set_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        PolicySet().revision = "x"  # type: ignore[misc]


KEYS, VALUES = ["surface", "segment", "country"], ["a", "b", "c"]
CONDITIONS = st.dictionaries(st.sampled_from(KEYS), st.sets(st.sampled_from(VALUES), min_size=1), max_size=3)


@given(
    conditions=st.lists(st.tuples(st.booleans(), st.booleans(), CONDITIONS, CONDITIONS), max_size=8),
    attributes=st.dictionaries(st.sampled_from([*KEYS, "other"]), st.sampled_from([*VALUES, "d"])),
    only=st.booleans(),
)
def test_the_index_finds_what_looking_at_every_policy_finds(
    conditions: list[tuple[bool, bool, dict[str, set[str]], dict[str, set[str]]]],
    attributes: dict[str, str],
    only: bool,
) -> None:
    policies = tuple(
        dataclasses.replace(
            policy(f"p{i}", enabled=on, **when),
            mandatory=mandatory,
            unless=tuple((key, frozenset(values)) for key, values in unless.items()),
        )
        for i, (on, mandatory, when, unless) in enumerate(conditions)
    )
    expected = [
        f"p{i}"
        for i, (on, mandatory, when, unless) in enumerate(conditions)
        if on
        and (mandatory or not only)
        and all(key in attributes and attributes[key] in values for key, values in when.items())
        and not any(key in attributes and attributes[key] in values for key, values in unless.items())
    ]
    chosen = PolicySet(policies).chosen(attributes, mandatory_only=only)
    assert [one.name for one in chosen] == expected
