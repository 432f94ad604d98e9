"""The real server for tests: in this process on a thread with its own event loop, or as a process of its own."""

from __future__ import annotations

import asyncio
import io
import json
import os
import queue
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc
import uvloop
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo
from grpc_status import rpc_status
from prometheus_client.parser import text_string_to_metric_families

from server.app import Addresses, running
from server.logs import make_logger
from server.settings import Settings

T = TypeVar("T")

ROOT = Path(__file__).parent.parent
LOOPBACK = {
    "host": "127.0.0.1", "port": 0, "metrics_port": 0, "drain_seconds": 5.0, "share_sample": 1.0,
    "max_wait_ms": 0.0,  # on a busy machine calls wait, and that is no overload
}  # fmt: skip


@dataclass(frozen=True)
class Live:
    """A server in this process."""

    addresses: Addresses
    settings: Settings
    log: io.StringIO
    _loop: asyncio.AbstractEventLoop = field(repr=False)
    _stop: asyncio.Event = field(repr=False)

    def stop(self) -> None:
        """Ask it to drain, as SIGTERM does; the ``live`` block waits for the end."""
        self._loop.call_soon_threadsafe(self._stop.set)

    def on_loop(self, ask: Callable[[], T]) -> T:
        """What ``ask`` gives on the thread that answers the calls."""

        async def call() -> T:
            return ask()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(timeout=30)

    def lines(self) -> list[dict[str, Any]]:
        """What it logged."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def metrics(self) -> dict[str, float]:
        """One scrape."""
        return scrape(self.addresses.metrics)


@contextmanager
def live(bundle: Path, **settings: Any) -> Iterator[Live]:
    """Serve ``bundle`` on free loopback ports until the block ends."""
    given = Settings(bundle=bundle, **{**LOOPBACK, **settings})
    log = io.StringIO()
    started: queue.Queue[Live | BaseException] = queue.Queue()

    async def serve() -> None:
        stop = asyncio.Event()
        async with running(given, make_logger(log, given.log_level)) as (addresses, _):
            started.put(Live(addresses, given, log, asyncio.get_running_loop(), stop))
            await stop.wait()

    def run() -> None:
        try:
            uvloop.run(serve())
        except BaseException as error:
            started.put(error)

    thread = threading.Thread(target=run, name="live-server")
    thread.start()
    server = started.get(timeout=60)
    if isinstance(server, BaseException):
        thread.join()
        raise server
    try:
        yield server
    finally:
        server.stop()
        thread.join()


@contextmanager
def process(*arguments: object, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """``python -m server ...`` as a child, killed if it is still there at the end."""
    child = subprocess.Popen(
        [sys.executable, "-m", "server", *map(str, arguments)],
        cwd=ROOT, env={**os.environ, **(env or {})}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
        child.communicate()


def wait_for_addresses(port_file: Path, child: subprocess.Popen[str]) -> dict[str, Any]:
    """The content of ``--port-file``, once it is there."""
    while not port_file.exists():
        assert child.poll() is None, child.communicate()
        time.sleep(0.02)
    addresses: dict[str, Any] = json.loads(port_file.read_text())
    return addresses


def scrape(url: str) -> dict[str, float]:
    """``name{label="value",...}`` -> number, of one scrape."""
    with urllib.request.urlopen(url, timeout=10) as response:
        return read_metrics(response.read().decode())


def read_metrics(text: str) -> dict[str, float]:
    """The exposition format, parsed; labels in the order of their names."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


@dataclass(frozen=True)
class Refusal:
    """A failed call, unpacked by hand rather than by our client. ``violations``: field -> description."""

    code: grpc.StatusCode
    message: str
    violations: dict[str, str]
    reason: str
    domain: str
    request_id: str


def refusal_of(error: grpc.RpcError) -> Refusal:
    """What travelled beside the status code."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None, error
    bad, info, request = (_detail(status.details, kind) for kind in (BadRequest(), ErrorInfo(), RequestInfo()))
    violations = {one.field: one.description for one in bad.field_violations}
    return Refusal(error.code(), status.message, violations, info.reason, info.domain, request.request_id)


def _detail(details: list[AnyMessage], empty: Any) -> Any:
    for detail in details:
        if detail.Unpack(empty):
            break
    return empty
