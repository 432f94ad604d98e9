"""Observations of every call, counted in plain lists and handed over to Prometheus' own when somebody looks.

The client library takes a lock per observation and walks the buckets; a call has nine, and together they cost as much
as a search over a small catalogue. One thread counts, the one that answers calls; any thread may hand over: what was
counted only ever grows, so nothing is lost between the two.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.values import ValueClass

PERIOD_SECONDS = 0.25
"""Where other processes read what is counted, it is handed over so often."""


class HistogramTally:
    """Counts for one child of a histogram; what it hands over is what ``observe`` of the child would have made."""

    __slots__ = ("_buckets", "_counts", "_sum", "_told", "_told_total", "_total", "_upper")

    def __init__(self, child: Histogram) -> None:
        inside: Any = child  # buckets and bounds have no public names; a test holds them to what observe() does
        self._upper: list[float] = list(inside._upper_bounds)
        self._buckets, self._sum = inside._buckets, inside._sum
        self._counts, self._told = [0] * len(self._upper), [0] * len(self._upper)
        self._total = self._told_total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._upper, value)] += 1
        self._total += value

    def hand_over(self) -> None:
        """Add to the child what was counted since the last time."""
        total = self._total
        for place, count in enumerate(self._counts):
            if more := count - self._told[place]:
                self._buckets[place].inc(more)
                self._told[place] = count
        if more_total := total - self._told_total:
            self._sum.inc(more_total)
            self._told_total = total


class CounterTally:
    """Counts for one child of a counter."""

    __slots__ = ("_child", "_told", "count")

    def __init__(self, child: Counter) -> None:
        self._child = child
        self.count = self._told = 0

    def hand_over(self) -> None:
        """Add to the child what was counted since the last time."""
        count = self.count
        if more := count - self._told:
            self._child.inc(more)
            self._told = count


def shared() -> bool:
    """Whether this process writes to files that another one reads: it is one of several workers."""
    return bool(getattr(ValueClass, "_multiprocess", False))


class Looked(Collector):
    """Has everything handed over whenever ``registry`` is read, before it is; make it before the metrics.

    Where worker processes write to files that their parent reads, nobody looks here: a thread does it, once started.
    """

    def __init__(self, registry: CollectorRegistry, hand_over: Callable[[], None]) -> None:
        self._hand_over = hand_over
        self._one = threading.Lock()
        registry.register(self)

    def start(self) -> None:
        """The thread, where one is needed."""
        if shared():
            threading.Thread(target=self._again_and_again, name="tally", daemon=True).start()

    def now(self) -> None:
        """Hand over."""
        with self._one:
            self._hand_over()

    def describe(self) -> Iterable[Metric]:
        """No metrics of its own."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Hand over; no metrics of its own."""
        self.now()
        return iter(())

    def _again_and_again(self) -> None:
        pause = threading.Event()
        while not pause.wait(PERIOD_SECONDS):
            self.now()
