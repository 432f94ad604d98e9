"""The real Prometheus (Debian package) scrapes the real server with the scrape job of deploy/, and is asked for it."""

from __future__ import annotations

import os
import shutil
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.dashboard.prometheus import ask, prometheus, scrape_config
from client import TillerClient, filter_out
from client.admin import TillerAdmin
from tests.deploy.reader import alerts, queries
from tests.live import Live, live
from tests.world import make_world, write_world

BINARY = shutil.which("prometheus")


@pytest.fixture(scope="module")
def binary() -> str:
    if BINARY is None:
        if os.environ.get("CI") == "true":
            pytest.fail("prometheus is not on the PATH: install the Debian package `prometheus`")
        pytest.skip("prometheus is not on the PATH; with CI=true this is a failure")
    return BINARY


@contextmanager
def watched(binary: str, folder: Path, server: Live) -> Iterator[str]:
    """A Prometheus that has scraped the server at least once; with the alert rules of deploy/."""
    target = urllib.parse.urlsplit(server.addresses.metrics).netloc
    with prometheus(binary, folder, scrape_config(target, every="200ms", rules=True)) as address:
        while not query(address, "tiller_in_flight"):
            time.sleep(0.05)
        yield address


def query(address: str, expression: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(address, "query", query=expression)["result"]
    return found


def rules(address: str) -> dict[str, dict[str, Any]]:
    """The alert rules as this Prometheus sees them."""
    return {rule["name"]: rule for group in ask(address, "rules")["groups"] for rule in group["rules"]}


def wait_for(address: str, alert: str, state: str) -> None:
    while rules(address)[alert]["state"] != state:
        time.sleep(0.1)


def test_prometheus_scrapes_the_server_and_gives_the_numbers_back(binary: str, tmp_path: Path) -> None:
    bundle = write_world(make_world(), tmp_path / "planted")
    with live(bundle.path) as server, TillerClient(server.addresses.grpc, timeout=30) as tiller:
        for _ in range(7):
            tiller.recommend(user_id="u1", k=10, rules=[filter_out("genre:comedy")])
        target = urllib.parse.urlsplit(server.addresses.metrics).netloc
        with watched(binary, tmp_path, server) as address:
            (calls,) = query(address, 'tiller_requests_total{job="tiller"}')
            (info,) = query(address, "tiller_bundle_info")
            (share,) = query(
                address, 'tiller_concept_share_sum{when="after"} / tiller_concept_share_count{when="after"}'
            )
            (up,) = query(address, 'up{job="tiller"}')
    assert (calls["metric"]["method"], calls["metric"]["code"], calls["value"][1]) == ("Recommend", "OK", "7")
    assert calls["metric"]["instance"] == target
    assert info["metric"]["bundle_id"] == bundle.manifest.bundle_id
    assert (share["metric"]["concept"], share["value"][1]) == ("genre:comedy", "0")
    assert up["value"][1] == "1"


def test_every_rule_and_every_query_of_the_dashboard_is_answered(binary: str, tmp_path: Path) -> None:
    bundle = write_world(make_world(), tmp_path / "planted")
    with live(bundle.path) as server, watched(binary, tmp_path, server) as address:
        while any(rule["health"] == "unknown" for rule in rules(address).values()):
            time.sleep(0.1)
        loaded = rules(address)
        assert set(loaded) == {alert["alert"] for alert in alerts()}
        assert {name: rule.get("lastError", "") for name, rule in loaded.items() if rule["health"] != "ok"} == {}
        assert {name for name, rule in loaded.items() if rule["state"] != "inactive"} == set()
        for asked in queries():
            query(address, asked.replace("$__rate_interval", "5s").replace("$instance", ".*"))  # raises if refused


def test_alerts_wake_up_to_what_a_real_server_goes_through(binary: str, tmp_path: Path) -> None:
    """A refused bundle fires at once; strange users and a broken policy folder begin to wait out their time."""
    world = make_world(users=300)
    bundle = write_world(world, tmp_path / "planted")
    folder = tmp_path / "policies"
    folder.mkdir()
    users = world.contents.user_vectors
    assert users is not None
    turned, _ = np.linalg.qr(np.random.default_rng(7).normal(size=(users.shape[1], users.shape[1])))
    strangers = users[:250] @ turned  # the user tower was retrained alone
    with (
        live(
            bundle.path, policies=folder, drift_sample=1.0, admin_port=0, bundles_root=tmp_path, policy_poll_seconds=0.1
        ) as server,
        watched(binary, tmp_path, server) as address,
    ):
        (folder / "a.yaml").write_text("policies: [{nmae: x}]")
        with TillerClient(server.addresses.grpc) as tiller:
            for vector in strangers:
                tiller.recommend(embedding=vector.tolist(), k=1)
        wait_for(address, "TillerDrift", "pending")
        wait_for(address, "TillerPoliciesRefused", "pending")
        with TillerAdmin(server.addresses.admin) as admin:
            (tmp_path / "broken").mkdir()
            assert admin.use_bundle("broken").outcome == "refused"
        wait_for(address, "TillerBundleRefused", "firing")
        quiet = {name for name, rule in rules(address).items() if rule["state"] == "inactive"}
    others = {"TillerDown", "TillerFailing", "TillerSlow", "TillerShedding", "TillerFilterLeaks", "TillerUserStoreDown"}
    assert quiet == others
