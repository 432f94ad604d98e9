"""gRPC servers and their ports: the options, the interceptors and the credentials that every one of them has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection

from bundle.errors import TillerError
from server.settings import Settings


def make_server(
    settings: Settings, interceptors: Sequence[grpc.aio.ServerInterceptor[Any, Any]] = ()
) -> grpc.aio.Server:
    """A server without services and ports yet."""
    return grpc.aio.server(
        interceptors=list(interceptors),
        options=[
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            ("grpc.max_send_message_length", settings.max_message_bytes),
            ("grpc.max_metadata_size", settings.max_metadata_bytes),
            ("grpc.absolute_max_metadata_size", settings.max_metadata_bytes),
            ("grpc.max_allowed_incoming_connections", settings.max_connections),
            ("grpc.max_concurrent_streams", settings.max_concurrent_streams),
            # Calls that lie in gRPC, not taken up yet; beyond, gRPC itself cancels them (docs/decisions/022).
            ("grpc.server.max_pending_requests", settings.max_in_flight),
            ("grpc.server.max_pending_requests_hard_limit", settings.max_in_flight + 1),
            *_ages(settings),
            # Without it Linux lets a second server take the same port and half of the calls, silently.
            ("grpc.so_reuseport", int(settings.reuse_port)),
        ],
    )


def _ages(settings: Settings) -> list[tuple[str, int]]:
    if not settings.max_connection_age_seconds:
        return []
    # Calls under way on an old connection may finish.
    grace = round(1e3 * (settings.drain_seconds or 1.0))
    age = round(1e3 * settings.max_connection_age_seconds)
    return [("grpc.max_connection_age_ms", age), ("grpc.max_connection_age_grace_ms", grace)]


def reflect(server: grpc.aio.Server, *services: str) -> None:
    """Have the server describe ``services``, and the describing itself, to grpcurl."""
    reflection.enable_server_reflection((*services, reflection.SERVICE_NAME), server)


def bind(
    server: grpc.aio.Server, host: str, port: int, flag: str, credentials: grpc.ServerCredentials | None = None
) -> str:
    """Listen there, in plain text without ``credentials``; the address, with the port that was taken for 0.

    Raises:
        TillerError: the address cannot be had; ``flag`` is where it came from.
    """
    address = join(host, port)
    try:
        if credentials is None:
            taken = server.add_insecure_port(address)
        else:
            taken = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise TillerError(
            f"cannot listen on {address}",
            hint=f"Is another server running? Choose another {flag}, or 0 for a free one.",
        ) from error
    return join(host, taken)


def join(host: str, port: int) -> str:
    """``HOST:PORT``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
