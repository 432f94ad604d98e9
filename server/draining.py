"""How a server leaves: say so, wait until balancers have noticed, answer what is there, stop.

NOT_SERVING (watchers are told) -> drain_delay: still answering -> until no call comes -> stop(grace)
"""

from __future__ import annotations

import asyncio
import time

import grpc

from server.health import Health
from server.rpc import Calls

QUIET_SECONDS = 0.1
"""Of the event loop without a call: then its queue is empty."""


async def drain(health: Health, calls: Calls, server: grpc.aio.Server, delay: float, seconds: float) -> None:
    """Take the server down without losing a call that reached it.

    Args:
        health: who is told first.
        calls: those under way.
        server: to be stopped.
        delay: seconds in which health says NOT_SERVING and new calls are still answered, so that balancers notice.
        seconds: in which what is there must be answered then, at most.
    """
    await health.drain()
    if delay:
        await asyncio.sleep(delay)
    left = await _settled(calls, seconds)
    await server.stop(left)


async def _settled(calls: Calls, seconds: float) -> float:
    """Answer on until no call came for a moment, or for ``seconds``; what is left of them.

    A gRPC server that is told to stop cancels the calls that lie unread in its queue, so the queue is emptied first.
    """
    end = time.perf_counter() + seconds
    while calls.quiet_for() < QUIET_SECONDS and (left := end - time.perf_counter()) > 0:
        await asyncio.sleep(min(QUIET_SECONDS / 4, left))
    return max(0.0, end - time.perf_counter())
