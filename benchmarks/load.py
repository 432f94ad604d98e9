"""Load clients, always in a process of their own; loopback only, bounded in rate, time and calls in flight.

*Closed loop* (how much?): a fixed number of calls in flight, a new one as soon as one is answered. Driven by h2load
(Debian package nghttp2-client) where it is there, because a Python client eats a core itself; it posts one
length-prefixed message over and over.

*Open loop* (how long?): calls start at fixed times, answered or not, and each call's latency counts from the moment it
was *meant* to start, so that a slow answer cannot hide the ones behind it.

    python -m benchmarks.load open ADDRESS PAYLOADS RATE SECONDS      prints JSON
    python -m benchmarks.load closed ADDRESS PAYLOADS IN_FLIGHT SECONDS
"""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import grpc
import numpy as np

METHOD = "/steering.v1.RecommendService/Recommend"
CONNECTIONS, IN_FLIGHT = 4, 32
MOST_PENDING = 2_000
H2LOAD = shutil.which("h2load")


def closed(address: str, payloads: list[bytes], seconds: float) -> float:
    """Answered calls per second with 32 in flight over 4 connections."""
    if H2LOAD is None:
        return float(_python("closed", address, payloads, IN_FLIGHT, seconds)["per_second"])
    with tempfile.TemporaryDirectory() as folder:
        body = Path(folder) / "body"
        body.write_bytes(b"\x00" + struct.pack(">I", len(payloads[0])) + payloads[0])
        done = subprocess.run(
            [H2LOAD, "-D", f"{round(seconds * 1000)}ms", "--warm-up-time", "500ms", "-t", "1", "-c", str(CONNECTIONS),
             "-m", str(IN_FLIGHT // CONNECTIONS), "-d", str(body), "-H", "content-type: application/grpc",
             "-H", "te: trailers", f"http://{address}{METHOD}"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    found = re.search(r"finished in [\d.]+\w+, ([\d.]+) req/s", done.stdout)
    failed = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", done.stdout)
    if not found or not failed or any(int(count) for count in failed.groups()):
        raise RuntimeError(f"h2load: {done.stdout[-800:]}")
    return float(found[1])


def open_loop(address: str, payloads: list[bytes], rate: float, seconds: float) -> dict[str, float]:
    """Latency percentiles in milliseconds at ``rate`` calls a second, and how late the client itself was."""
    return _python("open", address, payloads, rate, seconds)


def _python(mode: str, address: str, payloads: list[bytes], amount: float, seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "payloads.json"
        file.write_text(json.dumps([payload.hex() for payload in payloads]))
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.load", mode, address, str(file), str(amount), str(seconds)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


class _Caller:
    """Starts calls on several connections in turn and keeps what came of them."""

    def __init__(self, address: str, payloads: list[bytes]) -> None:
        # A pool of its own per channel: otherwise gRPC lets them share one connection.
        self._channels = [
            grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1), ("benchmark", number)])
            for number in range(CONNECTIONS)
        ]
        self._calls: list[Any] = [channel.unary_unary(METHOD, None, None) for channel in self._channels]
        self._payloads = payloads
        self.failed = 0
        self.pending = 0
        self.changed = threading.Condition()
        for call in self._calls:
            call(payloads[0], wait_for_ready=True, timeout=30)

    def start(self, number: int, due: float, took: list[float]) -> None:
        """Call without waiting; ``took`` gets the time from ``due`` to the answer."""
        with self.changed:
            self.pending += 1
        future = self._calls[number % CONNECTIONS].future(self._payloads[number % len(self._payloads)], timeout=60)

        def done(answer: Any) -> None:
            ended = time.perf_counter()
            with self.changed:
                self.pending -= 1
                if answer.code() is grpc.StatusCode.OK:
                    took.append(ended - due)
                else:
                    self.failed += 1
                self.changed.notify()

        future.add_done_callback(done)

    def wait(self, most: int = 0) -> None:
        """Until at most ``most`` calls are pending."""
        with self.changed:
            self.changed.wait_for(lambda: self.pending <= most, timeout=90)

    def close(self) -> None:
        for channel in self._channels:
            channel.close()


def _open(caller: _Caller, rate: float, seconds: float) -> dict[str, float]:
    took: list[float] = []
    late = []
    began = time.perf_counter() + 0.1
    for number in range(int(rate * seconds)):
        due = began + number / rate
        if (pause := due - time.perf_counter()) > 0:
            time.sleep(pause)
        late.append(time.perf_counter() - due)
        if caller.pending > MOST_PENDING:
            raise RuntimeError(f"{rate:g} calls a second are more than it answers: {caller.pending} pending")
        caller.start(number, due, took)
    caller.wait()
    percentiles = dict(zip(("p50", "p90", "p99", "p999"), np.percentile(took, [50, 90, 99, 99.9]) * 1e3, strict=True))
    return {
        "rate": rate, "calls": len(took), "failed": caller.failed, "client_late_p50": float(np.median(late) * 1e3),
        "client_late_p99": float(np.percentile(late, 99) * 1e3), **{k: float(v) for k, v in percentiles.items()},
    }  # fmt: skip


def _closed(caller: _Caller, in_flight: int, seconds: float) -> dict[str, float]:
    took: list[float] = []
    began, number = time.perf_counter(), 0
    while time.perf_counter() < began + seconds:
        caller.wait(in_flight - 1)
        caller.start(number, time.perf_counter(), took)
        number += 1
    caller.wait()
    return {"per_second": len(took) / (time.perf_counter() - began), "failed": caller.failed}


def _main(mode: str, address: str, file: str, amount: str, seconds: str) -> None:
    payloads = [bytes.fromhex(payload) for payload in json.loads(Path(file).read_text())]
    caller = _Caller(address, payloads)
    run = {"open": lambda: _open(caller, float(amount), float(seconds)),
           "closed": lambda: _closed(caller, int(float(amount)), float(seconds))}  # fmt: skip
    result = run[mode]()
    caller.close()
    if result["failed"]:
        raise SystemExit(f"{result['failed']:g} calls failed")
    print(json.dumps(result))


if __name__ == "__main__":
    _main(*sys.argv[1:])
