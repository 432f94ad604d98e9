"""The schemas for editors: they take what the check takes, and mark what it refuses, as far as a schema can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from server.policy.conditions import When, WindowEntry
from server.policy.document import read_document
from server.policy.json_schema import case_schema, policy_schema
from server.policy.schema import PolicyEntry, RuleEntry
from tests.server.policy.test_malformed import FIXTURES, NAMES

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples" / "policies"

# What no editor's schema can see: the file's form, and what depends on other policies or on the calendar.
BEYOND = {
    "alias", "alias_bomb", "anchor", "control_character", "directive", "empty_file", "escape", "key_twice",
    "not_utf8", "syntax", "tab", "tag", "too_deep", "two_documents",  # the file's form
    "concept_twice_filter", "concept_twice_soft", "contradiction_filter", "contradiction_soft", "name_twice",  # pairs
    "time_never_open", "time_no_condition", "time_zone_unknown",  # clocks
    "when_empty", "when_value_twice", "time_null", "concept_latent_name", "time_empty_list", "when_list_empty",
    "item_in_both", "like_null",  # an item twice, a key without a value
    "key_not_text", "share_beside_strength", "share_by_query", "share_two_bounds", "share_wrong_bound",  # a message
}  # fmt: skip


def data(path: Path) -> Any:
    document, problems = read_document(path.read_text(encoding="utf-8"), path.name)
    assert document is not None
    assert not problems
    return document.data


@pytest.fixture(scope="module")
def policies() -> Draft202012Validator:
    Draft202012Validator.check_schema(policy_schema())
    return Draft202012Validator(policy_schema())


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_are_valid(policies: Draft202012Validator, path: Path) -> None:
    assert [error.message for error in policies.iter_errors(data(path))] == []


@pytest.mark.parametrize("path", sorted((EXAMPLES / "tests").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_example_cases_are_valid(path: Path) -> None:
    Draft202012Validator.check_schema(case_schema())
    assert [error.message for error in Draft202012Validator(case_schema()).iter_errors(data(path))] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name not in BEYOND])
def test_what_the_check_refuses_is_marked(policies: Draft202012Validator, name: str) -> None:
    assert not policies.is_valid(data(FIXTURES / f"{name}.yaml"))


def test_the_list_of_what_no_schema_sees_is_true(policies: Draft202012Validator) -> None:
    assert set(NAMES) >= BEYOND
    seen = []
    for name in sorted(BEYOND):
        try:
            content = (FIXTURES / f"{name}.yaml").read_text(encoding="utf-8")
            document, problems = read_document(content, name)
        except UnicodeDecodeError:
            continue
        if document is not None and not problems and not policies.is_valid(document.data):
            seen.append(name)
    assert seen == []


def test_every_key_is_described_and_named_as_in_the_file() -> None:
    parts = policy_schema()["$defs"]
    for model in (PolicyEntry, RuleEntry, When, WindowEntry):
        described = parts[model.__name__]["properties"]
        assert set(described) == {info.alias or name for name, info in model.model_fields.items()}
        assert all("description" in part for part in described.values())
