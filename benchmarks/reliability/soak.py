"""Half an hour at 70 % of capacity: does anything grow?

    python -m benchmarks.reliability soak [--minutes 30] [--share 0.7]

One server with policies and a decision log, one client process with open-loop arrivals (Poisson) of calls with 0, 1, 8
and 32 rules. Capacity is measured first, with as many calls in flight as keep the server busy; nothing is shed. Memory,
threads and open files are read every ten seconds; the first tenth of the time is for warming up. Growth is judged
between the medians of the first and the last third of what follows. Draws them over time. Exit code 1 if something
grew, or a call failed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.reliability.ground import Served, bar, catalogue, save, serving
from benchmarks.reliability.judge import Truth
from cli.bench.children import LoadClient, load_client
from cli.bench.measure import PATIENT
from cli.bench.workload import SINGLE_METHOD, make_cases, make_workload

READ_SECONDS = 10.0
IN_FLIGHT = 32
MOST_GROWTH = {"rss_kib": 0.02, "threads": 2, "descriptors": 5}
"""Memory as a part of the first third's median; gRPC keeps a few threads and files more or less by itself."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the part takes."""
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--share", type=float, default=0.7, help="of capacity; default 0.7")
    parser.add_argument("--bundle", type=Path, help="a bundle in the place of a planted one of 4,000 items")


def run(asked: argparse.Namespace) -> int:
    """Load, look, judge."""
    began = time.perf_counter()
    with catalogue(asked.bundle) as bundle, tempfile.TemporaryDirectory(prefix="tiller-soak-") as place:
        folder = Path(place)
        policies = _policies(folder / "policies", bundle)
        log = ("--decision-log", folder / "decisions.jsonl", "--decision-log-mib", "4")
        work = make_workload(bundle, tuple(case for case in make_cases(2) if case.lists == 1), 10)
        mix = tuple(message for group in zip(*work.payloads.values(), strict=True) for message in group)
        with (
            serving(bundle, "--policies", policies, *log, *PATIENT) as served,
            load_client(folder, {"mix": mix}) as client,
        ):
            rate = asked.share * _capacity(client, served)
            seen, answers = _load(client, served, rate, asked.minutes * 60)
    thirds = {name: _thirds([one[name] for one in seen]) for name in MOST_GROWTH}
    grown = {name: late - early for name, (early, late) in thirds.items()}
    grown["rss_kib"] /= thirds["rss_kib"][0]
    wrong = [name for name, most in MOST_GROWTH.items() if grown[name] > most]
    figures: dict[str, Any] = {
        "minutes": asked.minutes, "calls_per_second": round(rate, 1), "share_of_capacity": asked.share,
        **answers, "first": seen[0], "last": seen[-1],
        "growth": {name: round(value, 4) for name, value in grown.items()}, "grew": wrong,
    }  # fmt: skip
    save(asked.out, "soak", figures, began)
    _draw(seen, asked.out / "soak.svg")
    return int(bool(wrong))


def _policies(folder: Path, bundle: Path) -> Path:
    first, second, *_ = Truth.of(bundle).members
    rules = [{"action": "filter", "concept": first}, {"action": "promote", "concept": second, "strength": 0.3}]
    folder.mkdir()
    document = {"policies": [{"name": "soak", "owner": "benchmark", "rules": rules}]}
    (folder / "soak.yaml").write_text(yaml.safe_dump(document))
    return folder


def _capacity(client: LoadClient, served: Served) -> float:
    order = {"address": served.grpc, "path": SINGLE_METHOD, "in_flight": IN_FLIGHT, "warm": 2.0, "least": 100}
    return statistics.median(float(client.ask("closed", "mix", seconds=4.0, **order)["per_second"]) for _ in range(3))


def _load(
    client: LoadClient, served: Served, rate: float, seconds: float
) -> tuple[list[dict[str, int]], dict[str, Any]]:  # fmt: skip
    """What was read every ten seconds, and what the calls came to; a refused call raises."""
    seen, p99, answers = [served.usage()], [], 0
    with bar("soak, slices of 10 s", round(seconds / READ_SECONDS)) as advance:
        for number in range(round(seconds / READ_SECONDS)):
            order = {"address": served.grpc, "path": SINGLE_METHOD, "seed": number}
            told = client.ask("open", "mix", rate=rate, seconds=READ_SECONDS, **order)
            took = sorted(told.get("milliseconds", ()))
            answers += len(took)
            if took:
                p99.append(took[int(0.99 * (len(took) - 1))])
            seen.append(served.usage())
            advance()
    overloaded = round(seconds / READ_SECONDS) - len(p99)
    times = {"median": round(statistics.median(p99), 2), "worst": round(max(p99), 2)}
    return seen, {"answers": answers, "failed": 0, "slices_overloaded": overloaded, "p99_ms_of_a_slice": times}


def _thirds(values: list[int]) -> tuple[float, float]:
    """Medians of the first and of the last third, after the first tenth."""
    kept = values[len(values) // 10 :]
    third = max(1, len(kept) // 3)
    return statistics.median(kept[:third]), statistics.median(kept[-third:])


def _draw(seen: list[dict[str, int]], out: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    minutes = [number * READ_SECONDS / 60 for number in range(len(seen))]
    titles = {"rss_kib": "resident memory, MiB", "threads": "threads", "descriptors": "open files"}
    for axes, (name, title) in zip(figure.subplots(3, 1, sharex=True), titles.items(), strict=True):
        axes.plot(minutes, [one[name] / (1024 if name == "rss_kib" else 1) for one in seen])
        axes.set_ylim(bottom=0)
        axes.set_ylabel(title)
    axes.set_xlabel("minutes")
    figure.savefig(out)
