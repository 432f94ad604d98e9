"""What happens around a method when the inside breaks: INTERNAL, a traceback in the log, nothing on the wire."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from prometheus_client import generate_latest

from protos.steering.v1.concepts_pb2 import ListConceptsRequest
from protos.steering.v1.concepts_pb2_grpc import ConceptServiceStub
from protos.steering.v1.recommend_pb2 import Embedding, RecommendRequest
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub, add_RecommendServiceServicer_to_server
from server.bits import BitArray
from server.logs import make_logger
from server.rpc import Calls, RecommendService
from server.steer import Engine
from server.telemetry import Telemetry
from server.types import FloatArray, Ranking
from tests.live import live, read_metrics
from tests.world import make_world, write_world


class BrokenIndex:
    """A fault injected below the engine: the index fails as FAISS does when its memory is gone."""

    exact = True

    def __len__(self) -> int:
        return 60

    def search(self, query: FloatArray, n: int, allowed: BitArray | None = None) -> Ranking:  # noqa: ARG002
        raise RuntimeError("Error in faiss: /srv/secret/index.faiss could not be read")


def test_a_fault_is_internal_with_a_request_id_and_the_traceback_stays_here(tmp_path: Path) -> None:
    bundle = write_world(make_world(items=60), tmp_path / "planted")
    engine = Engine.open(bundle)
    broken = replace(engine, retriever=BrokenIndex())
    log, telemetry = io.StringIO(), Telemetry()

    async def ask() -> grpc.aio.AioRpcError:
        server = grpc.aio.server()
        service = RecommendService(lambda: broken, Calls(telemetry, make_logger(log, "info")), share_sample=0)
        add_RecommendServiceServicer_to_server(service, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            request = RecommendRequest(embedding=Embedding(values=[1.0] * 16), k=3, request_id="r-9")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await RecommendServiceStub(channel).Recommend(request, timeout=30)
        await server.stop(None)
        return caught.value

    error = asyncio.run(ask())
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == "internal error: the server's log has it under request id r-9"
    ((_, raw),) = [pair for pair in error.trailing_metadata() if pair[0] == "grpc-status-details-bin"]
    assert b"secret" not in bytes(raw)
    (line,) = [json.loads(text) for text in log.getvalue().splitlines()]
    assert (line["event"], line["level"], line["request_id"]) == ("internal error", "error", "r-9")
    assert "RuntimeError: Error in faiss: /srv/secret/index.faiss could not be read" in line["exception"]
    metrics = read_metrics(generate_latest(telemetry.registry).decode())
    assert metrics['tiller_requests_total{code="INTERNAL",method="Recommend"}'] == 1
    assert metrics["tiller_in_flight"] == 0


def test_a_call_given_up_is_counted_as_cancelled(tmp_path: Path) -> None:
    # Searches through every latent's titles wait for one thread; the last of them wait longer than their caller.
    bundle = write_world(make_world(items=3000, latents=512), tmp_path / "planted")
    search = ListConceptsRequest(family="latent", query="no title has this", page_size=1000)
    with live(bundle.path, max_in_flight=1000) as server, grpc.insecure_channel(server.addresses.grpc) as channel:
        stub = ConceptServiceStub(channel)
        calls = [stub.ListConcepts.future(search, timeout=0.5) for _ in range(200)]
        codes = Counter(call.code() for call in calls)
        late = codes[grpc.StatusCode.DEADLINE_EXCEEDED]
        assert late > 0
        assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED}
        while (metrics := server.metrics())["tiller_in_flight"]:
            time.sleep(0.01)
    counted = {name: value for name, value in metrics.items() if name.startswith("tiller_requests_total")}
    given_up = counted.get('tiller_requests_total{code="CANCELLED",method="ListConcepts"}', 0)
    answered = counted.get('tiller_requests_total{code="OK",method="ListConcepts"}', 0)
    # A deadline may pass before the server takes a call up, which is then not counted, or while the answer travels.
    assert 0 < given_up <= late
    assert answered <= 200 - given_up
