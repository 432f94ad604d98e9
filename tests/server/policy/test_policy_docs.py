"""docs/policies.md and examples/policies say what is so."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from server.decisions import decision
from server.policy import PolicyEntry, PolicyError, PolicyFile, PolicySet, RuleEntry, check_attributes, load_policies
from server.policy.cases import ExpectEntry, GivenEntry, load_cases
from server.policy.conditions import MAX_TEXT, MAX_VALUES, MAX_WINDOWS, RESERVED, RolloutEntry, When, WindowEntry
from server.policy.load import MAX_FILE_BYTES, MAX_FILES
from server.policy.naming import MAX_DESCRIPTION
from server.policy.rollout import place
from server.policy.schema import MAX_POLICIES, MAX_RULES
from server.types import Action, Answer, Considered, Effect, Query, Ranking, Rule, Status

ROOT = Path(__file__).parents[3]
DOCS = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
EXAMPLES = ROOT / "examples" / "policies"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", DOCS, flags=re.MULTILINE | re.DOTALL)


def test_the_tables_name_every_field_and_no_other() -> None:
    documented = set(re.findall(r"^\| `([a-z]+)` \|.*\|.*\|.*\|$", DOCS, flags=re.MULTILINE))
    assert documented == set(PolicyEntry.model_fields) | set(RuleEntry.model_fields)
    assert all(f"`{name}`" in DOCS for name in PolicyFile.model_fields)


def test_defaults_are_those_of_the_schema() -> None:
    row = re.compile(r"^\| `([a-z]+)` \|.*\| (.*?) \| .* \|$", flags=re.MULTILINE)
    said = dict(row.findall(DOCS))
    entry, rule = PolicyEntry.model_fields, RuleEntry.model_fields
    required = {name for fields in (entry, rule) for name, info in fields.items() if info.is_required()}
    assert {name for name, default in said.items() if default == "required"} == required
    assert said["enabled"] == f"`{str(entry['enabled'].default).lower()}`"
    assert said["mode"] == f"`{entry['mode'].default}`"
    assert said["priority"] == str(entry["priority"].default)
    assert said["strength"] == str(rule["strength"].default)
    assert said["channel"] == f"`{rule['channel'].default}`"


def test_limits_statuses_and_reserved_names_are_the_real_ones() -> None:
    numbers = [int(n) for n in re.findall(r"^\| .* \| (\d+)(?: bytes| characters)? \|$", DOCS, flags=re.MULTILINE)]
    assert numbers == [
        MAX_FILES, MAX_FILE_BYTES, MAX_POLICIES, MAX_RULES, MAX_VALUES, MAX_WINDOWS, MAX_TEXT, MAX_DESCRIPTION
    ]  # fmt: skip
    assert all(f"`{status.name}`" in DOCS for status in Status)
    assert all(f"`{name}`" in DOCS for name in RESERVED)


def test_the_files_that_the_page_shows_are_valid(tmp_path: Path) -> None:
    shown = blocks("yaml")
    assert len(shown) == 6
    for number, text in enumerate(shown):
        (tmp_path / f"{number}.yaml").write_text(text, encoding="utf-8")
    assert len(load_policies(tmp_path).policies) == 7


def test_the_refusal_that_the_page_shows_is_the_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("policies").mkdir()
    (malformed,) = blocks("yaml malformed")
    (message,) = (block for block in blocks("text") if block.startswith("policies: "))
    Path("policies/many_at_once.yaml").write_text(malformed, encoding="utf-8")
    with pytest.raises(PolicyError) as refused:
        load_policies(Path("policies"))
    assert str(refused.value) + "\n" == message


def test_the_conditions_are_all_named() -> None:
    keys = [info.alias or name for model in (WindowEntry, RolloutEntry) for name, info in model.model_fields.items()]
    when = DOCS[DOCS.index("### When") : DOCS.index("### When too few")]
    assert [key for key in (*When.model_fields, *keys) if not re.search(rf"\b{key}\b", when)] == []


def test_the_place_that_the_page_defines_is_the_real_one() -> None:
    assert 'sha256(salt + "\\0" + key), big endian, / 2^64' in DOCS
    digest = hashlib.sha256(b"search-more-westerns\x00u7").digest()
    assert place("search-more-westerns", "u7") == int.from_bytes(digest[:8], "big") / 2**64


def test_the_case_that_the_page_shows_holds_and_its_keys_are_all_explained(tmp_path: Path) -> None:
    (shown,) = blocks("yaml cases")
    (tmp_path / "cases.yaml").write_text(shown, encoding="utf-8")
    (case,) = load_cases([tmp_path])
    assert set(case.entry.expect.policies) <= {policy.name for policy in load_policies(EXAMPLES).policies}
    tables = DOCS[DOCS.index("| given |") : DOCS.index("What does not hold")]
    explained = {key for row in tables.splitlines() if row.startswith("| `") for key in re.findall(r"`(\w+)`", row)}
    assert {*GivenEntry.model_fields, *ExpectEntry.model_fields} <= explained


def test_the_decision_that_the_page_shows_has_the_real_keys() -> None:
    (shown,) = blocks("json")
    rule = Rule(Action.FILTER, "genre:horror", 1.0, source="policy:kids-no-horror")
    effect = Effect(Considered(rule, Status.APPLIED), share_before=0.2, share_after=0.0)
    nothing = Ranking(np.zeros(0, np.int64), np.zeros(0, np.float32))
    real = decision(0.0, "9f2c", Query(k=10), Answer(nothing, (effect,), "c8d1", "505f7d651b2d", {}, overlap=0.8))
    said = json.loads(shown)
    assert list(said) == list(real)
    assert list(said["rules"][0]) == list(real["rules"][0])


def test_the_python_of_the_page_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    (code,) = blocks("python")
    exec(compile(code, "docs/policies.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "applied filter genre:horror policy:kids-no-horror "
    assert lines[3] == (
        "unknown_concept filter genre:thriller policy:kids-no-horror "
        "this bundle does not offer genre:thriller: the filter cannot be held, such items may be returned"
    )
    assert lines[4] == (
        "kids.yaml:15: policy kids-no-horror: the bundle does not offer 'genre:thriller', so the filter cannot be held."
    )
    assert len(lines) == 5


@pytest.fixture(scope="module")
def examples() -> PolicySet:
    return load_policies(EXAMPLES)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, []),
        ({"surface": "kids"}, ["kids-no-horror"] * 2 + ["kids-family-first"] * 2),
        ({"surface": "home", "country": "DE"}, ["home-documentary-month"]),
        (
            {"surface": "home", "country": "CH", "segment": "new"},
            ["home-documentary-month", "home-less-horror-for-new-users"],
        ),
        ({"surface": "home", "country": "FR"}, []),
        ({"surface": "search"}, ["search-comedy-trial"]),
    ],
)
def test_the_examples_match_as_their_comments_say(
    examples: PolicySet, attributes: dict[str, str], expected: list[str]
) -> None:
    november = datetime(2026, 11, 15, tzinfo=UTC).timestamp()
    matching = examples.matching(attributes, at=november)
    assert [rule.source for rule in matching] == [f"policy:{name}" for name in expected]


def test_the_examples_are_clean(examples: PolicySet) -> None:
    assert check_attributes(examples) == []
    assert [policy.name for policy in examples.policies if policy.shadow] == ["search-comedy-trial"]
    assert all(policy.description for policy in examples.policies)
