"""Rules on more than one concept, and the folder's own concepts, from file to plan."""

from __future__ import annotations

import pytest

from server.errors import PolicyError
from server.policy import PolicySet, changes, check_concepts, compile_files, resolve, rule_in_words
from server.subject import Custom, Examples, Items, Mixture, Toward
from server.types import Action, Status

POLICY = "policies:\n  - name: mine\n    owner: me\n    rules:\n"
CUSTOM = b"""concepts:
  custom:cosy:
    display_name: Cosy crime
    concepts: {genre:mystery: 1, genre:comedy: 0.5}
  custom:picked: {like: ["i2", "i1"], unlike: ["i9"]}
policies: []
"""


def load(*rules: str) -> PolicySet:
    text = POLICY + "".join(f"      - {rule}\n" for rule in rules)
    return compile_files({"mine.yaml": text.encode()}, "policies")


def test_every_subject_is_compiled_to_one_text_whatever_the_order() -> None:
    mixed, examples, items, toward = (
        load(
            "{action: promote, concepts: {genre:thriller: 1, genre:horror: 2}}",
            "{action: demote, like: [b, a], unlike: [c]}",
            "{action: filter, items: [b, a]}",
            "{action: promote, items: [b, a], toward: genre:metal, strength: 1}",
        )
        .policies[0]
        .rules
    )
    assert mixed.subject == Mixture((("genre:horror", 1.0), ("genre:thriller", 0.5)))
    assert mixed.concept == "genre:horror + 0.5 genre:thriller"
    assert examples.subject == Examples(("a", "b"), ("c",))
    assert examples.concept == "like a, b; unlike c"
    assert (items.subject, items.concept) == (Items(("a", "b")), "items a, b")
    assert toward.subject == Toward(("a", "b"), "genre:metal")
    assert [rule_in_words(rule) for rule in (mixed, toward)] == [
        "promote (genre:horror + 0.5 genre:thriller) 0.5", "promote (items a, b toward genre:metal) 1",
    ]  # fmt: skip


def test_a_set_of_one_concept_is_that_concept() -> None:
    (rule,) = load("{action: promote, concepts: {genre:horror: 0.3}}").policies[0].rules
    assert (rule.concept, rule.subject) == ("genre:horror", None)


def test_unlike_alone_is_the_other_action_on_like() -> None:
    (rule,) = load("{action: promote, unlike: [a], share: {min: 0.8}}").policies[0].rules
    assert (rule.action, rule.subject, rule.share) == (Action.DEMOTE, Examples(("a",)), pytest.approx(0.2))
    (rule,) = load("{action: demote, unlike: [a], strength: 0.3}").policies[0].rules
    assert (rule.action, rule.strength) == (Action.PROMOTE, 0.3)


def test_long_lists_are_told_apart_by_their_texts() -> None:
    ids = [f"item-{number}" for number in range(50)]
    first, second = (load(f"{{action: promote, items: {names}}}").policies[0].rules[0] for names in (ids, ids[1:]))
    assert first.concept.startswith("items item-0, ... (50 items, ")
    assert first.concept != second.concept


def test_two_rules_on_one_subject_meet_as_on_one_concept() -> None:
    weak, strong = (load(f"{{action: promote, like: [a], strength: {s}}}").policies[0].rules[0] for s in (0.2, 0.6))
    plan = resolve([weak, strong], lambda _: True)
    assert [(entry.rule.strength, entry.status) for entry in plan.considered] == [
        (0.6, Status.APPLIED), (0.2, Status.OVERRIDDEN),
    ]  # fmt: skip
    with pytest.raises(PolicyError, match=r"each concept in one rule; 'like a, b' is in rules\[0\] already"):
        load("{action: promote, like: [a, b]}", "{action: promote, like: [b, a]}")


def test_concepts_of_ones_own_are_part_of_the_set_and_its_revision() -> None:
    policies = compile_files({"concepts.yaml": CUSTOM}, "policies")
    cosy = Mixture((("genre:mystery", 1.0), ("genre:comedy", 0.5)))
    assert policies.concepts == (
        Custom("custom:cosy", "Cosy crime", cosy, "", "concepts.yaml", 2),
        Custom("custom:picked", "picked", Examples(("i1", "i2"), ("i9",)), "", "concepts.yaml", 5),
    )
    other = compile_files({"concepts.yaml": CUSTOM.replace(b"0.5", b"0.25")}, "policies")
    assert other.revision != policies.revision
    (change,) = changes(policies, other)
    assert (change.name, change.kind) == ("custom:cosy", "changed")
    assert change.what == ("genre:mystery + 0.5 genre:comedy -> genre:mystery + 0.25 genre:comedy",)
    assert [(one.name, one.kind) for one in changes(PolicySet(), policies)] == [
        ("custom:cosy", "added"), ("custom:picked", "added"),
    ]  # fmt: skip


def test_an_id_is_unique_over_the_folder() -> None:
    with pytest.raises(PolicyError) as refused:
        compile_files({"a.yaml": CUSTOM, "b.yaml": CUSTOM}, "policies")
    assert str(refused.value).splitlines()[1] == (
        "  b.yaml:2: concepts.custom:cosy: name taken: found 'custom:cosy'. a.yaml:2 has it already; an id is unique "
        "over the folder."
    )


def test_what_a_bundle_lacks_is_warned_about() -> None:
    text = POLICY + (
        "      - {action: promote, concept: custom:cosy}\n"
        "      - {action: promote, concepts: {genre:mystery: 1, genre:horor: 1}}\n"
        "      - {action: filter, items: [gone, i1]}\n"
        "      - {action: demote, like: [gone]}\n"
    )
    policies = compile_files({"a.yaml": text.encode(), "concepts.yaml": CUSTOM}, "policies")
    assert [str(one) for one in check_concepts(policies, {"genre:mystery", "genre:horror"}, {"i1", "i2"})] == [
        "a.yaml:6: policy mine: the bundle does not offer 'genre:horor', so the promote does nothing. Did you mean "
        "'genre:horror'?",
        "a.yaml:7: policy mine: 1 of its 2 items are not in the bundle, 'gone' for one.",
        "a.yaml:8: policy mine: none of its items is in the bundle ('gone' for one), so the demote does nothing.",
        "concepts.yaml:2: custom:cosy: the bundle does not offer 'genre:comedy', so rules on it do nothing. Did you "
        "mean 'genre:mystery'?",
    ]
