"""grpc.health.v1 for a server that loads before it serves and drains before it stops.

A service is SERVING once the bundle that it speaks for is loaded and warm. Every service is NOT_SERVING until
``serving``, and NOT_SERVING for good after ``drain``, which also ends every Watch: the library's servicer keeps them
open, and each would hold the server for the whole time of grace.

    readiness   "" or a service's name      may this process be sent calls?
    liveness    "tiller.live"               does its event loop turn? SERVING for as long as it answers, draining too
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc
from grpc.aio import ServicerContext
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1 import health_pb2_grpc

SERVICE_NAME = "grpc.health.v1.Health"
LIVE = "tiller.live"
"""No service of ours: what a liveness probe asks for. A server that drains must not be killed for it."""

SERVING = pb.HealthCheckResponse.SERVING
NOT_SERVING = pb.HealthCheckResponse.NOT_SERVING
UNKNOWN = pb.HealthCheckResponse.SERVICE_UNKNOWN


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """Status per service name; the empty name stands for the server as a whole."""

    def __init__(self, services: Iterable[str]) -> None:
        self._statuses: dict[str, int] = {**dict.fromkeys(("", *services), NOT_SERVING), LIVE: SERVING}
        self._changed = asyncio.Condition()
        self._drained = False

    async def serving(self) -> None:
        """All services answer."""
        await self._set(SERVING)

    async def drain(self) -> None:
        """No service answers any more; watchers are told and released."""
        self._drained = True
        await self._set(NOT_SERVING)

    async def _set(self, status: int) -> None:
        async with self._changed:
            self._statuses = {**dict.fromkeys(self._statuses, status), LIVE: SERVING}
            self._changed.notify_all()

    async def Check(self, request: pb.HealthCheckRequest, context: ServicerContext[Any, Any]) -> pb.HealthCheckResponse:
        """The status now; NOT_FOUND for a service that this server does not have."""
        status = self._statuses.get(request.service)
        if status is None:
            known = ", ".join(name for name in self._statuses if name)
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service[:200]!r}; there are {known}")
        return pb.HealthCheckResponse(status=status)

    async def List(self, request: pb.HealthListRequest, context: ServicerContext[Any, Any]) -> pb.HealthListResponse:  # noqa: ARG002
        """The status of every service now."""
        return pb.HealthListResponse(
            statuses={name: pb.HealthCheckResponse(status=status) for name, status in self._statuses.items()}
        )

    async def Watch(self, request: pb.HealthCheckRequest, context: ServicerContext[Any, Any]) -> None:
        """The status now and at every change, until the server drains."""
        while True:
            status = self._statuses.get(request.service, UNKNOWN)
            await context.write(pb.HealthCheckResponse(status=status))
            async with self._changed:
                # A drained server never changes again: the last status was sent, the stream ends.
                await self._changed.wait_for(
                    lambda: self._drained or self._statuses.get(request.service, UNKNOWN) != status  # noqa: B023
                )
            if self._drained and self._statuses.get(request.service, UNKNOWN) == status:
                return
