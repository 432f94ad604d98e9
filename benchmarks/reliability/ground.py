"""What every part stands on: a server process to be hurt, its figures from /proc, a file of results, a progress bar."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cli.bench.catalogue import write_catalogue

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0


@dataclass(frozen=True)
class Served:
    """A server process, where it listens, and the file of what it told on stderr."""

    child: subprocess.Popen[bytes]
    grpc: str
    metrics: str
    told: Path

    def alive(self) -> bool:
        """Whether the very process that was started still runs."""
        return self.child.poll() is None

    def usage(self) -> dict[str, int]:
        """Resident memory in KiB, threads, open file descriptors."""
        return usage(self.child.pid)


def usage(pid: int) -> dict[str, int]:
    """Resident memory in KiB, threads and open file descriptors of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return {
        "rss_kib": int(fields["VmRSS"].split()[0]),
        "threads": int(fields["Threads"]),
        "descriptors": sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
    }


def start(bundle: Path, ports: Path, *flags: object, env: dict[str, str] | None = None) -> Served:
    """A server on free loopback ports, once it serves.

    Raises:
        RuntimeError: it ended before it served.
    """
    ports.unlink(missing_ok=True)
    told = ports.with_suffix(".stderr")
    with told.open("ab") as stderr:
        child = subprocess.Popen(
            [sys.executable, "-m", "server", "--bundle", str(bundle), "--port", "0", "--metrics-port", "0",
             "--log-level", "error", "--port-file", str(ports), *map(str, flags)],
            stdout=stderr, stderr=stderr, cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
        )  # fmt: skip
    until = time.monotonic() + START_SECONDS
    while not ports.exists():
        if child.poll() is not None or time.monotonic() > until:
            child.kill()
            child.wait()
            raise RuntimeError(f"the server did not start: {told.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)
    addresses = json.loads(ports.read_text())
    return Served(child, addresses["grpc"], addresses["metrics"], told)


def metric(url: str, name: str, **labels: str) -> float:
    """One sample of a scrape; 0 where it is not there."""
    with urllib.request.urlopen(url, timeout=10) as response:
        text = response.read().decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return float(sample.value)
    return 0.0


@contextmanager
def serving(bundle: Path, *flags: object, env: dict[str, str] | None = None) -> Iterator[Served]:
    """A server while the block lasts, drained at its end."""
    with tempfile.TemporaryDirectory(prefix="tiller-reliability-") as folder:
        served = start(bundle, Path(folder) / "ports.json", *flags, env=env)
        try:
            yield served
        finally:
            end(served)


def end(served: Served) -> int:
    """SIGTERM, then SIGKILL after half a minute; the exit code."""
    if served.alive():
        served.child.send_signal(signal.SIGTERM)
    try:
        served.child.wait(30)
    except subprocess.TimeoutExpired:
        served.child.kill()
        served.child.wait()
    return served.child.returncode


@contextmanager
def catalogue(given: Path | None, items: int = 4_000) -> Iterator[Path]:
    """The bundle that was named, or a planted one of ``items`` items for the block."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="tiller-reliability-") as folder:
        bundle = Path(folder) / "bundle"
        write_catalogue(bundle, items)
        yield bundle


@contextmanager
def bar(title: str, total: int) -> Iterator[Any]:
    """``advance(n)`` moves a bar on a terminal; elsewhere nothing is printed."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count=1: progress.advance(task, count)


def save(out: Path, name: str, figures: dict[str, Any], began: float) -> None:
    """Print the figures and keep them as OUT/NAME.json, whole or not at all."""
    machine = {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    kept = {**figures, "seconds": round(time.perf_counter() - began, 1), **machine}
    out.mkdir(parents=True, exist_ok=True)
    partial = out / f".{name}.json.partial"
    partial.write_text(json.dumps(kept, indent=1) + "\n")
    partial.replace(out / f"{name}.json")
    print(json.dumps(kept, indent=1))
