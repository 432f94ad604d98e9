"""How many calls, how they ended, how long they took, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from server.telemetry.children import Children
from server.telemetry.tally import CounterTally, HistogramTally, shared

SECONDS = (0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the latency buckets; a flat search takes 0.02 ms over 4,000 items and 8 ms over a million."""

STAGE_SECONDS = (0.00001, 0.00002, 0.00005, 0.0001, *SECONDS)
"""A stage may take a few microseconds."""

STAGES = ("decode", "user", "plan", "mask", "search", "edit", "explain", "encode")

MOST_REASONS = 16


class CallMetrics:
    """One server's calls."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "tiller_requests_total", "Calls answered, refused or given up, by status code.", ("method", "code"),
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "tiller_request_seconds", "Time a call took inside the server.", ("method",), buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self._methods: dict[tuple[str, str], tuple[CounterTally, HistogramTally]] = {}
        self._times: dict[str, HistogramTally] = {}
        stages = Histogram(
            "tiller_stage_seconds", "Time of each stage of an answered Recommend.", ("stage",),
            buckets=STAGE_SECONDS, registry=registry,
        )  # fmt: skip
        self._stages = {stage: HistogramTally(stages.labels(stage)) for stage in STAGES}
        self._now = 0
        self._at_once = shared()
        self._in_flight = Gauge(
            "tiller_in_flight", "Calls being answered now.", registry=registry, multiprocess_mode="livesum"
        )
        shed = Counter(
            "tiller_shed_total", "Calls refused at once because there were too many, by reason.", ("reason",),
            registry=registry,
        )  # fmt: skip
        self._shed = Children(shed, CounterTally, MOST_REASONS)

    def started(self) -> None:
        """A call came in."""
        self._now += 1

    def finished(self, method: str, code: str, seconds: float) -> None:
        """A call was answered, refused or given up."""
        self._now -= 1
        known = self._methods.get((method, code))
        if known is None:
            times = self._times.get(method) or HistogramTally(self._seconds.labels(method))
            self._times[method] = times
            known = CounterTally(self._requests.labels(method, code)), times
            self._methods = {**self._methods, (method, code): known}  # a thread may be walking the old one
        known[0].count += 1
        known[1].observe(seconds)
        if self._at_once:  # how many were answered must survive the sudden death of a worker
            known[0].hand_over()

    def shed(self, reason: str) -> None:
        """A call was refused at once because there were too many."""
        self._shed(reason).count += 1

    def timed(self, timings: Mapping[str, float]) -> None:
        """The seconds of every stage of one answer."""
        stages = self._stages
        for stage, seconds in timings.items():
            stages[stage].observe(seconds)

    def hand_over(self) -> None:
        """Add to the metrics what was counted since the last time; from any thread."""
        self._in_flight.set(self._now)
        for stage in self._stages.values():
            stage.hand_over()
        for reason in self._shed.all():
            reason.hand_over()
        for counter, times in self._methods.values():
            counter.hand_over()
            times.hand_over()
