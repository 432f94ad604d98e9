"""One bundle, measured: rounds of every case in changing order, so that a slow minute of the machine hits all of them.

Throughput first (closed loop at saturation), then latency (open loop) at shares of what each case was found to do.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import numpy as np

from cli.bench.children import LoadClient, MeasuringFailed, bare_index, load_client, shared_memory
from cli.bench.result import Catalogue, Latency, Options
from cli.bench.workload import BATCH, ECHO, FAISS, NO_RULE, ONE_RULE, Case, Workload, check_answer
from cli.server_process import serving, started

START_LIMIT = 300.0
PATIENT = ("--max-wait-ms", 0, "--max-in-flight", 4_000)
"""A closed loop *is* a standing queue: admission would refuse it. What is measured here is capacity."""

WARM_SECONDS = 0.25
LEAST_ANSWERS = 8
LATENCY_CASES = (ECHO, NO_RULE, ONE_RULE[2], "8 rules", "32 rules", BATCH)

Step = Callable[[], None]
"""Called once per measurement."""


def measurements(cases: int, options: Options) -> int:
    """How many there are for one bundle."""
    latency = options.latency_rounds * len(LATENCY_CASES) * len(options.shares)
    return options.rounds * (cases + 1) + latency


def measure(work: Workload, cases: tuple[Case, ...], options: Options, folder: Path, step: Step) -> Catalogue:
    """Start server, echo, bare index and client, and measure.

    Raises:
        TillerError: a process did not start, or calls were refused.
    """
    with ExitStack() as stack:
        workers = ("--workers", options.workers) if options.workers > 1 else ()
        server = stack.enter_context(serving(work.bundle, *workers, *PATIENT, start_limit=START_LIMIT))
        echo = stack.enter_context(started("cli.bench.echo", "--workers", options.workers))
        index = stack.enter_context(bare_index(folder, work.bundle, work.queries, options.k, options.workers))
        client = stack.enter_context(load_client(folder, work.payloads))
        at = {case.name: str((echo if case.is_echo else server)["grpc"]) for case in cases}
        first = {case: _first_answer(case, at[case.name], work, options.k) for case in cases}

        order = random.Random(0)
        rates: dict[str, list[float]] = {case.name: [] for case in cases}
        if index is not None:
            rates[FAISS] = []
        busiest = 0.0
        for _ in range(options.rounds):
            for case in order.sample([*cases, None], len(cases) + 1):
                if case is not None:
                    answer = _closed(client, at[case.name], case, first[case], options)
                    rates[case.name].append(answer["per_second"] * case.lists)
                    busiest = max(busiest, answer["client_cpu"])
                elif index is not None:
                    rates[FAISS].append(index.per_second(options.seconds))
                step()
        found = {case: median(rates[case.name]) / case.lists for case in cases if case.name in LATENCY_CASES}
        latency = _latencies(client, at, found, options, step)
        return Catalogue(
            name=work.name, items=work.items, bundle_id=work.bundle_id,
            throughput={name: tuple(found) for name, found in rates.items()}, latency=latency, client_cpu=busiest,
            server_bytes=shared_memory(int(server["pid"])),
        )  # fmt: skip


@dataclass(frozen=True)
class _First:
    """An answer that was read, because the load client only counts: its size in bytes, and the seconds it took."""

    size: int
    seconds: float


def _first_answer(case: Case, address: str, work: Workload, k: int) -> _First:
    """Ask twice, and read the second answer: the first may have filled what later ones find ready."""
    with grpc.insecure_channel(address) as channel:
        call: Any = channel.unary_unary(case.method, None, None)  # the stubs want serialisers; bytes need none
        try:
            call(work.payloads[case.name][0], timeout=120)
            began = time.perf_counter()
            answer = call(work.payloads[case.name][0], timeout=120)
        except grpc.RpcError as error:
            raise MeasuringFailed(f"{case.name}: {error.code().name}: {error.details()}") from error
    seconds = time.perf_counter() - began
    if wrong := check_answer(answer, case, k):
        raise MeasuringFailed(f"{case.name}: {wrong}")
    return _First(len(answer), seconds)


def _closed(client: LoadClient, address: str, case: Case, first: _First, options: Options) -> dict[str, Any]:
    """Enough calls in flight to keep the server busy, and no more than it answers in about half a second."""
    most = options.in_flight if case.lists == 1 else 2
    in_flight = options.workers * max(1, min(most, int(0.5 / first.seconds)))
    answer = client.ask(
        "closed", case.name, address=address, path=case.method, in_flight=in_flight, seconds=options.seconds,
        warm=min(WARM_SECONDS, options.seconds), least=max(2, min(LEAST_ANSWERS, int(0.5 / first.seconds))),
    )  # fmt: skip
    if answer["bytes"] < 0.5 * first.size:  # a batch may carry refusals in the place of its lists
        raise MeasuringFailed(
            f"{case.name}: answers under load are shorter than alone", found=f"{answer['bytes']:.0f} bytes",
            expected=f"about {first.size}", hint="Does the server refuse parts of a batch? Its log says.",
        )  # fmt: skip
    return answer


def _latencies(
    client: LoadClient, at: dict[str, str], rates: dict[Case, float], options: Options, step: Step
) -> dict[str, dict[str, Latency]]:
    """At shares of ``rates``, the calls a second that each case was found to do."""
    chosen = list(rates)
    runs: dict[tuple[str, float], list[dict[str, Any]]] = {}
    order = random.Random(1)
    for number in range(options.latency_rounds):
        for case in order.sample(chosen, len(chosen)):
            for share in options.shares:
                answer = client.ask(
                    "open", case.name, address=at[case.name], path=case.method, seed=number,
                    rate=share * rates[case], seconds=options.latency_seconds,
                )  # fmt: skip
                runs.setdefault((case.name, share), []).append(answer)
                step()
    return {case.name: {f"{share:g}": _latency(runs[case.name, share]) for share in options.shares} for case in chosen}


def _latency(runs: list[dict[str, Any]]) -> Latency:
    kept = [run["milliseconds"] for run in runs if run.get("milliseconds")]
    late = [ms for run in runs for ms in run.get("late", ())]

    def each(quantile: float) -> tuple[float, ...]:
        return tuple(float(np.percentile(times, quantile)) for times in kept)

    return Latency(
        rate=runs[0]["rate"], p50=each(50), p90=each(90), p99=each(99), calls=sum(map(len, kept)),
        client_late_p99=float(np.percentile(late, 99)) if late else 0.0,
        overloaded=sum(bool(run.get("overloaded")) for run in runs),
    )  # fmt: skip
