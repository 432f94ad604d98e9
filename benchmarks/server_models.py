"""What runs where? Threads, an event loop, processes: echo, the bare core and the whole server under one load client.

    python -m benchmarks.server_models [--bundle DIR | --items 4000] [--rounds 5] [--seconds 1]

Every variant is a real process on loopback, asked by the client of `tiller bench` for unsteered lists, 32 in flight.
*echo* answers a message made beforehand; *core* turns the message into a query, asks the engine and makes the answer,
with nothing around it (no gate, admission, metrics or log); *server* is `python -m server`. All variants take turns in
every round; what is printed are medians. CPU is the server's, the kernel's part included; it says more than lists/s on
a busy machine. docs/decisions/021 draws the conclusions.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import uvloop

from bundle import load_bundle
from cli.bench.catalogue import kept_catalogue
from cli.bench.children import cpu_seconds, load_client
from cli.bench.echo import Echo
from cli.bench.measure import PATIENT
from cli.bench.workload import NO_RULE, SINGLE_METHOD, Case, make_workload
from cli.server_process import serving, started
from protos.steering.v1 import recommend_pb2 as pb

Answer = Callable[[bytes], bytes]
K, IN_FLIGHT = 30, 32
VARIANTS = (
    "echo aio+uvloop", "echo aio+asyncio", "echo aio+uvloop, interceptor", "echo sync, 1 thread",
    "echo sync, 4 threads",
    "core aio+uvloop", "core aio+executor of 2", "core sync, 1 thread", "core sync, 4 threads",
)  # fmt: skip
SERVERS = (1, 2)


def main() -> None:
    """Serve a variant, or measure all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--items", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--port-file", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    bundle = asked.bundle or kept_catalogue(Path("runs/bench/catalogues"), asked.items, 32)
    if asked.variant is not None:
        _serve(asked.variant, bundle, asked.port_file)
        return
    print("| variant | lists/s | range | CPU us a list |\n| --- | ---: | ---: | ---: |")
    for name, found in _measure(bundle, asked.rounds, asked.seconds).items():
        rates, used = zip(*found, strict=True)
        print(f"| {name} | {median(rates):,.0f} | {min(rates):,.0f}-{max(rates):,.0f} | {median(used):,.0f} |")


def _measure(bundle: Path, rounds: int, seconds: float) -> dict[str, list[tuple[float, float]]]:
    """Variant -> (lists a second, microseconds of CPU a list) of every round."""
    work = make_workload(bundle, (Case(NO_RULE),), K)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        at = {
            name: stack.enter_context(
                started("benchmarks.server_models", "--variant", name, "--bundle", bundle.resolve())
            )
            for name in VARIANTS
        }
        for workers in SERVERS:
            server = stack.enter_context(serving(bundle, "--workers", workers, *PATIENT))
            at[f"server, {workers} {'process' if workers == 1 else 'processes'}"] = server
        client = stack.enter_context(load_client(folder, work.payloads))
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in at}
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            for name, there in at.items():
                before = cpu_seconds(there["pid"])
                answer = client.ask("closed", NO_RULE, address=there["grpc"], path=SINGLE_METHOD,
                                    in_flight=IN_FLIGHT, seconds=seconds, warm=0.0, least=8)  # fmt: skip
                used = 1e6 * (cpu_seconds(there["pid"]) - before) / (answer["answers"] + IN_FLIGHT)
                found[name].append((answer["per_second"], used))
    return found


def _serve(variant: str, bundle: Path, port_file: Path) -> None:
    answer = _echo() if variant.startswith("echo") else _core(bundle)
    if " sync, " in variant:
        _serve_sync(answer, int(variant.split()[-2]), port_file)
    else:
        executor = ThreadPoolExecutor(2, initializer=_one_thread) if "executor" in variant else None
        loop_of = asyncio.run if "asyncio" in variant else uvloop.run
        loop_of(_serve_aio(answer, executor, "interceptor" in variant, port_file))


def _echo() -> Answer:
    made = Echo()._answers[K]
    return lambda message: (pb.RecommendRequest.FromString(message), made.SerializeToString())[1]


def _core(bundle: Path) -> Answer:
    from server.rpc.convert import to_query, to_response
    from server.steer import Engine

    _one_thread()
    engine = Engine.open(load_bundle(bundle))
    engine.warm()

    def answer(message: bytes) -> bytes:
        query = to_query(pb.RecommendRequest.FromString(message))
        return to_response(engine.recommend(query), query, engine.catalogue, "0123456789abcdef").SerializeToString()

    return answer


def _one_thread() -> None:
    import faiss

    faiss.omp_set_num_threads(1)


class _Pass(grpc.aio.ServerInterceptor):  # type: ignore[misc, type-arg]
    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        return await continuation(details)


async def _serve_aio(answer: Answer, executor: ThreadPoolExecutor | None, intercepted: bool, port_file: Path) -> None:
    async def call(request: bytes, _: object) -> bytes:
        if executor is None:
            return answer(request)
        return await asyncio.get_running_loop().run_in_executor(executor, answer, request)

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)], interceptors=[_Pass()] if intercepted else [])
    server.add_generic_rpc_handlers((_handlers(call),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    _tell(port_file, port)
    await stop.wait()
    await server.stop(0)


def _serve_sync(answer: Answer, threads: int, port_file: Path) -> None:
    server = grpc.server(ThreadPoolExecutor(threads, initializer=_one_thread), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((_handlers(lambda request, _: answer(request)),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    _tell(port_file, port)
    stop.wait()
    server.stop(0).wait()


def _handlers(call: Any) -> Any:
    method = grpc.unary_unary_rpc_method_handler(call)
    return grpc.method_handlers_generic_handler("steering.v1.RecommendService", {"Recommend": method})


def _tell(port_file: Path, port: int) -> None:
    temporary = port_file.with_suffix(".new")
    temporary.write_text(json.dumps({"grpc": f"127.0.0.1:{port}", "pid": os.getpid()}))
    temporary.replace(port_file)


if __name__ == "__main__":
    main()
