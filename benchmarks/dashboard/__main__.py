"""The dashboard's panels from real data: a real server under a short load, a real Prometheus, every query.

    python -m benchmarks.dashboard --bundle runs/ml-1m --out docs/images/dashboard.png [--seconds 120] [--rate 40]

Grafana is not needed: the queries are those of deploy/grafana/tiller.json, asked of Prometheus as Grafana would ask
them, and drawn. Halfway through the callers' vectors are those of another population, and a policy file is broken and
mended, so that drift and reloads have something to show. A panel without any series is an error, but for what this
load has not.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
import urllib.parse
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.dashboard.load import drive
from benchmarks.dashboard.picture import Drawn, Line, draw, legend
from benchmarks.dashboard.prometheus import DEPLOY, ask, prometheus, scrape_config
from bundle import load_bundle
from cli.server_process import serving

WINDOW, STEP = "15s", 2.0
"""Of every rate, and between two points."""

SILENT = {"User store: time"}
"""No user store takes part."""


def main() -> int:
    """Serve, load, scrape, draw."""
    asked = _arguments()
    binary = shutil.which("prometheus")
    if binary is None:
        print("prometheus is not on the PATH: install the Debian package `prometheus`", file=sys.stderr)
        return 2
    contents = load_bundle(asked.bundle, verify=False).contents
    if contents.user_ids is None or contents.user_vectors is None:
        print(f"{asked.bundle} has no users to ask for", file=sys.stderr)
        return 2
    concepts = [concept.id for concept in contents.concepts.concepts if concept.offered and concept.family == "genre"]
    with tempfile.TemporaryDirectory(prefix="tiller-dashboard-") as place:
        folder = Path(place)
        policies = folder / "policies"
        shutil.copytree(asked.policies, policies)
        options = ("--policies", policies, "--share-sample", 0.5, "--drift-sample", 1,
                   "--decision-log", folder / "decisions.jsonl", "--decision-sample", 0.2)  # fmt: skip
        with serving(asked.bundle, *options) as addresses:
            target = urllib.parse.urlsplit(addresses["metrics"]).netloc
            with prometheus(binary, folder, scrape_config(target)) as address:
                began = time.time()
                mischief = threading.Thread(target=_mistake, args=(policies, asked.seconds))
                mischief.start()
                calls = drive(
                    addresses["grpc"], contents.user_ids, np.asarray(contents.user_vectors), concepts,
                    seconds=asked.seconds, rate=asked.rate,
                )  # fmt: skip
                mischief.join()
                panels = _panels(address, began, time.time())
    draw(panels, asked.out, f"Tiller: {calls:,} calls in {asked.seconds:g} s on {asked.bundle.name}")
    empty = [one.panel["title"] for one in panels if not one.lines and one.panel["title"] not in SILENT]
    print(f"{asked.out}: {len(panels)} panels, {sum(len(one.lines) for one in panels)} series, {calls:,} calls")
    if empty:
        print(f"without any series: {', '.join(empty)}", file=sys.stderr)
    return int(bool(empty))


def _mistake(policies: Path, seconds: float) -> None:
    """Somebody breaks a policy file at two fifths of the time and mends it at three fifths."""
    file = next(iter(sorted(policies.glob("*.yaml"))))
    good = file.read_text()
    time.sleep(0.4 * seconds)
    file.write_text(good.replace("action:", "acton:", 1))
    time.sleep(0.2 * seconds)
    file.write_text(good + "\n# mended\n")


def _panels(address: str, began: float, ended: float) -> list[Drawn]:
    """Every panel with the answers to its queries."""
    document = json.loads((DEPLOY / "grafana" / "tiller.json").read_text())
    return [Drawn(panel, _lines(address, panel, began, ended)) for panel in document["panels"]]


def _lines(address: str, panel: dict[str, Any], began: float, ended: float) -> list[Line]:
    lines = []
    for target in panel["targets"]:
        query = target["expr"].replace("$__rate_interval", WINDOW).replace("$instance", ".*")
        answer = ask(address, "query_range", query=query, start=began, end=ended, step=STEP)
        for series in answer["result"]:
            points = [(float(at) - began, float(value)) for at, value in series["values"] if not isnan(float(value))]
            if points:
                seconds, values = zip(*points, strict=True)
                lines.append(Line(legend(target["legendFormat"], series["metric"]), list(seconds), list(values)))
    return lines


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboard", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--bundle", type=Path, required=True, help="a bundle with users and genres")
    parser.add_argument("--policies", type=Path, default=Path("examples/policies"), help="folder of policy files")
    parser.add_argument("--out", type=Path, default=Path("docs/images/dashboard.png"), help="the picture")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long the load lasts")
    parser.add_argument("--rate", type=float, default=40.0, help="calls per second, on average")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
