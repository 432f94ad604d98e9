"""docs/security.md: every threat has an answer and a test, and every test that it names is there."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs_reader import ROOT

PAGE = ROOT / "docs" / "security.md"
ROWS = re.findall(
    r"^\| (?!threat |---)(.+?) \| (.+?) \| (.*?) \|$", PAGE.read_text().partition("## Threats")[2], re.MULTILINE
)
NAMED = sorted({name for _, _, tests in ROWS for name in re.findall(r"`(tests/[\w/]+\.py::\w+)`", tests)})


def test_every_threat_has_an_answer_and_a_test() -> None:
    assert len(ROWS) >= 20
    assert [threat for threat, answer, tests in ROWS if not answer or "::" not in tests] == []


@pytest.mark.parametrize("named", NAMED)
def test_every_test_that_is_named_exists(named: str) -> None:
    file, _, function = named.partition("::")
    tree = ast.parse((ROOT / file).read_text())
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert function.startswith("test_")
