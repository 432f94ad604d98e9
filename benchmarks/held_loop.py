"""A server whose only method holds the event loop for so many milliseconds, behind the real gate and the real queue.

What benchmarks/overload.py asks with ``--search-ms``: the queue's own doing, without a search's noise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from pathlib import Path

import grpc
import uvloop

from protos.steering.v1 import recommend_pb2 as pb
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceServicer, add_RecommendServiceServicer_to_server
from server.guard import Admission
from server.logs import make_logger, unbuffered
from server.process import port_file, until_told_to_stop
from server.rpc import Calls
from server.rpc.calls import unary
from server.rpc.gate import Gate
from server.telemetry import MetricsServer, Telemetry


class HeldLoop(RecommendServiceServicer):
    """Answers nothing, slowly."""

    def __init__(self, calls: Calls, seconds: float) -> None:
        self._calls = calls
        self._seconds = seconds

    @unary("Recommend", admitted=True)
    async def Recommend(self, request: pb.RecommendRequest, request_id: str) -> pb.RecommendResponse:  # noqa: ARG002
        """Hold the loop, as a search does."""
        await self._calls.admission.turn()
        end = time.perf_counter() + self._seconds
        while time.perf_counter() < end:
            pass
        return pb.RecommendResponse(request_id=request_id)


async def _serve(asked: argparse.Namespace) -> None:
    telemetry = Telemetry()
    admission = Admission(asked.max_in_flight, None if asked.max_wait_ms is None else asked.max_wait_ms / 1e3)
    calls = Calls(telemetry, make_logger(unbuffered(), "error"), admission=admission)
    server = grpc.aio.server(
        interceptors=[Gate(calls, None, admission)],
        options=[("grpc.so_reuseport", 0), ("grpc.server.max_pending_requests", asked.max_in_flight),
                 ("grpc.server.max_pending_requests_hard_limit", asked.max_in_flight + 1)],
    )  # fmt: skip
    add_RecommendServiceServicer_to_server(HeldLoop(calls, asked.search_ms / 1e3), server)
    port = server.add_insecure_port("127.0.0.1:0")
    with MetricsServer(telemetry.registry, "127.0.0.1", 0) as metrics:
        await server.start()
        where = {
            "grpc": f"127.0.0.1:{port}",
            "metrics": f"http://127.0.0.1:{metrics.port}/metrics",
            "pid": os.getpid(),
        }
        with port_file(asked.port_file, where):
            await until_told_to_stop(lambda: asyncio.sleep(0))
        await server.stop(0)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=json.dumps((__doc__ or "").partition("\n")[0]))
    parser.add_argument("--search-ms", type=float, required=True)
    parser.add_argument("--max-in-flight", type=int, default=128)
    parser.add_argument("--max-wait-ms", type=float)
    parser.add_argument("--port-file", type=Path, required=True)
    uvloop.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
