"""Too many calls, and calls that nobody waits for, on a real port."""

from __future__ import annotations

import select
import threading
import time

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status

from bundle import Bundle
from cli.bench.http2 import Connection, ConnectionLost, prefixed
from client import TillerClient, TillerRpcError
from protos.steering.v1.recommend_pb2 import RecommendBatchRequest, RecommendRequest
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub
from server.errors import DeadlinePassed
from server.rpc.errors import PUSHBACK
from server.steer import Engine
from server.types import Query
from tests.live import Live, live
from tests.world import make_world, write_world


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_world(make_world(items=3000), tmp_path_factory.mktemp("large") / "planted")


def _batch(size: int) -> RecommendBatchRequest:
    return RecommendBatchRequest(requests=[RecommendRequest(user_id="u1", k=100, explain=True)] * size)


class _Busy:
    """Keeps a server busy with batches, of which one is always under way, for as long as the block lasts."""

    def __init__(self, server: Live) -> None:
        self._server, self._stop = server, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with grpc.insecure_channel(self._server.addresses.grpc) as channel:
            stub = RecommendServiceStub(channel)
            while not self._stop.is_set():
                try:
                    stub.RecommendBatch(_batch(256), timeout=60)
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:  # another call was there first
                        raise

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_excess_calls_are_refused_at_once_with_a_hint_and_counted(large: Bundle) -> None:
    with live(large.path, max_in_flight=1) as server:
        answered = 0
        with _Busy(server), grpc.insecure_channel(server.addresses.grpc) as channel:
            stub = RecommendServiceStub(channel)
            while True:
                try:
                    stub.Recommend(RecommendRequest(user_id="u1", k=3), timeout=30)
                    answered += 1
                except grpc.RpcError as error:
                    refused = error
                    break
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "more calls than it can answer" in (refused.details() or "")
        status = rpc_status.from_call(refused)  # type: ignore[arg-type]
        assert status is not None
        hint = RetryInfo()
        assert any(detail.Unpack(hint) for detail in status.details)
        milliseconds = hint.retry_delay.ToMilliseconds()
        assert 75 <= milliseconds <= 2500
        assert dict(refused.trailing_metadata())[PUSHBACK] == str(milliseconds)
        found = server.metrics()
        shed = found['tiller_shed_total{reason="in_flight"}']
        assert shed >= 1
        calls = sum(
            found.get(f'tiller_requests_total{{code="RESOURCE_EXHAUSTED",method="{method}"}}', 0)
            for method in ("Recommend", "RecommendBatch")
        )
        assert calls == shed
        assert found.get('tiller_requests_total{code="OK",method="Recommend"}', 0) == answered
        (line, *_) = [line for line in server.lines() if line["event"] == "calls shed"]
        assert (line["level"], line["reason"]) == ("warning", "in_flight")


def test_the_client_says_when_to_come_back(large: Bundle) -> None:
    with live(large.path, max_in_flight=1) as server, _Busy(server), TillerClient(server.addresses.grpc) as client:
        with pytest.raises(TillerRpcError) as caught:
            _until_refused(client)
        assert caught.value.reason == "OVERLOADED"
        assert caught.value.retry_after is not None
        assert 0.07 < caught.value.retry_after < 2.6


def _until_refused(client: TillerClient) -> None:
    while True:
        client.recommend(user_id="u1", k=3, timeout=30)


def test_health_is_answered_whatever_the_load(large: Bundle) -> None:
    with live(large.path, max_in_flight=1) as server, _Busy(server), TillerClient(server.addresses.grpc) as client:
        for _ in range(20):
            client.wait_ready(30)


def test_a_batch_whose_deadline_passes_is_not_computed_to_its_end(large: Bundle) -> None:
    with live(large.path) as server, grpc.insecure_channel(server.addresses.grpc) as channel:
        stub = RecommendServiceStub(channel)
        stub.Recommend(RecommendRequest(user_id="u1", k=3), timeout=30)
        with pytest.raises(grpc.RpcError) as caught:
            stub.RecommendBatch(_batch(256), timeout=0.02)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        stub.Recommend(RecommendRequest(user_id="u1", k=3), timeout=30)
        answered = server.metrics()['tiller_stage_seconds_count{stage="search"}']
        assert answered < 200


def test_nothing_is_begun_when_nobody_waits_for_it(large: Bundle) -> None:
    engine = Engine.open(large)
    with pytest.raises(DeadlinePassed, match="the deadline passed before the answer was there"):
        engine.recommend(Query(k=3, user_id="u1"), until=time.perf_counter() - 1)
    assert len(engine.recommend(Query(k=3, user_id="u1"), until=time.perf_counter() + 60).ranking.items) == 3


def test_headers_and_messages_have_their_bounds(large: Bundle) -> None:
    bounds = {"max_metadata_bytes": 4096, "max_message_bytes": 8192}
    with live(large.path, **bounds) as server, grpc.insecure_channel(server.addresses.grpc) as channel:
        stub = RecommendServiceStub(channel)
        request = RecommendRequest(user_id="u1", k=3)
        stub.Recommend(request, metadata=[("x", "a" * 1000)], timeout=30)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Recommend(request, metadata=[("x", "a" * 9000)], timeout=30)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.RpcError) as caught:
            stub.RecommendBatch(_batch(2000), timeout=30)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        stub.Recommend(request, timeout=30)


def test_connections_beyond_the_bound_are_closed_until_others_leave(large: Bundle) -> None:
    message = RecommendRequest(user_id="u1", k=3)
    own = [("grpc.use_local_subchannel_pool", 1)]
    with live(large.path, max_connections=2) as server:
        channels = [grpc.insecure_channel(server.addresses.grpc, options=own) for _ in range(3)]
        stubs = [RecommendServiceStub(channel) for channel in channels]
        for stub in stubs[:2]:
            assert len(stub.Recommend(message, timeout=30).items) == 3
        with pytest.raises(grpc.RpcError) as caught:
            stubs[2].Recommend(message, timeout=30)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        channels[0].close()
        assert len(stubs[2].Recommend(message, timeout=30, wait_for_ready=True).items) == 3
        for channel in channels[1:]:
            channel.close()


def test_an_old_connection_is_closed_and_callers_do_not_notice(large: Bundle) -> None:
    with live(large.path, max_connection_age_seconds=0.2) as server, TillerClient(server.addresses.grpc) as client:
        connection = Connection(server.addresses.grpc, "/steering.v1.RecommendService/Recommend")
        connection.call(prefixed(RecommendRequest(user_id="u1", k=3).SerializeToString()), 0.0)
        with pytest.raises(ConnectionLost):
            _read_on(connection)
        connection.close()
        for _ in range(20):
            assert len(client.recommend(user_id="u1", k=3).items) == 3
            time.sleep(0.03)


def _read_on(connection: Connection) -> None:
    while True:
        connection.write()
        select.select([connection.socket], (), (), 30)
        connection.read()


def test_attributes_have_their_bound(large: Bundle) -> None:
    with live(large.path, max_attributes=2) as server, TillerClient(server.addresses.grpc) as client:
        client.recommend(user_id="u1", k=3, attributes={"a": "1", "b": "2"})
        with pytest.raises(TillerRpcError, match="too many attributes: found 3, expected at most 2") as caught:
            client.recommend(user_id="u1", k=3, attributes={"a": "1", "b": "2", "c": "3"})
        assert caught.value.violations[0].field == "attributes"
