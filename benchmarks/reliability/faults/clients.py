"""Clients that are slow, silent, or gone in the middle of a word.

What must hold: others are answered as if they were not there, or told for a moment that there are too many calls; and
when they are gone, what the server held for them is.
"""

from __future__ import annotations

import random
import socket
import time
from pathlib import Path
from typing import Any

import grpc

from benchmarks.reliability.ground import serving
from benchmarks.reliability.pulse import Pulse, first_user
from cli.bench.catalogue import write_catalogue
from protos.steering.v1.recommend_pb2 import RecommendBatchRequest, RecommendRequest
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
HELLOS = (b"", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n\r\n", PREFACE[:10], PREFACE, PREFACE + SETTINGS,
          PREFACE + SETTINGS + b"\x00\xff\xff\x01\x04\x00\x00\x00\x01abc")  # fmt: skip
REST_SECONDS = 20.0
OVERLOADED = {"RESOURCE_EXHAUSTED"}
SPARE = 10
"""Descriptors that may be open for other reasons than before."""


def rude(folder: Path, trials: int, rng: random.Random) -> dict[str, Any]:
    """``trials`` rounds of 20 half-open connections and 20 calls that are given up."""
    bundle = folder / "bundle"
    write_catalogue(bundle, 4_000)
    user = first_user(bundle)
    batch = RecommendBatchRequest(requests=[RecommendRequest(user_id=user, k=100, explain=True)] * 100)
    given_up = 0
    with serving(bundle) as served:
        host, port = served.grpc.rsplit(":", 1)
        before = served.usage()
        with Pulse(served.grpc, user) as pulse:
            quiet = _quiet(pulse)
            for _ in range(trials):
                sockets = [socket.create_connection((host, int(port))) for _ in range(20)]
                for one in sockets:
                    one.sendall(rng.choice(HELLOS))
                with grpc.insecure_channel(served.grpc, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
                    stub = RecommendServiceStub(channel)
                    calls = [stub.RecommendBatch.future(batch, timeout=rng.uniform(0.001, 0.05)) for _ in range(20)]
                    time.sleep(rng.uniform(0, 0.05))
                    for call in calls:
                        given_up += call.cancel()
                for one in sockets:
                    one.close()
            seen = pulse.figures()
        until = time.monotonic() + REST_SECONDS
        while served.usage()["descriptors"] > before["descriptors"] + SPARE and time.monotonic() < until:
            time.sleep(0.5)
        after = served.usage()
        alive = served.alive()
    wrong = (not alive) + bool(set(seen["failures"]) - OVERLOADED) + (seen["lists"] != 1)
    wrong += after["descriptors"] > before["descriptors"] + SPARE
    return {"connections": 20 * trials, "calls_given_up": given_up, "alone": quiet, "others": seen,
            "before": before, "after": after, "wrong": wrong}  # fmt: skip


def _quiet(pulse: Pulse) -> dict[str, Any]:
    time.sleep(2.0)
    return pulse.figures()
