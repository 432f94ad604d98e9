"""The scrape config and the alert rules: they meet the server, they are tested, and promtool agrees."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from server.settings import Settings
from tests.deploy.reader import (
    DEPLOY,
    ROOT,
    RULE_TESTS,
    alerts,
    exported,
    labels_in,
    load,
    metrics_in,
    queries,
    services,
)
from tests.docs_reader import anchors

with_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Debian package prometheus) is not on the PATH"
)


def promtool(*arguments: str, folder: Path = DEPLOY / "prometheus") -> None:
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_scrape_job_meets_the_server() -> None:
    jobs = {job["job_name"]: job for job in load(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]}
    (target,) = jobs["tiller"]["static_configs"][0]["targets"]
    host, port = target.split(":")
    assert host in services()
    assert int(port) == Settings.model_fields["metrics_port"].default


def test_alerts_ask_for_metrics_and_labels_that_exist() -> None:
    known = exported() | {"up": set()}
    for alert in alerts():
        names = metrics_in(alert["expr"])
        assert names, alert["alert"]
        assert names <= set(known), alert["alert"]
        assert labels_in(alert["expr"]) <= {"job", "instance"}.union(*(known[name] for name in names)), alert["alert"]


def test_every_alert_is_tested_firing_and_silent_and_documented() -> None:
    names = {alert["alert"] for alert in alerts()}
    cases = [case for path in RULE_TESTS for test in load(path)["tests"] for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == names
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == names
    runbooks = anchors(ROOT / "docs" / "runbooks.md")
    for alert in alerts():
        assert alert["annotations"]["runbook"] == f"docs/runbooks.md#{alert['alert'].lower()}"
        assert alert["alert"].lower() in runbooks
    page = (ROOT / "docs" / "monitoring.md").read_text()
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []


@with_promtool
def test_promtool_takes_the_config_and_its_rules() -> None:
    promtool("check", "config", "prometheus.yml")


@with_promtool
@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda path: path.stem)
def test_the_alerts_fire_when_they_should(file: Path) -> None:
    promtool("test", "rules", f"tests/{file.name}")


@with_promtool
def test_every_query_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    """As recording rules, with Grafana's variables filled in."""
    lines = ["groups:", "- name: dashboard", "  rules:"]
    for number, query in enumerate(queries()):
        filled = query.replace("$__rate_interval", "5m").replace("$instance", ".*")
        assert "$" not in filled
        lines += [f"  - record: panel:{number}", f"    expr: {filled!r}"]
    (tmp_path / "rules.yml").write_text("\n".join(lines))
    promtool("check", "rules", "rules.yml", folder=tmp_path)
