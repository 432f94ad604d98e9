"""The composition root: settings -> bundle, policies, engine -> gRPC server, health, metrics -> drain and exit.

Nothing below this floor reads settings, opens a port or starts a thread pool.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import faiss
import uvloop
from grpc_health.v1 import health_pb2_grpc
from structlog.typing import FilteringBoundLogger

from bundle.errors import TillerError
from protos.steering.v1.admin_pb2_grpc import add_AdminServiceServicer_to_server
from protos.steering.v1.concepts_pb2_grpc import add_ConceptServiceServicer_to_server
from protos.steering.v1.recommend_pb2_grpc import add_RecommendServiceServicer_to_server
from server import health
from server.announce import News, warn
from server.arguments import read_settings
from server.background import beside
from server.check import check
from server.decisions import opened_log
from server.draining import drain
from server.drift import DriftWatch
from server.guard import Guard
from server.listening import bind, make_server, reflect
from server.loading import load_engine
from server.logs import make_logger, unbuffered
from server.policy import load_policies
from server.process import port_file, until_told_to_stop
from server.reload import Served, watch_bundle, watch_policies
from server.rpc import AdminService, Calls, ConceptService, RecommendService, admin, concepts, recommend
from server.rpc.decode import decoding
from server.rpc.gate import Gate
from server.settings import Settings
from server.steer import Engine
from server.telemetry import Telemetry
from server.tracing import opened_traces
from server.users import opened_users
from server.worker import Place, SharedServed, orphaned
from server.workers import count, metrics_page, supervise

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
        if settings.check:
            check(settings, print)
            return STOPPED
        log = make_logger(unbuffered(), settings.log_level)
        if count(settings) > 1:
            return supervise(settings, log, work)
        uvloop.run(serve(settings, log))
    except TillerError as error:
        print(f"error: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:  # while loading; later Ctrl-C drains
        return INTERRUPTED
    return STOPPED


async def serve(settings: Settings, log: FilteringBoundLogger) -> None:
    """A whole server as a process of its own, from its start to the signal that ends it."""
    async with running(settings, log) as (addresses, served):
        with port_file(settings.port_file, asdict(addresses)):
            where = f"{addresses.grpc}, metrics on {addresses.metrics}"
            print(f"tiller serves {settings.bundle} on {where}. Ctrl-C stops it.", file=sys.stderr, flush=True)
            await until_told_to_stop(lambda: asyncio.gather(served.reload("signal"), served.look_again("signal")))


def work(place: Place) -> None:
    """One of several workers, in a process of its own (server.workers).

    Raises:
        SystemExit: it was refused.
    """
    os.setsid()  # a Ctrl-C in the terminal is for the supervisor

    async def live() -> None:
        log = make_logger(unbuffered(), place.settings.log_level).bind(worker=place.number)
        async with running(place.settings, log, place) as (addresses, served):
            place.ready.send(asdict(addresses))
            place.ready.close()
            with orphaned():
                await until_told_to_stop(lambda: asyncio.gather(served.reload("signal"), served.look_again("signal")))

    try:
        uvloop.run(live())
    except TillerError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(REFUSED) from None


@asynccontextmanager
async def running(settings: Settings, log: FilteringBoundLogger, place: Place | None = None) -> AsyncIterator[Running]:
    """A whole server, in this event loop, from loaded and warm to drained; ``place``: as one of several workers.

    Raises:
        TillerError: the bundle, the policies, a port or the decision log is refused.
    """
    began = time.perf_counter()
    guard = Guard(settings, log)
    telemetry = Telemetry()
    engine = _engine(settings, log)
    async with AsyncExitStack() as stack:
        stack.callback(telemetry.flush)
        drift = stack.enter_context(closing(DriftWatch(settings.drift_sample, telemetry.drift)))
        news = News(telemetry, log, drift)
        news.serving(engine)
        made = Served(engine, settings, news) if place is None else SharedServed(engine, settings, news)
        served = stack.enter_context(closing(made))
        guard.admission.shared = lambda: served.current().most_together
        decisions = stack.enter_context(opened_log(settings, telemetry.decided))
        metrics = (
            place.metrics if place is not None else stack.enter_context(metrics_page(settings, telemetry.registry))
        )
        traces = stack.enter_context(opened_traces(settings))
        calls = Calls(telemetry, log, decisions, drift, traces, guard.admission)
        gate = Gate(calls, guard.tokens, guard.admission)
        state = health.Health((recommend.NAME, concepts.NAME))
        concept_service = stack.enter_context(closing(ConceptService(served.current, calls)))
        server = make_server(settings, (gate, *(() if traces is None else traces.interceptors)))
        users = await stack.enter_async_context(opened_users(settings, telemetry.users))
        recommender = RecommendService(served.current, calls, settings.share_sample, users)
        add_RecommendServiceServicer_to_server(recommender, decoding(server))
        add_ConceptServiceServicer_to_server(concept_service, decoding(server))
        health_pb2_grpc.add_HealthServicer_to_server(state, server)
        reflect(server, recommend.NAME, concepts.NAME, health.SERVICE_NAME)
        address = bind(server, settings.host, settings.port, "--port", guard.credentials())
        admin_address = await stack.enter_async_context(_admin(served, calls, settings, guard))
        addresses = Addresses(
            grpc=address,
            metrics=metrics,
            bundle_id=engine.bundle_id,
            policy_revision=engine.policy_revision,
            pid=os.getpid(),
            admin=admin_address,
        )
        await server.start()
        await stack.enter_async_context(beside(*_watches(served, settings, news), guard.watch()))
        try:
            await state.serving()
            telemetry.workers.serving(place.restarts if place is not None else 0)
            log.info("serving", **asdict(addresses), seconds_to_start=round(time.perf_counter() - began, 3))
            yield Running(addresses, served)
        finally:
            log.info("draining", delay=settings.drain_delay_seconds, seconds=settings.drain_seconds)
            await drain(state, calls, server, settings.drain_delay_seconds, settings.drain_seconds)
    log.info("stopped")


def _engine(settings: Settings, log: FilteringBoundLogger) -> Engine:
    """The engine to start with.

    Raises:
        BundleError: the bundle is missing or not what it claims.
        PolicyError: a policy file is refused, with every fault of every file.
    """
    # Two threads per query are slower than one. OpenMP keeps the number per calling thread: this must be the
    # thread that searches.
    faiss.omp_set_num_threads(1)
    policies = None if settings.policies is None else load_policies(settings.policies)
    engine = load_engine(settings.bundle, policies, settings)
    warn(engine, log)
    engine.warm()
    return engine


@asynccontextmanager
async def _admin(served: Served, calls: Calls, settings: Settings, guard: Guard) -> AsyncIterator[str]:
    """The admin service on a port of its own, while the block lasts; its address, empty where none is wanted."""
    if settings.admin_port is None:
        yield ""
        return
    server = make_server(settings, [Gate(calls, guard.tokens, None)])
    with closing(AdminService(served, calls)) as service:
        add_AdminServiceServicer_to_server(service, decoding(server))
        reflect(server, admin.NAME)
        address = bind(server, settings.admin_host, settings.admin_port, "--admin-port", guard.credentials())
        await server.start()
        try:
            yield address
        finally:
            await server.stop(0)


def _watches(served: Served, settings: Settings, news: News) -> list[Coroutine[Any, Any, None]]:
    """What changes by itself."""
    works = []
    if settings.policies is not None and settings.policy_poll_seconds:
        works.append(watch_policies(served, settings.policies, settings.policy_poll_seconds, news))
    if settings.bundle_poll_seconds:
        works.append(watch_bundle(served, settings.bundle, settings.bundle_poll_seconds, news))
    return works
