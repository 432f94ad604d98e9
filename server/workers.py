"""Several worker processes that share one port and the pages of the bundle's mapped files, and who looks after them.

    supervise: hold the port -> one worker, then the others -> port file -> restart what ends by itself -> pass on
               SIGHUP, SIGTERM -> wait

Linux spreads *connections* over the processes that listen on a port (SO_REUSEPORT). A worker that ends by itself is
started again, at once the first time, then after growing pauses; meanwhile its callers' next connections go to others.
Workers are new processes, not forks: gRPC's threads do not survive one. They end when the supervisor is gone.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from structlog.typing import FilteringBoundLogger

from bundle.errors import TillerError
from server.listening import join
from server.process import port_file
from server.settings import Settings
from server.telemetry import MetricsServer, Registry
from server.telemetry.workers import FOLDER_VARIABLE, gone, merged
from server.worker import Place

STEADY_SECONDS = 10.0
"""A worker that lived this long is started again at once."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
STOP_MARGIN = 5.0
"""Seconds beyond its drain that a worker may take to end, before it is killed."""


@dataclass
class _Slot:
    number: int
    process: BaseProcess | None = None
    pipe: Connection | None = None
    addresses: dict[str, Any] | None = None
    began: float = 0.0
    failures: int = 0
    restarts: int = 0
    again: float = 0.0

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.is_alive()


def count(settings: Settings) -> int:
    """How many workers are asked for."""
    if settings.workers != "auto":
        return settings.workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def supervise(settings: Settings, log: FilteringBoundLogger, work: Callable[[Place], None]) -> int:
    """Serve with several workers until SIGTERM or Ctrl-C; the exit code.

    Args:
        settings: of the whole server.
        log: for what happens to workers.
        work: a worker's whole life, in a process of its own; it raises SystemExit with its exit code.

    Raises:
        TillerError: a port is taken, or the port file cannot be written.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="tiller-metrics-")))
        os.environ[FOLDER_VARIABLE] = str(folder)
        ports = {"port": stack.enter_context(_held(settings.host, settings.port, "--port"))}
        if settings.admin_port is not None:
            held = _held(settings.admin_host, settings.admin_port, "--admin-port")
            ports["admin_port"] = stack.enter_context(held)
        own = _Supervisor(
            settings.model_copy(update={**ports, "reuse_port": True, "port_file": None}), log, work, folder
        )
        own.metrics = stack.enter_context(metrics_page(settings, merged(folder, own.pids)))
        stack.enter_context(own.listening())
        try:
            code = own.start()
            if code is None:
                addresses = {**own.addresses(), "pid": os.getpid()}
                stack.enter_context(port_file(settings.port_file, addresses))
                where = f"{addresses['grpc']} with {own.workers} workers, metrics on {own.metrics}"
                print(f"tiller serves {settings.bundle} on {where}. Ctrl-C stops it.", file=sys.stderr, flush=True)
                own.look_after()
        finally:
            own.stop()
        return code or 0


@contextmanager
def metrics_page(settings: Settings, registry: Registry) -> Iterator[str]:
    """``/metrics`` of a registry while the block lasts; its address.

    Raises:
        TillerError: the port is taken.
    """
    host = settings.metrics_host or settings.host
    cert, key = (settings.tls_cert, settings.tls_key) if settings.metrics_tls else (None, None)
    with MetricsServer(registry, host, settings.metrics_port, cert=cert, key=key) as page:
        yield f"{'http' if cert is None else 'https'}://{join(host, page.port)}/metrics"


class _Supervisor:
    """The slots and what happens to them; one thread."""

    def __init__(
        self, settings: Settings, log: FilteringBoundLogger, work: Callable[[Place], None], folder: Path
    ) -> None:
        self.workers = count(settings)
        self.metrics = ""
        self._settings = settings
        self._log = log
        self._work = work
        self._folder = folder
        self._slots = [_Slot(number) for number in range(self.workers)]
        self._serving = False
        self._told_to_stop = 0
        self._wake, self._woken = socket.socketpair()

    def pids(self) -> list[int]:
        """Of the workers that live."""
        return [slot.process.pid for slot in self._slots if slot.alive and slot.process and slot.process.pid]

    def addresses(self) -> dict[str, Any]:
        """Of the first worker, which has them all."""
        assert self._slots[0].addresses is not None
        return self._slots[0].addresses

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the process's signals while the block lasts."""
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGHUP, lambda *_: self._pass_on(signal.SIGHUP))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_asked)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._wake.close()
            self._woken.close()

    def start(self) -> int | None:
        """Start all workers, the first alone: what it refuses, all would. None: they serve; else the exit code."""
        for slots in (self._slots[:1], self._slots[1:]):
            for slot in slots:
                self._spawn(slot)
            while not self._told_to_stop and not all(slot.addresses for slot in slots):
                self._wait()
                for slot in slots:
                    if (code := self._ended(slot)) is not None:
                        return code if code > 0 else 1
        return 0 if self._told_to_stop else None

    def look_after(self) -> None:
        """Start again what ends, until told to stop."""
        self._serving = True
        while not self._told_to_stop:
            self._wait()
            for slot in self._slots:
                self._ended(slot)
                if slot.process is None and time.monotonic() >= slot.again and not self._told_to_stop:
                    self._spawn(slot)

    def stop(self) -> None:
        """Have every worker drain, and end what does not."""
        self._pass_on(signal.SIGTERM)
        settings = self._settings
        deadline = time.monotonic() + settings.drain_delay_seconds + settings.drain_seconds + STOP_MARGIN
        while self.pids() and time.monotonic() < deadline and self._told_to_stop < 2:
            self._wait(deadline - time.monotonic())
        for slot in self._slots:
            if slot.process is not None:
                slot.process.kill()
                slot.process.join()

    def _spawn(self, slot: _Slot) -> None:
        context = get_context("spawn")
        slot.pipe, theirs = context.Pipe(duplex=False)
        settings = self._settings.model_copy(update=_own_settings(self._settings, slot.number))
        place = Place(slot.number, settings, slot.restarts, self.metrics, theirs)
        slot.restarts, slot.addresses, slot.began = 0, None, time.monotonic()
        slot.process = context.Process(target=self._work, args=(place,), name=f"tiller-worker-{slot.number}")
        slot.process.start()
        theirs.close()

    def _wait(self, seconds: float | None = None) -> None:
        """Until something happens to a worker, a signal comes, or a worker is due again."""
        pauses = [slot.again - time.monotonic() for slot in self._slots if slot.process is None and slot.began]
        limits = [max(0.0, pause) for pause in pauses] + ([] if seconds is None else [max(0.0, seconds)])
        sentinels = [slot.process.sentinel for slot in self._slots if slot.process is not None]
        starting = [slot.pipe for slot in self._slots if slot.pipe is not None]
        wait([self._woken, *sentinels, *starting], min(limits, default=None))
        with suppress(BlockingIOError):
            self._woken.recv(4096)
        for slot in self._slots:
            self._hear(slot)

    def _hear(self, slot: _Slot) -> None:
        if slot.pipe is not None and slot.pipe.poll():
            with suppress(EOFError):  # it ended before it served
                slot.addresses = slot.pipe.recv()
            slot.pipe.close()
            slot.pipe = None

    def _ended(self, slot: _Slot) -> int | None:
        """The exit code of a worker that ended, once; books when it is to be started again."""
        if slot.process is None or slot.process.is_alive():
            return None
        process, slot.process = slot.process, None
        process.join()
        code, lived = process.exitcode or 0, time.monotonic() - slot.began
        assert process.pid is not None
        gone(self._folder, process.pid)
        slot.failures = 0 if lived >= STEADY_SECONDS and slot.addresses else slot.failures + 1
        pause = 0.0 if slot.failures <= 1 and slot.addresses else FIRST_PAUSE * 2.0 ** min(slot.failures, 20)
        slot.again = time.monotonic() + min(pause, LONGEST_PAUSE)
        slot.restarts += 1
        if self._serving:  # at the start the worker itself says why, and nothing is tried again
            self._log.error(
                "worker ended", worker=slot.number, pid=process.pid, code=code, lived_seconds=round(lived, 3),
                again_seconds=round(min(pause, LONGEST_PAUSE), 3),
            )  # fmt: skip
        return code

    def _pass_on(self, number: signal.Signals) -> None:
        for slot in self._slots:
            # One that still loads would die of a SIGHUP, and reads what is there now anyway.
            if slot.alive and slot.process and slot.process.pid and (slot.addresses or number != signal.SIGHUP):
                os.kill(slot.process.pid, number)

    def _stop_asked(self, *_: object) -> None:
        self._told_to_stop += 1


def _own_settings(settings: Settings, number: int) -> dict[str, object]:
    """What one worker has to itself: the first the admin service, each a decision log."""
    own: dict[str, object] = {} if number == 0 else {"admin_port": None}
    log = settings.decision_log
    if log is not None:
        own["decision_log"] = log.with_name(f"{log.stem}.{number}{log.suffix}")
    return own


@contextmanager
def _held(host: str, port: int, flag: str) -> Iterator[int]:
    """A port kept for workers while the block lasts, bound and never listened on; the port that was taken for 0.

    Raises:
        TillerError: somebody listens there, or the address is not ours.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]  # fmt: skip
        if port:
            with socket.socket(family, kind) as alone:  # SO_REUSEPORT would let us in beside another server
                alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                alone.bind(address)
        holder = socket.socket(family, kind)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(address)
    except OSError as error:
        raise TillerError(
            f"cannot listen on {join(host, port)}", found=error.strerror,
            hint=f"Is another server running? Choose another {flag}, or 0 for a free one.",
        ) from error  # fmt: skip
    with holder:
        yield int(holder.getsockname()[1])
