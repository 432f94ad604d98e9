"""The composition root: settings -> bundle, policies, engine -> gRPC server, health, metrics -> drain and exit.

Nothing below this floor reads settings, opens a port or starts a thread pool.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import faiss
import grpc
import uvloop
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from structlog.typing import FilteringBoundLogger

from bundle import load_bundle
from bundle.errors import TillerError
from protos.steering.v1.admin_pb2_grpc import add_AdminServiceServicer_to_server
from protos.steering.v1.concepts_pb2_grpc import add_ConceptServiceServicer_to_server
from protos.steering.v1.recommend_pb2_grpc import add_RecommendServiceServicer_to_server
from server import health
from server.announce import PolicyNews, warn
from server.arguments import read_settings
from server.decisions import DecisionLog
from server.logs import make_logger, unbuffered
from server.policy import PolicySet, load_policies
from server.reload import Result, Served, watch
from server.rpc import AdminService, Calls, ConceptService, RecommendService, admin, concepts, recommend
from server.settings import Settings
from server.steer import Engine
from server.telemetry import MetricsServer, Telemetry

QUIET_SECONDS = 0.1
"""Of the event loop without a call: then its queue is empty."""

STOPPED, REFUSED, INTERRUPTED = 0, 2, 130


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running server listens, and what it serves; the content of ``--port-file``."""

    grpc: str
    metrics: str
    bundle_id: str
    policy_revision: str
    pid: int
    admin: str


class Running(NamedTuple):
    """A server that runs: where it listens, and what it serves."""

    addresses: Addresses
    served: Served


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; the exit code."""
    try:
        settings = read_settings(sys.argv[1:] if argv is None else argv)
        uvloop.run(_serve(settings, make_logger(unbuffered(), settings.log_level)))
    except TillerError as error:
        print(f"error: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:  # while loading; later Ctrl-C drains
        return INTERRUPTED
    return STOPPED


def open_engine(settings: Settings, log: FilteringBoundLogger) -> Engine:
    """Load and verify the bundle and the policies, and warm the engine.

    Raises:
        BundleError: the bundle is missing or not what it claims.
        PolicyError: a policy file is refused, with every fault of every file.
    """
    # Two threads per query are slower than one. OpenMP keeps the number per calling thread: this must be the
    # thread that searches.
    faiss.omp_set_num_threads(1)
    bundle = load_bundle(settings.bundle)
    policies = load_policies(settings.policies)
    engine = Engine.open(bundle, policies if settings.policies is not None else None, settings.limits)
    warn(engine, log)
    engine.warm()
    return engine


@asynccontextmanager
async def running(settings: Settings, log: FilteringBoundLogger) -> AsyncIterator[Running]:
    """A whole server, in this event loop, from loaded and warm to drained.

    Raises:
        TillerError: the bundle, the policies, a port or the decision log is refused.
    """
    began = time.perf_counter()
    telemetry = Telemetry()
    engine = open_engine(settings, log)
    telemetry.serving(engine.catalogue.bundle.manifest, engine.policies or PolicySet())
    news = PolicyNews(telemetry, log)
    async with AsyncExitStack() as stack:
        served = stack.enter_context(closing(Served(engine, settings.policies, news)))
        decisions = stack.enter_context(_decisions(settings, telemetry))
        metrics_host = settings.metrics_host or settings.host
        metrics = stack.enter_context(MetricsServer(telemetry, metrics_host, settings.metrics_port))
        calls = Calls(telemetry, log, decisions)
        state = health.Health((recommend.NAME, concepts.NAME))
        concept_service = stack.enter_context(closing(ConceptService(served.current, calls)))
        server = grpc.aio.server(options=_options(settings))
        recommender = RecommendService(served.current, calls, settings.share_sample)
        add_RecommendServiceServicer_to_server(recommender, server)
        add_ConceptServiceServicer_to_server(concept_service, server)
        health_pb2_grpc.add_HealthServicer_to_server(state, server)
        _reflect(server, recommend.NAME, concepts.NAME, health.SERVICE_NAME)
        port = _bind(server, settings.host, settings.port, "--port")
        admin_address = await stack.enter_async_context(_admin(served, calls, settings))
        addresses = Addresses(
            grpc=_join(settings.host, port),
            metrics=f"http://{_join(metrics_host, metrics.port)}/metrics",
            bundle_id=engine.bundle_id,
            policy_revision=engine.policy_revision,
            pid=os.getpid(),
            admin=admin_address,
        )
        await server.start()
        await stack.enter_async_context(_watching(served, settings, news))
        try:
            await state.serving()
            log.info("serving", **asdict(addresses), seconds_to_start=round(time.perf_counter() - began, 3))
            yield Running(addresses, served)
        finally:
            log.info("draining", seconds=settings.drain_seconds)
            await state.drain()
            left = await _settled(calls, settings.drain_seconds)
            await server.stop(left)
    log.info("stopped")


@asynccontextmanager
async def _admin(served: Served, calls: Calls, settings: Settings) -> AsyncIterator[str]:
    """The admin service on a port of its own, while the block lasts; its address, empty where none is wanted."""
    if settings.admin_port is None:
        yield ""
        return
    server = grpc.aio.server(options=_options(settings))
    with closing(AdminService(served, calls)) as service:
        add_AdminServiceServicer_to_server(service, server)
        _reflect(server, admin.NAME)
        port = _bind(server, settings.admin_host, settings.admin_port, "--admin-port")
        await server.start()
        try:
            yield _join(settings.admin_host, port)
        finally:
            await server.stop(0)


@asynccontextmanager
async def _watching(served: Served, settings: Settings, news: PolicyNews) -> AsyncIterator[None]:
    """Reload the policies when their folder changes, while the block lasts."""
    if settings.policies is None or not settings.policy_poll_seconds:
        yield
        return
    task = asyncio.create_task(watch(served, settings.policies, settings.policy_poll_seconds, news))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@contextmanager
def _decisions(settings: Settings, telemetry: Telemetry) -> Iterator[DecisionLog | None]:
    """The decision log, flushed at the end of the block; None where none is wanted."""
    if settings.decision_log is None:
        yield None
        return
    try:
        log = DecisionLog(
            settings.decision_log, settings.decision_sample, settings.decision_log_mib << 20, telemetry.decided
        )
    except OSError as error:
        raise TillerError(
            f"cannot write the decision log {settings.decision_log}", found=error.strerror,
            hint="Make its folder, or name another file: --decision-log PATH.",
        ) from error  # fmt: skip
    with closing(log):
        yield log


async def _serve(settings: Settings, log: FilteringBoundLogger) -> None:
    async with running(settings, log) as (addresses, served):
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        reloads: set[asyncio.Task[Result]] = set()

        def ask_to_reload() -> None:
            task = asyncio.create_task(served.reload("signal"))
            reloads.add(task)  # a task that nobody holds may vanish
            task.add_done_callback(reloads.discard)

        def ask_to_stop() -> None:
            stop.set()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)  # a second signal stops at once

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ask_to_stop)
        loop.add_signal_handler(signal.SIGHUP, ask_to_reload)
        try:
            if settings.port_file is not None:
                _write_atomically(settings.port_file, json.dumps(asdict(addresses)) + "\n")
            where = f"{addresses.grpc}, metrics on {addresses.metrics}"
            print(f"tiller serves {settings.bundle} on {where}. Ctrl-C stops it.", file=sys.stderr, flush=True)
            await stop.wait()
        finally:
            if settings.port_file is not None:
                settings.port_file.unlink(missing_ok=True)


async def _settled(calls: Calls, seconds: float) -> float:
    """Answer on until no call came for a moment, or for ``seconds``; what is left of them.

    A gRPC server that is told to stop cancels the calls that lie unread in its queue, so the queue is emptied first.
    """
    end = time.perf_counter() + seconds
    while calls.quiet_for() < QUIET_SECONDS and (left := end - time.perf_counter()) > 0:
        await asyncio.sleep(min(QUIET_SECONDS / 4, left))
    return max(0.0, end - time.perf_counter())


def _options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # Without it Linux lets a second server take the same port and half of the calls, silently.
        ("grpc.so_reuseport", int(settings.reuse_port)),
    ]


def _reflect(server: grpc.aio.Server, *services: str) -> None:
    reflection.enable_server_reflection((*services, reflection.SERVICE_NAME), server)


def _bind(server: grpc.aio.Server, host: str, port: int, flag: str) -> int:
    address = _join(host, port)
    try:
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise TillerError(
            f"cannot listen on {address}",
            hint=f"Is another server running? Choose another {flag}, or 0 for a free one.",
        ) from error


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise TillerError(f"cannot write the port file {path}", found=error.strerror) from error
