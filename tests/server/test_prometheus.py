"""The real Prometheus (Debian package) scrapes the real server with the scrape job of deploy/, and is asked for it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from client import TillerClient, filter_out
from tests.live import ROOT, live
from tests.world import make_world, write_world

BINARY = shutil.which("prometheus")
CONFIG = ROOT / "deploy" / "prometheus" / "prometheus.yml"


@pytest.fixture(scope="module")
def binary() -> str:
    if BINARY is None:
        if os.environ.get("CI") == "true":
            pytest.fail("prometheus is not on the PATH: install the Debian package `prometheus`")
        pytest.skip("prometheus is not on the PATH; with CI=true this is a failure")
    return BINARY


def _config(target: str) -> str:
    """Our scrape job as it is deployed, pointed at ``target``; what lies in other files is left out."""
    yaml = YAML(typ="safe")
    whole = yaml.load(CONFIG.read_text())
    (job,) = [job for job in whole["scrape_configs"] if job["job_name"] == "tiller"]
    for discovery in [key for key in job if key.endswith("_sd_configs")]:
        del job[discovery]
    job |= {"static_configs": [{"targets": [target]}], "scrape_interval": "200ms", "scrape_timeout": "200ms"}
    text = StringIO()
    yaml.dump({"scrape_configs": [job]}, text)
    return text.getvalue()


@contextmanager
def _prometheus(binary: str, folder: Path, target: str) -> Iterator[str]:
    """Its address, once it listens."""
    (folder / "prometheus.yml").write_text(_config(target))
    log = folder / "log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [binary, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
             "--web.listen-address=127.0.0.1:0"],
            stdout=output, stderr=output,
        )  # fmt: skip
    try:
        while not (found := re.search(r"Listening on.*address=(127\.0\.0\.1:\d+)", log.read_text())):
            assert child.poll() is None, log.read_text()
            time.sleep(0.05)
        yield found[1]
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()


def _query(address: str, expression: str) -> list[dict[str, Any]]:
    url = f"http://{address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    with urllib.request.urlopen(url, timeout=30) as response:
        answer = json.load(response)
    assert answer["status"] == "success", answer
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def test_prometheus_scrapes_the_server_and_gives_the_numbers_back(binary: str, tmp_path: Path) -> None:
    bundle = write_world(make_world(), tmp_path / "planted")
    with live(bundle.path) as server, TillerClient(server.addresses.grpc, timeout=30) as tiller:
        for _ in range(7):
            tiller.recommend(user_id="u1", k=10, rules=[filter_out("genre:comedy")])
        target = urllib.parse.urlsplit(server.addresses.metrics).netloc
        with _prometheus(binary, tmp_path, target) as address:
            while not (counted := _query(address, 'tiller_requests_total{job="tiller"}')):
                time.sleep(0.1)
            (info,) = _query(address, "tiller_bundle_info")
            (share,) = _query(
                address, 'tiller_concept_share_sum{when="after"} / tiller_concept_share_count{when="after"}'
            )
            (up,) = _query(address, 'up{job="tiller"}')
    (calls,) = counted
    assert (calls["metric"]["method"], calls["metric"]["code"], calls["value"][1]) == ("Recommend", "OK", "7")
    assert calls["metric"]["instance"] == target
    assert info["metric"]["bundle_id"] == bundle.manifest.bundle_id
    assert (share["metric"]["concept"], share["value"][1]) == ("genre:comedy", "0")
    assert up["value"][1] == "1"
