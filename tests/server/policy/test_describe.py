from __future__ import annotations

from pathlib import Path

import pytest

from server.policy import Change, PolicySet, changes, compile_files, conditions, load_policies, rule_in_words

ROOT = Path(__file__).parents[3]
RULES = "rules: [{action: promote, concept: genre:comedy, strength: 0.4}]"


def compiled(*policies: str) -> PolicySet:
    return compile_files({"a.yaml": ("policies:\n" + "\n".join(policies) + "\n").encode()}, "policies")


def one(more: str, rules: str = RULES, name: str = "a") -> str:
    return f"  - {{name: {name}, owner: o, {more}{', ' if more else ''}{rules}}}"


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("surface: kids", ["surface is kids"]),
        ("country: {not: [US, CA]}, surface: [home, search]",
         ["surface is home or search", "country is not CA or US"]),
        ("rollout: 10", ["10 % of the users"]),
        ("rollout: {percent: 0.5, by: session, salt: spring}", ["0.5 % of the values of session, salt spring"]),
        ("time: {timezone: Europe/Berlin, days: [sat, sun], hours: '18:00-24:00'}",
         ["on sat, sun 18:00-24:00 (Europe/Berlin)"]),
        ("time: [{timezone: UTC, hours: ['06:00-08:00', '22:00-02:00']}, {timezone: UTC, days: mon}]",
         ["06:00-08:00 and 22:00-02:00 (UTC) or on mon (UTC)"]),
        ("time: {timezone: Europe/Berlin, from: 2026-12-01, until: 2026-12-24}",
         ["from 2026-12-01 00:00 until 2026-12-25 00:00 (Europe/Berlin)"]),
    ],
)  # fmt: skip
def test_conditions_in_words(when: str, said: list[str]) -> None:
    (policy,) = compiled(one(f"when: {{{when}}}")).policies
    assert conditions(policy) == said


def test_the_same_policies_elsewhere_are_the_same() -> None:
    first = compile_files({"a.yaml": b"policies:\n" + one("").encode()}, "here")
    second = compile_files({"b.yaml": b"# moved\npolicies:\n\n" + one("").encode()}, "there")
    assert first.revision != second.revision
    assert changes(first, second) == []


def test_what_is_added_removed_and_changed() -> None:
    old = compiled(one("priority: 3, when: {surface: kids}"), one("", name="gone"), one("mandatory: true", name="same"))
    new = compiled(
        one("mode: shadow, when: {surface: home}", "rules: [{action: filter, concept: genre:horror, membership: either,"
            " fallback: fill}]"),
        one("enabled: false, mandatory: true", name="fresh"), one("mandatory: true", name="same"),
    )  # fmt: skip
    assert changes(old, new) == [
        Change("a", "changed", (
            "shadow: false -> true", "priority: 3 -> 0", "without when surface is kids", "with when surface is home",
            "without promote genre:comedy 0.4", "with filter genre:horror (either, fills)",
        )),
        Change("fresh", "added", ("promote genre:comedy 0.4", "mandatory", "disabled")),
        Change("gone", "removed", ("promote genre:comedy 0.4",)),
    ]  # fmt: skip


def test_a_share_in_words() -> None:
    rules = (
        "rules: [{action: promote, concept: genre:comedy, share: {min: 0.3}}, "
        "{action: demote, concept: genre:drama, share: {max: 0.125}}]"
    )
    (policy,) = compiled(one("", rules)).policies
    said = ["promote genre:comedy to at least 30 %", "demote genre:drama to at most 12.5 %"]
    assert [rule_in_words(rule) for rule in policy.rules] == said
    assert [(rule.strength, rule.share) for rule in policy.rules] == [(1.0, 0.3), (1.0, 0.125)]


def test_every_part_of_an_example_is_said() -> None:
    examples = load_policies(ROOT / "examples" / "policies")
    for change in changes(PolicySet(), examples):
        assert change.kind == "added"
        assert any(word.startswith(("filter", "demote", "promote")) for word in change.what)
