"""The load client against real gRPC servers: what it counts is what happened."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from cli.bench.http2 import Connection, prefixed
from cli.bench.load import closed, open_loop

PATH = "/test.Service/Call"


@contextmanager
def answering(handle: Callable[[bytes, Any], bytes], threads: int = 1) -> Iterator[str]:
    """A server of one method on bytes, its handler on so many threads."""
    server = grpc.server(ThreadPoolExecutor(threads), options=[("grpc.so_reuseport", 0)])
    method = grpc.unary_unary_rpc_method_handler(handle)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", {"Call": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


def test_a_closed_loop_keeps_so_many_calls_in_flight_and_sends_every_message() -> None:
    seen: set[bytes] = set()
    now, most, lock = 0, 0, threading.Lock()

    def handle(request: bytes, _: object) -> bytes:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.002)
        with lock:
            now -= 1
        seen.add(request)
        return request

    payloads = [bytes([number]) * (number + 1) for number in range(7)]
    with answering(handle, threads=16) as address:
        found = closed(address, PATH, payloads, in_flight=6, seconds=0.2, warm=0.05, least=10)
    assert found["refused"] == 0
    assert found["answers"] >= 10
    assert found["per_second"] > 0
    assert seen == set(payloads)
    assert most <= 6


def test_a_stall_is_seen_by_every_call_that_was_meant_to_start_meanwhile() -> None:
    """One call takes 0.4 s, the others nothing. A client that waited for it would report one slow call."""
    calls = iter(range(1_000_000))

    def handle(request: bytes, _: object) -> bytes:
        if next(calls) == 8:  # after the call that opens each connection
            time.sleep(0.4)
        return request

    with answering(handle) as address:
        found = open_loop(address, PATH, [b"x"], rate=200, seconds=0.3, seed=0)
    times = found["milliseconds"]
    assert found["refused"] == 0
    assert max(times) >= 390
    assert sum(ms > 100 for ms in times) > 0.9 * len(times)
    assert len(times) == len(found["late"])


def test_an_open_loop_calls_at_its_rate_and_as_the_seed_says() -> None:
    with answering(lambda request, _: request) as address:
        counts = [
            len(open_loop(address, PATH, [b"x"], rate=300, seconds=0.3, seed=seed)["milliseconds"])
            for seed in (1, 1, 2)
        ]
    assert counts[0] == counts[1] != counts[2]
    assert all(50 < count < 140 for count in counts)  # 90 expected, standard deviation 9.5


def test_refusals_are_counted() -> None:
    def refuse(_: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no")
        return b""

    with answering(refuse) as address:
        assert closed(address, PATH, [b"x"], in_flight=2, seconds=0.05, warm=0, least=1)["refused"] > 0
        found = open_loop(address, PATH, [b"x"], rate=200, seconds=0.1, seed=0)
    assert found["refused"] == len(found["milliseconds"]) + 8


def test_too_many_calls_are_given_up() -> None:
    release = threading.Event()

    def handle(request: bytes, _: object) -> bytes:
        release.wait(10)
        return request

    def opened(address: str) -> dict[str, Any]:
        threading.Timer(0.2, release.set).start()  # the calls that open the connections wait, too
        return open_loop(address, PATH, [b"x"], rate=1e9, seconds=1, seed=0)

    with answering(handle) as address:
        assert opened(address) == {"overloaded": True, "rate": 1e9}


def test_messages_larger_than_a_frame_and_a_window_arrive_whole() -> None:
    """40 KiB is three frames; six of them are more than the server takes before it has read some."""
    message = bytes(range(256)) * 160
    sizes = []

    def handle(request: bytes, _: object) -> bytes:
        sizes.append(len(request))
        assert request == message
        return request * 4  # answers of 160 KiB come back in many frames

    with answering(handle) as address:
        found = closed(address, PATH, [message], in_flight=6, seconds=0.1, warm=0, least=12)
    assert found["refused"] == 0
    assert set(sizes) == {len(message)}


def test_a_message_that_no_server_would_take_is_refused() -> None:
    with answering(lambda request, _: request) as address:
        connection = Connection(address, PATH)
        connection._window = 1 << 30  # as if the server had made room on the connection, and none for one stream
        with pytest.raises(ValueError, match=r"a message of 70005 bytes: the server takes 65535 at once"):
            connection.call(prefixed(b"x" * 70_000), 0.0)
        connection.close()
