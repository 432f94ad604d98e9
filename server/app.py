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
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import faiss
import grpc
import uvloop
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from structlog.typing import FilteringBoundLogger

from bundle import LATENT_FAMILY, load_bundle
from bundle.errors import TillerError
from protos.steering.v1.concepts_pb2_grpc import add_ConceptServiceServicer_to_server
from protos.steering.v1.recommend_pb2_grpc import add_RecommendServiceServicer_to_server
from server import health
from server.arguments import read_settings
from server.logs import make_logger, unbuffered
from server.policy import PolicySet, check_attributes, check_concepts, load_policies
from server.rpc import Calls, ConceptService, RecommendService, concepts, recommend
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
    _warn(policies, engine, log)
    engine.warm()
    return engine


@asynccontextmanager
async def running(settings: Settings, log: FilteringBoundLogger) -> AsyncIterator[Addresses]:
    """A whole server, in this event loop, from loaded and warm to drained.

    Raises:
        TillerError: the bundle, the policies or a port is refused.
    """
    began = time.perf_counter()
    telemetry = Telemetry()
    engine = open_engine(settings, log)
    telemetry.serving(engine.catalogue.bundle.manifest, engine.policies or PolicySet())
    calls = Calls(telemetry, log)
    served = (recommend.NAME, concepts.NAME)
    state = health.Health(served)
    concept_service = ConceptService(lambda: engine, calls)
    server = grpc.aio.server(options=_options(settings))
    add_RecommendServiceServicer_to_server(RecommendService(lambda: engine, calls, settings.share_sample), server)
    add_ConceptServiceServicer_to_server(concept_service, server)
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    reflection.enable_server_reflection((*served, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    port = _bind(server, settings)
    with MetricsServer(telemetry, settings.metrics_host or settings.host, settings.metrics_port) as metrics:
        addresses = Addresses(
            grpc=_join(settings.host, port),
            metrics=f"http://{_join(settings.metrics_host or settings.host, metrics.port)}/metrics",
            bundle_id=engine.bundle_id,
            policy_revision=engine.policy_revision,
            pid=os.getpid(),
        )
        await server.start()
        try:
            await state.serving()
            log.info("serving", **asdict(addresses), seconds_to_start=round(time.perf_counter() - began, 3))
            yield addresses
        finally:
            log.info("draining", seconds=settings.drain_seconds)
            await state.drain()
            left = await _settled(calls, settings.drain_seconds)
            await server.stop(left)
            concept_service.close()
            log.info("stopped")


async def _serve(settings: Settings, log: FilteringBoundLogger) -> None:
    async with running(settings, log) as addresses:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def ask_to_stop() -> None:
            stop.set()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)  # a second signal stops at once

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ask_to_stop)
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


def _bind(server: grpc.aio.Server, settings: Settings) -> int:
    address = _join(settings.host, settings.port)
    try:
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise TillerError(
            f"cannot listen on {address}", hint="Is another server running? Choose another --port, or 0 for a free one."
        ) from error


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _warn(policies: PolicySet, engine: Engine, log: FilteringBoundLogger) -> None:
    catalogue = engine.catalogue
    offered = {concept.id for concept in catalogue.named}
    offered.update(f"{LATENT_FAMILY}:{latent}" for latent in range(catalogue.latents))
    for warning in (*check_concepts(policies, offered), *check_attributes(policies)):
        log.warning("policy", file=warning.file, line=warning.line, policy=warning.policy, message=str(warning))


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise TillerError(f"cannot write the port file {path}", found=error.strerror) from error
