"""The image, by its Dockerfile: serving base only, nobody's rights, a health check that runs.."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib

import pytest

from server.settings import Settings
from tests.deploy.reader import ROOT, environment, instructions, last_stage, stage


def test_what_is_copied_exists_and_is_sent_to_the_builder() -> None:
    ignore = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert ignore[0] == "*"
    sources = [
        source
        for word, rest in instructions()
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    ]
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignore, source
    assert {line[1:] for line in ignore if line.startswith("!")} == set(sources)


def test_every_package_of_the_wheel_is_in_the_image() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = {rest.split()[0] for word, rest in instructions() if word == "COPY" and "--from" not in rest}
    assert set(packages["packages"]) <= copied


def test_stages_and_pinned_bases() -> None:
    stages = [rest for word, rest in instructions() if word == "FROM"]
    assert stages == ["python:3.11-slim AS build", "build AS train", "python:3.11-slim AS serve"]  # the last is built
    assert ("COPY", "--from=build /opt/tiller /opt/tiller") in last_stage()
    assert not any(word in {"ADD", "RUN"} and "pip" in rest for word, rest in last_stage())


def test_no_torch() -> None:
    installs = [rest for word, rest in stage("build") if word == "RUN" and "pip install" in rest]
    assert installs
    assert not any(extra in rest for rest in installs for extra in ("[train]", "[dev]", "[test]", ".["))
    assert any("assert not u.find_spec('torch')" in rest for rest in installs)


@pytest.mark.parametrize("name", ["train", "serve"])
def test_runs_as_nobody_in_particular(name: str) -> None:
    lines = stage(name)
    users = [rest for word, rest in lines if word == "USER"]
    assert users
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])  # by number: Kubernetes' runAsNonRoot can check it
    words = [word for word, _ in lines]
    assert not {"RUN", "COPY"} & set(words[words.index("USER") :])


def test_what_settings_of_the_server_need_is_installed() -> None:
    (listed,) = [rest for word, rest in stage("build") if "requirements.txt" in rest]
    code = re.search(r'python -c "(.*?)"\s+> /tmp/requirements.txt', listed)
    assert code is not None
    done = subprocess.run([sys.executable, "-c", code[1]], cwd=ROOT, text=True, capture_output=True, check=True)
    names = {re.match(r"[\w-]+", line)[0] for line in done.stdout.splitlines()}  # type: ignore[index]
    assert {"numpy", "grpcio", "redis", "cryptography", "opentelemetry-sdk"} <= names
    assert not {"torch", "scikit-learn", "onnx"} & names


def test_entry_point_and_health_check_can_be_run() -> None:
    stage = dict(last_stage())
    assert json.loads(stage["ENTRYPOINT"]) == ["python", "-m", "server"]
    health = json.loads(stage["HEALTHCHECK"].partition("CMD ")[2])
    assert health == ["python", "-m", "client.probe"]
    assert importlib.util.find_spec("client.probe") is not None
    assert stage["STOPSIGNAL"] == "SIGTERM"


def test_ports_and_settings_are_the_server_s() -> None:
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    assert dict(last_stage())["EXPOSE"].split() == [str(defaults["port"]), str(defaults["metrics_port"])]
    for name in environment():
        if name.startswith("TILLER_"):
            assert name.removeprefix("TILLER_").lower() in defaults
