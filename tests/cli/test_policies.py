from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Tiller

GOOD = """policies:
  - name: kids-no-horror
    owner: trust-and-safety
    when: {surface: kids}
    rules:
      - {action: filter, concept: "genre:horror"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kids.yaml").write_text(GOOD)
    return tmp_path


def test_valid(tiller: Tiller, folder: Path, planted: Path) -> None:
    ran = tiller("policy", "validate", folder, "--bundle", planted)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"{folder}: 1 policy, 1 rule, revision ")
    assert ran.out.endswith(": valid\n")


def test_a_concept_that_the_bundle_lacks_is_a_warning(tiller: Tiller, folder: Path, planted: Path) -> None:
    (folder / "kids.yaml").write_text(GOOD.replace("genre:horror", "genre:horor"))
    assert tiller("policy", "validate", folder).code == 0
    ran = tiller("policy", "validate", folder, "--bundle", planted)
    assert ran.code == 1
    assert "Did you mean 'genre:horror'" in ran.out
    assert ran.out.splitlines()[-1].endswith("; 1 warning")


def test_a_fault_is_named_and_refused(tiller: Tiller, folder: Path) -> None:
    (folder / "kids.yaml").write_text(GOOD.replace("action:", "aktion:"))
    ran = tiller("policy", "validate", folder)
    assert (ran.code, ran.out) == (2, "")
    assert "kids.yaml:6: policies[0].rules[0]" in ran.err
    assert "action" in ran.err
