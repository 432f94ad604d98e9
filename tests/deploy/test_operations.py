"""docs/operations.md: every alert has its runbook there, and what it says of probes and settings is so."""

from __future__ import annotations

import re

from server import health
from server.rpc import concepts, recommend
from server.settings import Settings
from tests.deploy.reader import ROOT, alerts

PAGE = (ROOT / "docs" / "operations.md").read_text()


def test_every_alert_leads_to_its_runbook() -> None:
    rows = dict(re.findall(r"^\| `(Tiller\w+)` \| \[[^\]]+\]\(runbooks\.md#(\w+)\) \|$", PAGE, re.MULTILINE))
    assert rows == {alert["alert"]: alert["alert"].lower() for alert in alerts()}


def test_the_names_that_probes_ask_for_are_the_server_s() -> None:
    for name in (health.LIVE, recommend.NAME, concepts.NAME):
        assert f"`{name}`" in PAGE


def test_its_flags_are_the_server_s_or_a_command_s() -> None:
    flags = {f"--{name.replace('_', '-')}" for name in Settings.model_fields}
    others = {"--link", "--admin", "--replace", "--expire-days", "--build"}
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE)) <= flags | others
