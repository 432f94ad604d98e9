"""The commands of docker-compose.yml, run as processes on this machine: Redis, the users, the server, its health check.

Paths and host names of the containers are put in place; nothing else of a command is changed. The demo's bundle is a
planted one: what `tiller demo` makes has tests of its own, and here its script must see that a bundle is there already.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from bundle.link import point
from client.admin import TillerAdmin
from protos.steering.v1.recommend_pb2 import RecommendRequest
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub
from tests.deploy.reader import ROOT, last_stage, services
from tests.live import process, scrape, wait_for_addresses
from tests.redis_server import redis_server
from tests.world import make_world, write_world

PYTHON = {"python": sys.executable, "tiller": sys.executable}


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    folder = tmp_path / "bundles"
    folder.mkdir()
    for seed, name in enumerate(("demo", "next")):
        write_world(make_world(seed=seed, items=80), folder / name)
    point(folder / "current", folder / "demo")
    return folder


def _placed(words: list[str], bundles: Path, redis: str) -> list[str]:
    places = {"/bundles": str(bundles), "/policies": str(ROOT / "examples" / "policies"), "redis://redis:6379/0": redis}
    for inside, here in places.items():
        words = [word.replace(inside, here) for word in words]
    return words


def test_the_stack_runs(bundles: Path, tmp_path: Path) -> None:
    compose = services()
    with redis_server(*compose["redis"]["command"][1:]) as redis:
        run = _runner(bundles, redis.url)
        said = run([*compose["demo-bundle"]["entrypoint"], *compose["demo-bundle"]["command"]],
                   BUNDLE=compose["demo-bundle"]["environment"]["BUNDLE"])  # fmt: skip
        assert said == f"{bundles}/current is there\n"
        said = run([*compose["users"]["entrypoint"], *compose["users"]["command"]])
        assert said.startswith("12 users of 16 numbers under tiller:user:")
        ports = tmp_path / "ports.json"
        command = _placed(compose["server"]["command"], bundles, redis.url)
        command = [word if not word.startswith("--admin-port") else "--admin-port=0" for word in command]
        environment = {"TILLER_REDIS_URL": redis.url}
        with process(*command, "--port=0", "--metrics-port=0", "--port-file", ports, env=environment) as child:
            where = wait_for_addresses(ports, child)
            with grpc.insecure_channel(where["grpc"]) as channel:
                answer = RecommendServiceStub(channel).Recommend(RecommendRequest(user_id="u3", k=5), timeout=30)
            assert len(answer.items) == 5
            metrics = scrape(where["metrics"])
            assert metrics['tiller_user_lookups_total{outcome="hit"}'] == 1
            (health,) = [rest for word, rest in last_stage() if word == "HEALTHCHECK"]
            probe = [*json.loads(health.partition("CMD ")[2]), where["grpc"]]
            assert run(probe) == f"{where['grpc']}: serving\n"
            with TillerAdmin(where["admin"]) as admin:
                assert admin.use_bundle("next").outcome == "loaded"
            child.terminate()
            assert child.wait(timeout=60) == 0


def _runner(bundles: Path, redis: str) -> Callable[..., str]:
    def run(words: list[str], **environment: str) -> str:
        words = _placed(words, bundles, redis)
        if words[0] in PYTHON:
            words = [PYTHON[words[0]], *(["-m", "cli"] if words[0] == "tiller" else []), *words[1:]]
        # Compose writes a dollar sign twice where the shell is to see it.
        words = [word.replace("$$", "$") for word in words]
        given = {name: value.replace("/bundles", str(bundles)) for name, value in environment.items()}
        done = subprocess.run(
            words, cwd=ROOT, env={**os.environ, **given}, text=True, capture_output=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
