"""The floor under every gRPC figure: the same server stack and messages, and no work.

    python -m benchmarks.echo PORTFILE

grpc.aio on uvloop; Recommend answers with a message of ``k`` items made beforehand, so what is measured is transport,
parsing, the handler's call and serialising. Nothing is counted or logged.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import grpc
import uvloop
from grpc.aio import ServicerContext

from protos.steering.v1 import recommend_pb2 as pb
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceServicer, add_RecommendServiceServicer_to_server

K_MOST = 100


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


async def _serve(port_file: Path) -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_RecommendServiceServicer_to_server(Echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    temporary = port_file.with_suffix(".new")
    temporary.write_text(f'{{"grpc": "127.0.0.1:{port}"}}')
    temporary.replace(port_file)
    await stop.wait()
    await server.stop(1)


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1])))
