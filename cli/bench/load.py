"""The load client, a process of its own: `python -m cli.bench.load`, a JSON order per line in, an answer per line out.

*Closed loop* (how much?): so many calls in flight, a new one as soon as one is answered.

*Open loop* (how long?): calls start at times drawn beforehand (Poisson arrivals), answered or not, and each call's
latency counts from the moment it was *meant* to start: a slow answer cannot hide others (coordinated omission).

Both over several connections, because a port that processes share is balanced by connection; plain text; bounded in
time and in calls in flight.
"""

from __future__ import annotations

import json
import random
import resource
import select
import sys
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

from cli.bench.http2 import Connection, ConnectionLost, prefixed

CONNECTIONS = 8
MOST_PENDING = 2_000
SETTLE_SECONDS = 60.0
"""How long answers may take to come once no more calls are made."""

clock = time.perf_counter


def closed(
    address: str, path: str, payloads: list[bytes], *, in_flight: int, seconds: float, warm: float, least: int
) -> dict[str, Any]:
    """Answers per second, counted from the first after ``warm`` seconds, for ``seconds`` and ``least`` answers."""
    messages = cycle(map(prefixed, payloads))
    with _Crowd(address, path, min(CONNECTIONS, in_flight)) as crowd:
        connections = cycle(crowd.connections)
        began, busy = clock(), _cpu()
        for _ in range(in_flight):
            next(connections).call(next(messages), 0.0)
        refused = count = before = 0
        counting = False
        while not (counting and clock() - began >= seconds and count >= least):
            for connection, _, ok in crowd.turn(None):
                refused += not ok
                count += 1
                connection.call(next(messages), 0.0)
            if not counting and clock() - began > warm:
                counting, count, began, busy, before = True, 0, clock(), _cpu(), crowd.received
        took, busy, size = clock() - began, _cpu() - busy, crowd.received - before
        refused += crowd.settle()
    return {"per_second": count / took, "answers": count, "refused": refused, "bytes": size / count,
            "client_cpu": busy / took}  # fmt: skip


def open_loop(
    address: str, path: str, payloads: list[bytes], *, rate: float, seconds: float, seed: int
) -> dict[str, Any]:
    """Latencies in milliseconds from the intended start, and how late the client itself was."""
    messages = cycle(map(prefixed, payloads))
    draw = random.Random(seed)
    took: list[float] = []
    late: list[float] = []
    refused = 0
    with _Crowd(address, path, CONNECTIONS) as crowd:
        connections = cycle(crowd.connections)
        for connection in crowd.connections:  # the first call of a connection pays for the connection
            connection.call(next(messages), 0.0)
        refused += crowd.settle()
        began = clock() + 0.01
        due = began
        while due < began + seconds:
            now = clock()
            if now >= due:
                late.append(now - due)
                next(connections).call(next(messages), due)
                due += draw.expovariate(rate)
                if crowd.pending > MOST_PENDING:
                    return {"overloaded": True, "rate": rate}
                if due <= now:
                    continue
            for _, meant, ok in crowd.turn(max(0.0, due - clock())):
                took.append((clock() - meant) * 1e3)
                refused += not ok
        refused += crowd.settle(lambda meant: took.append((clock() - meant) * 1e3))
    return {"rate": rate, "milliseconds": took, "refused": refused, "late": [each * 1e3 for each in late]}


class _Crowd:
    """Several connections driven together."""

    def __init__(self, address: str, path: str, count: int) -> None:
        self.connections = [Connection(address, path) for _ in range(count)]
        self._by_socket = {connection.socket: connection for connection in self.connections}

    @property
    def pending(self) -> int:
        return sum(connection.pending for connection in self.connections)

    @property
    def received(self) -> int:
        return sum(connection.received for connection in self.connections)

    def turn(self, wait: float | None) -> list[tuple[Connection, float, bool]]:
        """Write, wait for answers for ``wait`` seconds at most (None: until there is something), and read."""
        for connection in self.connections:
            connection.write()
        blocked = [connection.socket for connection in self.connections if connection.wants_to_write]
        readable, _, _ = select.select(self._by_socket, blocked, (), wait)
        return [
            (connection, *finished)
            for connection in map(self._by_socket.__getitem__, readable)
            for finished in connection.read()
        ]

    def settle(self, each: Callable[[float], None] | None = None) -> int:
        """Wait for every answer; how many were refused. ``each`` is told the due time of every one."""
        refused, deadline = 0, clock() + SETTLE_SECONDS
        while self.pending:
            left = deadline - clock()
            if left <= 0:
                raise ConnectionLost(f"{self.pending} calls were not answered within {SETTLE_SECONDS:g} s")
            for _, meant, ok in self.turn(left):
                refused += not ok
                if each is not None:
                    each(meant)
        return refused

    def __enter__(self) -> _Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self.connections:
            connection.close()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


MODES: dict[str, Callable[..., dict[str, Any]]] = {"closed": closed, "open": open_loop}


def main() -> None:
    """Orders: ``{"mode": "closed" | "open", "payloads": FILE, ...}``; the file holds hexadecimal messages as JSON."""
    for line in sys.stdin:
        order = json.loads(line)
        run = MODES[order.pop("mode")]
        payloads = [bytes.fromhex(each) for each in json.loads(Path(order.pop("payloads")).read_text())]
        try:
            answer = run(payloads=payloads, **order)
        except (OSError, ConnectionLost, ValueError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
