"""The real Prometheus (Debian package) as a child process, and what it is asked."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

DEPLOY = Path(__file__).parents[2] / "deploy"


def scrape_config(target: str, *, every: str = "1s", rules: bool = False) -> str:
    """The scrape job of deploy/, pointed at ``target``; with ``rules`` also its alert rules, looked at as often."""
    yaml = YAML(typ="safe")
    whole = yaml.load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (job,) = [job for job in whole["scrape_configs"] if job["job_name"] == "tiller"]
    for discovery in [key for key in job if key.endswith("_sd_configs")]:
        del job[discovery]
    job |= {"static_configs": [{"targets": [target]}], "scrape_interval": every, "scrape_timeout": every}
    document: dict[str, Any] = {"scrape_configs": [job]}
    if rules:
        document["global"] = {"evaluation_interval": every}
        document["rule_files"] = [str(DEPLOY / "prometheus" / "rules" / "*.yml")]
    text = StringIO()
    yaml.dump(document, text)
    return text.getvalue()


@contextmanager
def prometheus(binary: str, folder: Path, config: str) -> Iterator[str]:
    """Its address, once it answers; ``folder`` holds its data."""
    (folder / "prometheus.yml").write_text(config)
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [binary, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
             "--web.listen-address=127.0.0.1:0"],
            stdout=output, stderr=output,
        )  # fmt: skip
    try:
        while not (found := re.search(r"Listening on.*address=(127\.0\.0\.1:\d+)", log.read_text())):
            if child.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.05)
        while not _ready(found[1]):
            time.sleep(0.05)
        yield found[1]
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()


def _ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=30):
            return True
    except urllib.error.HTTPError:  # 503 while it reads its log
        return False


def ask(address: str, path: str, **parameters: object) -> Any:
    """The data of an answer of its HTTP API."""
    url = f"http://{address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=30) as response:
        answer = json.load(response)
    if answer["status"] != "success":
        raise RuntimeError(str(answer))
    return answer["data"]
