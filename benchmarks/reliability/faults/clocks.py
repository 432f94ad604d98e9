"""The wall clock jumps under a server, by days, forwards and backwards. Needs libfaketime (Debian package faketime).

What must hold: every call is answered, durations stay durations (they are taken from the monotonic clock), and a policy
with a time window comes into force and leaves it by the wall clock as it is now.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import yaml

from benchmarks.reliability.ground import metric, serving
from benchmarks.reliability.judge import Truth
from benchmarks.reliability.pulse import Pulse, first_user
from cli.bench.catalogue import write_catalogue
from protos.steering.v1.recommend_pb2 import RecommendRequest
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub

LIBRARIES = tuple(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
DAY = 86_400


def jumps(folder: Path, trials: int, rng: random.Random) -> dict[str, Any]:
    """``trials`` jumps of up to ten days; a filter that holds for the day after tomorrow only."""
    if not LIBRARIES:
        return {"not_run": "libfaketime is not installed", "wrong": 1}
    bundle, policies, clock = folder / "bundle", folder / "policies", folder / "clock"
    write_catalogue(bundle, 2_000)
    truth = Truth.of(bundle)
    concept = next(iter(truth.members))
    start = datetime.now(UTC) + timedelta(days=2)
    window = {"timezone": "UTC", "from": start.date(), "until": start.date()}
    policy = {"name": "a-day", "owner": "benchmark", "when": {"time": window},
              "rules": [{"action": "filter", "concept": concept}]}  # fmt: skip
    policies.mkdir()
    (policies / "day.yaml").write_text(yaml.safe_dump({"policies": [policy]}))
    clock.write_text("+0\n")
    env = {"LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
           "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}  # fmt: skip
    wrong, inside = 0, 0
    user = first_user(bundle)
    flags = ("--policies", policies, "--policy-poll-seconds", "1")
    with serving(bundle, *flags, env=env) as served, Pulse(served.grpc, user) as pulse:
        with grpc.insecure_channel(served.grpc) as channel:
            stub = RecommendServiceStub(channel)
            for trial in range(trials):
                offset = 2 * DAY if trial % 3 == 0 else rng.randrange(-10 * DAY, 10 * DAY)
                clock.write_text(f"{offset:+d}\n")
                time.sleep(0.2)
                now = (datetime.now(UTC) + timedelta(seconds=offset)).date()
                answer = stub.Recommend(RecommendRequest(user_id=user, k=100), timeout=30)
                held = not {item.item_id for item in answer.items} & truth.members[concept]
                due = now == start.date()
                inside += due
                wrong += held != due
        seen = pulse.figures()
        total = metric(served.metrics, "tiller_request_seconds_sum", method="Recommend")
    wrong += bool(seen["failures"]) + (not 0 < total < 3_600)
    return {"jumps": trials, "within_the_window": inside, "served": seen, "seconds_in_calls": round(total, 3),
            "wrong": wrong}  # fmt: skip
