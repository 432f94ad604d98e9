"""One ``/metrics`` for several worker processes: prometheus_client's multiprocess mode, and what it leaves out.

Every worker keeps its values in memory-mapped files of a shared folder; counters of a worker that is gone stay, so that
no sum ever falls. The ``process_*`` metrics are no values but looks at a process: they are added up here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Read by prometheus_client when it is first imported: set before a worker starts."""

ADDED = ("process_virtual_memory_bytes", "process_resident_memory_bytes", "process_cpu_seconds", "process_open_fds")


class WorkerMetrics:
    """How many workers serve, and how often one had to be started again."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._workers = Gauge(
            "tiller_workers", "Worker processes that serve.", registry=registry, multiprocess_mode="livesum"
        )
        self._restarts = Counter(
            "tiller_worker_restarts_total", "Worker processes started again after one ended by itself.",
            registry=registry,
        )  # fmt: skip

    def serving(self, restarts: int) -> None:
        """This worker serves; ``restarts`` of workers went before that nobody has counted yet."""
        self._workers.set(1)
        self._restarts.inc(restarts)


def merged(folder: Path, pids: Callable[[], Sequence[int]]) -> CollectorRegistry:
    """A registry of everything that workers wrote to ``folder``; ``pids``: the processes to be looked at."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    registry.register(_Processes(pids))
    return registry


def gone(folder: Path, pid: int) -> None:
    """A worker ended: what it said of *now* no longer counts; what it counted does."""
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


class _Processes(Collector):
    """``process_*`` of several processes: sums; the start of the youngest, the fewest files one may open."""

    def __init__(self, pids: Callable[[], Sequence[int]]) -> None:
        self._pids = pids

    def collect(self) -> Iterator[Metric]:
        found: dict[str, list[Metric]] = {}
        for pid in self._pids():
            one = ProcessCollector(pid=partial(int, pid), registry=None)
            for metric in one.collect():
                found.setdefault(metric.name, []).append(metric)
        for name, metrics in found.items():
            values = [sample.value for metric in metrics for sample in metric.samples]
            first = metrics[0]
            whole = Metric(name, first.documentation, first.type)
            value = (
                sum(values) if name in ADDED else max(values) if name.endswith("start_time_seconds") else min(values)
            )
            whole.add_sample(first.samples[0].name, {}, value)
            yield whole
