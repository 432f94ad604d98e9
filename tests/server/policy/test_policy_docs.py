"""docs/policies.md and examples/policies say what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from server.policy import PolicyEntry, PolicyError, PolicyFile, PolicySet, RuleEntry, check_attributes, load_policies
from server.policy.conditions import MAX_TEXT, MAX_VALUES, RESERVED
from server.policy.load import MAX_FILE_BYTES, MAX_FILES
from server.policy.schema import MAX_DESCRIPTION, MAX_POLICIES, MAX_RULES
from server.types import Status

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
    assert numbers == [MAX_FILES, MAX_FILE_BYTES, MAX_POLICIES, MAX_RULES, MAX_VALUES, MAX_TEXT, MAX_DESCRIPTION]
    assert all(f"`{status.name}`" in DOCS for status in Status)
    assert all(f"`{name}`" in DOCS for name in RESERVED)


def test_the_files_that_the_page_shows_are_valid(tmp_path: Path) -> None:
    shown = blocks("yaml")
    assert len(shown) == 2
    for number, text in enumerate(shown):
        (tmp_path / f"{number}.yaml").write_text(text, encoding="utf-8")
    assert len(load_policies(tmp_path).policies) == 3


def test_the_refusal_that_the_page_shows_is_the_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("policies").mkdir()
    (malformed,), (message,) = blocks("yaml malformed"), blocks("text")
    Path("policies/many_at_once.yaml").write_text(malformed, encoding="utf-8")
    with pytest.raises(PolicyError) as refused:
        load_policies(Path("policies"))
    assert str(refused.value) + "\n" == message


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
        "kids.yaml:14: policy kids-no-horror: the bundle does not offer 'genre:thriller', so the filter cannot be held."
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
    assert [rule.source for rule in examples.matching(attributes)] == [f"policy:{name}" for name in expected]


def test_the_examples_are_clean(examples: PolicySet) -> None:
    assert check_attributes(examples) == []
    assert [policy.name for policy in examples.policies if policy.shadow] == ["search-comedy-trial"]
    assert all(policy.description for policy in examples.policies)
