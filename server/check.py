"""``--check``: would a server start with these settings? Everything is read, nothing is served."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import faiss

from bundle.errors import TillerError
from server.announce import doubtful
from server.guard.certificates import prove_authorities, prove_pair
from server.guard.checks import warnings
from server.guard.tokens import read_tokens
from server.listening import join
from server.loading import load_engine
from server.policy import PolicySet, load_policies
from server.settings import Settings
from server.steer import Engine


class CheckFailed(TillerError):
    """A server would not start; the message lists every fault."""


def check(settings: Settings, say: Callable[[str], None]) -> None:
    """Tell what a server would serve, to whom and where.

    Raises:
        CheckFailed: with everything that would keep it from starting.
    """
    faults: list[str] = []

    @contextmanager
    def noting() -> Iterator[None]:
        try:
            yield
        except TillerError as error:
            faults.append(str(error))

    faiss.omp_set_num_threads(1)
    policies: PolicySet | None = None
    if settings.policies is not None:
        with noting():
            policies = load_policies(settings.policies)
            say(f"policies    {len(policies.policies)} from {settings.policies}, revision {policies.revision}")
    with noting():
        engine = load_engine(settings.bundle, policies, settings)
        engine.warm()
        _say_bundle(engine, settings, say)
    for tell in (_say_transport, _say_callers):
        with noting():
            tell(settings, say)
    for name, host, port, flag in _ports(settings):
        if fault := _taken(host, port, reuse=settings.reuse_port and flag == "--port"):
            faults.append(f"cannot listen on {join(host, port)}: {fault}. Choose another {flag}, or 0 for a free one.")
        else:
            say(f"{name:<11} {join(host, port)}")
    for file in (settings.decision_log, settings.port_file):
        if file is not None and not os.access(file.parent, os.W_OK):
            faults.append(f"cannot write {file}: its folder is missing or not writable")
    for warning in warnings(settings):
        say(f"warning     {warning}")
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise CheckFailed(f"a server would not start: {count}" + "".join(f"\n  {fault}" for fault in faults))
    say("A server would start.")


def _say_bundle(engine: Engine, settings: Settings, say: Callable[[str], None]) -> None:
    manifest = engine.catalogue.bundle.manifest
    signed = "" if settings.bundle_public_key is None else ", signature proved"
    holds = f"{manifest.dims.items:,} items, {manifest.dims.concepts} concepts"
    say(f"bundle      {manifest.bundle_id} {manifest.name}: {holds}, checksums proved{signed}")
    for warning in doubtful(engine):
        say(f"warning     {warning}")


def _say_transport(settings: Settings, say: Callable[[str], None]) -> None:
    if settings.tls_cert is None or settings.tls_key is None:
        say("transport   plain text")
        return
    prove_pair(settings.tls_cert, settings.tls_key)
    if settings.tls_client_ca is not None:
        prove_authorities(settings.tls_client_ca)
    say("transport   " + ("mutual TLS" if settings.tls_client_ca is not None else "TLS"))


def _say_callers(settings: Settings, say: Callable[[str], None]) -> None:
    if settings.tokens is None:
        who = "anybody who reaches the port" if settings.tls_client_ca is None else "whoever shows a certificate"
        say(f"callers     {who}")
        return
    now = datetime.now(UTC)
    for token in read_tokens(settings.tokens):
        until = ""
        if token.expires is not None:
            moment = f"{token.expires.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
            until = f", expired {moment}" if token.expires <= now else f", until {moment}"
        say(f"token       {token.name}: {' '.join(sorted(token.scopes))}{until}")


def _ports(settings: Settings) -> Iterator[tuple[str, str, int, str]]:
    yield "gRPC", settings.host, settings.port, "--port"
    yield "metrics", settings.metrics_host or settings.host, settings.metrics_port, "--metrics-port"
    if settings.admin_port is not None:
        yield "admin", settings.admin_host, settings.admin_port, "--admin-port"


def _taken(host: str, port: int, *, reuse: bool) -> str:
    """Why nobody could listen there now, or ""."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As gRPC does: a port that another server left a moment ago is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return error.strerror or str(error)
    return ""
