"""Reads the files of deploy/ as the tests need them."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from server.telemetry import Telemetry

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
RULE_TESTS = sorted((DEPLOY / "prometheus" / "tests").glob("*.yml"))

WORDS_OF_PROMQL = {
    "sum", "rate", "by", "histogram_quantile", "count", "max", "or", "vector", "on", "le", "label_values", "time",
    "group_left", "and", "increase",
}  # fmt: skip


def load(path: Path) -> Any:
    """A YAML file."""
    return YAML(typ="safe").load(path.read_text())


def instructions() -> list[tuple[str, str]]:
    """(instruction, arguments) of the Dockerfile, comments dropped and continued lines joined."""
    text = "\n".join(line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if not line.startswith("#"))
    lines = [line.partition(" ") for line in re.sub(r"\\\n\s*", "", text).splitlines() if line]
    return [(word.upper(), rest.strip()) for word, _, rest in lines]


def stage(name: str) -> list[tuple[str, str]]:
    """The instructions of one stage."""
    lines = instructions()
    starts = [place for place, (word, _) in enumerate(lines) if word == "FROM"] + [len(lines)]
    (begin,) = [place for place in starts[:-1] if lines[place][1].endswith(f" AS {name}")]
    return lines[begin : starts[starts.index(begin) + 1]]


def last_stage() -> list[tuple[str, str]]:
    """The instructions of the image that is kept."""
    lines = instructions()
    return lines[max(place for place, (word, _) in enumerate(lines) if word == "FROM") :]


def environment() -> dict[str, str]:
    """What the image sets."""
    return dict(pair.split("=", 1) for word, rest in last_stage() if word == "ENV" for pair in shlex.split(rest))


def compose_text() -> str:
    """docker-compose.yml, variables at their defaults."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (ROOT / "docker-compose.yml").read_text())


def services() -> dict[str, Any]:
    """The services of docker-compose.yml, variables at their defaults."""
    found: dict[str, Any] = YAML(typ="safe").load(compose_text())["services"]
    return found


def bind_mounts(service: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """(source, target, read-only) of a service's mounts from the checkout."""
    mounts = []
    for volume in service.get("volumes", ()):
        if isinstance(volume, dict):
            mounts.append((volume["source"], volume["target"], volume["read_only"]))
        elif volume.startswith("./"):
            source, target, *mode = volume.split(":")
            mounts.append((source, target, mode == ["ro"]))
    return mounts


def alerts() -> list[dict[str, Any]]:
    """Every alert rule."""
    return [rule for path in RULES for group in load(path)["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    """The committed dashboard."""
    document: dict[str, Any] = json.loads((DEPLOY / "grafana" / "tiller.json").read_text())
    return document


def queries() -> list[str]:
    """Every query of the dashboard."""
    return [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]


def exported() -> dict[str, set[str]]:
    """Series that a server shows, as Prometheus stores them -> the labels they have beside job and instance."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
    registry = Telemetry().registry
    own: dict[str, set[str]] = {
        name: set(getattr(collector, "_labelnames", ())) for name, collector in registry._names_to_collectors.items()
    }
    found = {}
    for family in registry.collect():
        for suffix in suffixes.get(family.type, ("",)):
            bucket = {"le"} if suffix == "_bucket" else set()
            found[family.name + suffix] = own.get(family.name, set()) | bucket
    return found


def metrics_in(expression: str) -> set[str]:
    """Names of metrics in a query: words that are neither labels nor functions."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)|\"[^\"]*\"", " ", expression)
    return set(re.findall(r"[a-z_]{2,}", bare)) - WORDS_OF_PROMQL


def labels_in(expression: str) -> set[str]:
    """Labels that a query selects or groups by."""
    grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
    return grouped | set(re.findall(r"(\w+)=~?\"", expression))


def family(series: str) -> str:
    """The metric that a series belongs to."""
    return re.sub(r"_(bucket|sum|count|total)$", "", series)
