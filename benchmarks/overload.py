"""What an overload does to accepted calls: latency unloaded, then at several times the server's capacity.

    python -m benchmarks.overload --items 100000 1000000 --times 10 --seconds 20
    python -m benchmarks.overload --search-ms 8 --items --times 4 10      the queue alone

The server is a real process with its default admission; capacity is measured on one without. Calls start at Poisson
times, answered or not, and latency counts from the moment a call was meant to start. Refusals are what the client saw;
how many of them were the server's own (RESOURCE_EXHAUSTED, with a time to try again) its metrics say: the rest gRPC
cancelled.
"""

from __future__ import annotations

import argparse
import json
import random
import select
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from cli.bench.catalogue import kept_catalogue
from cli.bench.http2 import Connection, prefixed
from cli.server_process import serving, started
from protos.steering.v1.recommend_pb2 import RecommendRequest

METHOD = "/steering.v1.RecommendService/Recommend"
CONNECTIONS, USERS, K = 8, 256, 30
UNLOADED = 0.1
BUSY = 16
"""Calls in flight where the capacity is measured."""

Start = Callable[..., AbstractContextManager[dict[str, Any]]]
"""Starts a server with these flags; gives its addresses."""

clock = time.perf_counter


class Told(NamedTuple):
    """Of the calls of one run, seconds each took; and how late the client itself was."""

    answered: list[float]
    refused: list[float]
    late: list[float]


@contextmanager
def connected(address: str) -> Iterator[list[Connection]]:
    """Connections that have made a call each."""
    connections = [Connection(address, METHOD) for _ in range(CONNECTIONS)]
    try:
        for connection in connections:
            connection.call(_messages()[0], 0.0)
        while any(connection.pending for connection in connections):
            _turn(connections, 1.0)
        yield connections
    finally:
        for connection in connections:
            connection.close()


def offered(address: str, rate: float, seconds: float, seed: int = 0) -> Told:
    """Calls at Poisson times."""
    draw, messages, told = random.Random(seed), cycle(_messages()), Told([], [], [])
    with connected(address) as connections:
        turns = cycle(connections)
        began = due = clock() + 0.01
        while due < began + seconds or any(connection.pending for connection in connections):
            now = clock()
            while due <= now and due < began + seconds:
                told.late.append(now - due)
                next(turns).call(next(messages), due)
                due += draw.expovariate(rate)
            for meant, ok in _turn(connections, max(0.0, min(due - clock(), 0.05))):
                (told.answered if ok else told.refused).append(clock() - meant)
            if now > began + seconds + 30:
                raise RuntimeError("calls were not answered half a minute after the last of them began")
    return told


def capacity(address: str, seconds: float) -> float:
    """Answers a second with ``BUSY`` calls in flight."""
    messages, count = cycle(_messages()), 0
    with connected(address) as connections:
        turns = cycle(connections)
        for _ in range(BUSY):
            next(turns).call(next(messages), clock())
        began = clock()
        while clock() < began + seconds:
            for _, ok in _turn(connections, 0.1):
                if not ok:
                    raise RuntimeError("a call was refused while the capacity was measured")
                count += 1
                next(turns).call(next(messages), clock())
        return count / (clock() - began)


def _messages() -> list[bytes]:
    users = random.Random(0).sample(range(1_000), USERS)
    return [prefixed(RecommendRequest(user_id=f"u{user}", k=K).SerializeToString()) for user in users]


def _turn(connections: list[Connection], wait: float) -> list[tuple[float, bool]]:
    for connection in connections:
        connection.write()
    sockets = {connection.socket: connection for connection in connections}
    blocked = [connection.socket for connection in connections if connection.wants_to_write]
    readable = select.select(sockets, blocked, (), wait)[0]
    return [finished for one in readable for finished in sockets[one].read()]


def measure(start: Start, times: list[float], seconds: float, flags: list[str]) -> dict[str, Any]:
    """Capacity, unloaded latency, and what every overload did."""
    with start("--max-wait-ms", 0) as server:
        capacity(server["grpc"], 1.0)
        most = capacity(server["grpc"], min(seconds, 5.0))
    with start(*flags) as server:
        offered(server["grpc"], UNLOADED * most, 1.0)
        unloaded = _figures(offered(server["grpc"], UNLOADED * most, max(seconds, 300 / most / UNLOADED)))
        found: dict[str, Any] = {"per_second": most, "unloaded": unloaded, "overload": []}
        for factor in times:
            shed, memory = _shed(server["metrics"]), _memory(server["pid"])
            told = offered(server["grpc"], factor * most, seconds, seed=1)
            figures = _figures(told)
            figures |= {
                "times": factor,
                "answered_per_second": len(told.answered) / seconds,
                "hinted": _shed(server["metrics"]) - shed,
                "p99_over_unloaded": figures["answered_ms"]["p99"] / unloaded["answered_ms"]["p99"],
                "memory_grew_mib": (_memory(server["pid"]) - memory) / 2**20,
            }
            found["overload"].append(figures)
            time.sleep(2.0)
    return found


def _figures(told: Told) -> dict[str, Any]:
    return {
        "answered": len(told.answered),
        "refused": len(told.refused),
        "answered_ms": _percentiles(told.answered),
        "refused_ms": _percentiles(told.refused),
        "client_late_ms": _percentiles(told.late),
    }


def _percentiles(seconds: list[float]) -> dict[str, float]:
    found = np.percentile(seconds, [50, 90, 99]) * 1e3 if seconds else [float("nan")] * 3
    return dict(zip(("p50", "p90", "p99"), (round(float(one), 3) for one in found), strict=True))


def _shed(url: str) -> float:
    with urllib.request.urlopen(url, timeout=10) as response:
        families = text_string_to_metric_families(response.read().decode())
        return sum(one.value for family in families for one in family.samples if one.name == "tiller_shed_total")


def _memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--search-ms", type=float, nargs="*", default=[], help="also the queue alone, before such searches"
    )
    parser.add_argument("--items", type=int, nargs="*", default=[100_000, 1_000_000], help="sizes of the catalogues")
    parser.add_argument("--times", type=float, nargs="+", default=[2.0, 10.0], help="of the capacity")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/overload"), help="folder of overload.json and catalogues"
    )
    parser.add_argument("--flag", action="append", default=[], help="of the server, as --flag=--max-in-flight=32")
    asked = parser.parse_args()
    results: dict[str, Any] = {}
    held = {f"{ms:g} ms": partial(started, "benchmarks.held_loop", "--search-ms", ms) for ms in asked.search_ms}
    real = {f"{items:,} items": partial(serving, kept_catalogue(asked.out, items)) for items in asked.items}
    for name, start in (held | real).items():
        found = results[name] = measure(start, asked.times, asked.seconds, asked.flag)
        print(f"{name}, {found['per_second']:.0f} calls/s, unloaded {found['unloaded']['answered_ms']} ms")
        for one in found["overload"]:
            refused = f"{one['refused']:,}, {one['hinted']:,.0f} of them with a hint"
            print(
                f"  x{one['times']:g}: answered {one['answered_per_second']:.0f}/s in {one['answered_ms']} ms "
                f"({one['p99_over_unloaded']:.2f} x the unloaded p99); refused {refused}, in {one['refused_ms']} ms; "
                f"client late {one['client_late_ms']} ms; memory {one['memory_grew_mib']:+.1f} MiB"
            )
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "overload.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
