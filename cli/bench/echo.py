"""The floor under every gRPC figure: the same server stack and messages, and no work.

    python -m cli.bench.echo --port-file FILE [--workers N]

grpc.aio on uvloop; Recommend answers with a message of ``k`` items made beforehand, RecommendBatch with as many of them
as were asked for, so what is measured is transport, parsing, the handler's call and serialising. Nothing is counted or
logged. Several workers share the port, as the server's do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import grpc
import uvloop
from grpc.aio import ServicerContext

from protos.steering.v1 import recommend_pb2 as pb
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceServicer, add_RecommendServiceServicer_to_server

K_MOST = 500


class Echo(RecommendServiceServicer):
    """Answers the same list to everybody."""

    def __init__(self) -> None:
        items = [pb.ScoredItem(item_id=f"i{n}", score=1.0 / (n + 1), title=f"Item number {n}") for n in range(K_MOST)]
        self._answers = [
            pb.RecommendResponse(request_id="0123456789abcdef", items=items[:k], bundle_id="0123456789ab",
                                 policy_revision="none") for k in range(K_MOST + 1)
        ]  # fmt: skip

    async def Recommend(self, request: pb.RecommendRequest, context: ServicerContext[Any, Any]) -> pb.RecommendResponse:  # noqa: ARG002
        """A list of k items."""
        return self._answers[request.k]

    async def RecommendBatch(
        self, request: pb.RecommendBatchRequest, context: ServicerContext[Any, Any]  # noqa: ARG002
    ) -> pb.RecommendBatchResponse:  # fmt: skip
        """A list of k items for each."""
        return pb.RecommendBatchResponse(
            request_id="0123456789abcdef",
            results=[pb.BatchResult(response=self._answers[each.k]) for each in request.requests],
        )


async def _serve(port: int, told: int) -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 1)])
    add_RecommendServiceServicer_to_server(Echo(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    os.write(told, b".")
    await stop.wait()
    await server.stop(1)


def main(port_file: Path, workers: int) -> None:
    """Hold the port, serve it from ``workers`` processes until SIGTERM, and say where once all of them serve."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind(("127.0.0.1", 0))
    port = holder.getsockname()[1]
    ready, told = os.pipe()
    children = []
    for _ in range(workers):
        if not (child := os.fork()):
            uvloop.run(_serve(port, told))
            os._exit(0)
        children.append(child)

    def stop(*_: object) -> None:
        for child in children:
            os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    for _ in children:
        os.read(ready, 1)
    temporary = port_file.with_suffix(".new")
    temporary.write_text(json.dumps({"grpc": f"127.0.0.1:{port}", "pid": os.getpid()}))
    temporary.replace(port_file)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    main(asked.port_file, asked.workers)
