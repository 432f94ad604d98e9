"""What is handed over is what the client library would have counted itself, also while somebody is counting."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from server.telemetry import Telemetry
from server.telemetry.calls import SECONDS
from server.telemetry.tally import CounterTally, HistogramTally
from tests.live import ROOT, read_metrics

VALUES = st.lists(st.one_of(st.sampled_from(SECONDS), st.floats(0, 10, allow_nan=False)), max_size=60)


def page(registry: CollectorRegistry) -> dict[str, float]:
    return read_metrics(generate_latest(registry).decode())


@settings(max_examples=60)
@given(st.lists(VALUES, max_size=4))
def test_a_tally_is_the_histogram_itself(batches: list[list[float]]) -> None:
    own, theirs = CollectorRegistry(), CollectorRegistry()
    tally = HistogramTally(Histogram("x", "x", ("a",), buckets=SECONDS, registry=own).labels("b"))
    plain = Histogram("x", "x", ("a",), buckets=SECONDS, registry=theirs).labels("b")
    for batch in batches:
        for value in batch:
            tally.observe(value)
            plain.observe(value)
        tally.hand_over()
    tally.hand_over()  # nothing new: nothing added
    assert page(own) == pytest.approx(page(theirs))


def test_nothing_is_lost_while_one_thread_counts_and_another_hands_over() -> None:
    registry = CollectorRegistry()
    times = HistogramTally(Histogram("x", "x", buckets=SECONDS, registry=registry))
    calls = CounterTally(Counter("y", "y", registry=registry))
    done = threading.Event()

    def hand_over() -> None:
        while not done.is_set():
            times.hand_over()
            calls.hand_over()

    other = threading.Thread(target=hand_over)
    other.start()
    for number in range(50_000):
        times.observe(number % 7 / 1000)
        calls.count += 1
    done.set()
    other.join()
    times.hand_over()
    calls.hand_over()
    assert page(registry)["x_count"] == page(registry)["y_total"] == 50_000


def test_a_scrape_sees_what_was_counted_before_it() -> None:
    telemetry = Telemetry()
    telemetry.started("Recommend")
    assert page(telemetry.registry)["tiller_in_flight"] == 1
    telemetry.finished("Recommend", "OK", 0.003)
    telemetry.started("Recommend")
    telemetry.finished("Recommend", "NOT_FOUND", 0.001)
    metrics = page(telemetry.registry)
    assert metrics["tiller_in_flight"] == 0
    assert metrics['tiller_requests_total{code="OK",method="Recommend"}'] == 1
    assert metrics['tiller_requests_total{code="NOT_FOUND",method="Recommend"}'] == 1
    assert metrics['tiller_request_seconds_count{method="Recommend"}'] == 2
    assert metrics['tiller_request_seconds_sum{method="Recommend"}'] == pytest.approx(0.004)


@pytest.mark.parametrize("last", ["telemetry.flush()", "time.sleep(1)"])
def test_where_another_process_reads_the_files_it_is_handed_over_without_a_scrape(tmp_path: Path, last: str) -> None:
    code = f"""
import time
from server.telemetry import Telemetry
telemetry = Telemetry()
for _ in range(3):
    telemetry.started("Recommend")
    telemetry.finished("Recommend", "OK", 0.01)
{last}
"""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
    read = """
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""
    told = subprocess.run([sys.executable, "-c", read], env=environment, check=True, capture_output=True, text=True)
    metrics = read_metrics(told.stdout)
    assert metrics['tiller_requests_total{code="OK",method="Recommend"}'] == 3
    assert metrics['tiller_request_seconds_count{method="Recommend"}'] == 3
