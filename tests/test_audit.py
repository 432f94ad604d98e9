"""The audit's verdict: a finding fails, nothing looked at is said aloud."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from tests.docs_reader import ROOT

_SPEC = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
assert _SPEC is not None
assert _SPEC.loader is not None
audit = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(audit)

SOUND: dict[str, Any] = {"name": "numpy", "version": "2.0", "vulns": []}
SKIPPED = {"name": "torch", "version": "2.13.0+cpu", "skip_reason": "Dependency not found on PyPI"}
OURS = {"name": "tiller", "skip_reason": "distribution marked as editable"}
BAD = {"name": "pillow", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}


def test_a_finding_fails() -> None:
    assert audit.judge([SOUND, BAD, SKIPPED, OURS]) == (
        audit.FOUND,
        "2 packages audited, 1 not, 1 vulnerabilities\n  pillow 1.0: PYSEC-1, fixed in 1.1",
    )


def test_nothing_found_is_good_and_nothing_looked_at_is_not() -> None:
    assert audit.judge([SOUND, SKIPPED, OURS])[0] == 0
    assert audit.judge([SKIPPED, OURS]) == (audit.BLIND, "0 packages audited, 1 not, 0 vulnerabilities")


@pytest.mark.parametrize(("required", "code"), [("", 0), ("required", audit.BLIND)])
def test_a_gate_that_cannot_look_says_so(
    required: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    monkeypatch.setenv("TILLER_AUDIT", required)
    assert audit._blind("no source answers") == code
    assert capsys.readouterr().err.startswith("NOT AUDITED: no source answers.")
