"""The decision log: one JSON line per sampled answer, saying which rules fired and what they did.

Written by a thread of its own from a bounded queue: a request puts one tuple into the queue and never waits. Where the
queue is full, or the disk refuses, the line is dropped and counted. A line holds no user, no item and no attribute; its
request id joins it to what the caller knows.
"""

from __future__ import annotations

import json
import os
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

from bundle.errors import TillerError
from server.settings import Settings
from server.subject import Mixture, kind_of
from server.types import Action, Answer, Effect, Query, Rule, Status

QUEUED = 10_000
"""Lines that may wait; at 20 us each the writer needs a fifth of a second for them."""

BATCH = 100
"""Lines written at once."""

KEPT = 5
"""Earlier files beside the current one: PATH.1 is the youngest."""

CLOSE_SECONDS = 5.0

Fate = Literal["written", "dropped"]


@dataclass(frozen=True, slots=True)
class _Entry:
    at: float
    request_id: str
    query: Query
    answer: Answer


class DecisionLog:
    """Appends sampled decisions to a file.

    Args:
        path: of the current file; its folder must be there.
        sample: part of the answers that are logged, in [0, 1].
        max_bytes: size at which the file becomes PATH.1 and a new one begins.
        count: told about every sampled line, from any thread: "written" or "dropped".
        waiting: lines that may wait for the writer.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(
        self, path: Path, sample: float, max_bytes: int, count: Callable[[Fate], None], *, waiting: int = QUEUED
    ) -> None:
        self._file = _Rotating(path, max_bytes)
        self._sample = sample
        self._count = count
        self._queue: queue.Queue[_Entry | None] = queue.Queue(waiting)
        self._thread = threading.Thread(target=self._write, name="decisions", daemon=True)
        self._thread.start()

    def wanted(self) -> bool:
        """Whether the next answer is in the sample; ask once per request, before it is answered."""
        return random.random() < self._sample

    def record(self, query: Query, answer: Answer, request_id: str) -> None:
        """Log one answer that was ``wanted``; never waits."""
        try:
            self._queue.put_nowait(_Entry(time.time(), request_id, query, answer))
        except queue.Full:
            self._count("dropped")

    def close(self) -> None:
        """Write what waits and close the file; gives up after some seconds on a disk that hangs."""
        try:
            self._queue.put(None, timeout=CLOSE_SECONDS)
        except queue.Full:
            return
        self._thread.join(CLOSE_SECONDS)

    def _write(self) -> None:
        open_ = True
        while open_:
            batch = list(self._waiting())
            open_ = batch[-1] is not None
            lines = [_line(entry) for entry in batch if entry is not None]
            try:
                self._file.append(lines)
                fate: Fate = "written"
            except OSError:  # a full disk, say: the next batch tries again
                fate = "dropped"
            for _ in lines:
                self._count(fate)
        self._file.close()

    def _waiting(self) -> Iterator[_Entry | None]:
        """At least one entry, and what else waits behind it, up to a batch."""
        entry = self._queue.get()
        yield entry
        for _ in range(BATCH - 1):
            if entry is None:
                return
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                return
            yield entry


@contextmanager
def opened_log(settings: Settings, count: Callable[[Fate], None]) -> Iterator[DecisionLog | None]:
    """The decision log that the settings ask for, flushed at the end of the block; None where none is wanted.

    Raises:
        TillerError: its file cannot be written.
    """
    if settings.decision_log is None:
        yield None
        return
    try:
        log = DecisionLog(settings.decision_log, settings.decision_sample, settings.decision_log_mib << 20, count)
    except OSError as error:
        raise TillerError(
            f"cannot write the decision log {settings.decision_log}", found=error.strerror,
            hint="Make its folder, or name another file: --decision-log PATH.",
        ) from error  # fmt: skip
    with closing(log):
        yield log


class _Rotating:
    """A file that is appended to in whole lines, and replaced when it is full or when somebody moved it away."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max = max_bytes
        self._stream: IO[bytes] | None = self._open()

    def append(self, lines: list[bytes]) -> None:
        if lines:
            stream = self._current()
            stream.write(b"".join(lines))
            stream.flush()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _open(self) -> IO[bytes]:
        return self._path.open("ab")

    def _current(self) -> IO[bytes]:
        stream = self._stream or self._open()
        self._stream = stream
        found = os.fstat(stream.fileno())
        if not _is(self._path, found):  # logrotate, or another process that shares the file
            self.close()
            self._stream = stream = self._open()
        elif found.st_size >= self._max:
            self.close()
            for place in range(KEPT - 1, 0, -1):
                older = self._numbered(place)
                if older.exists():
                    older.replace(self._numbered(place + 1))
            self._path.replace(self._numbered(1))
            self._stream = stream = self._open()
        return stream

    def _numbered(self, place: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{place}")


def _is(path: Path, found: os.stat_result) -> bool:
    try:
        now = path.stat()
    except OSError:
        return False
    return (now.st_dev, now.st_ino) == (found.st_dev, found.st_ino)


def _line(entry: _Entry) -> bytes:
    return json.dumps(decision(entry.at, entry.request_id, entry.query, entry.answer)).encode() + b"\n"


def decision(at: float, request_id: str, query: Query, answer: Answer) -> dict[str, Any]:
    """What one line says; docs/policies.md lists every key. ``at``: Unix seconds; timings in microseconds."""
    said: dict[str, Any] = {
        "time": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "request_id": request_id,
        "bundle_id": answer.bundle_id,
        "policy_revision": answer.policy_revision,
        "k": query.k,
        "returned": len(answer.ranking.items),
        "ignored_policies": not query.use_policies,
        "overlap": None if answer.overlap is None else round(answer.overlap, 4),
        "rules": [_rule(effect) for effect in answer.effects],
        "timings_us": {stage: round(1e6 * seconds, 1) for stage, seconds in answer.timings.items()},
    }
    if answer.eligible is not None:
        said["eligible"] = answer.eligible
    return said


def _named(rule: Rule) -> str:
    """The concept, or what kind of thing is named: a text with item ids in it would be a person's history, say."""
    if rule.subject is None or isinstance(rule.subject, Mixture):
        return rule.concept
    return f"{kind_of(rule.subject)} ({len(rule.subject.item_ids)})"


def _rule(effect: Effect) -> dict[str, Any]:
    rule, status = effect.considered.rule, effect.considered.status
    said: dict[str, Any] = {
        "source": rule.source,
        "action": rule.action.value,
        "concept": _named(rule),
        "status": status.value,
    }
    if rule.action is not Action.FILTER:
        said |= {"strength": rule.strength} if rule.share is None else {"share": rule.share}
        if status is Status.APPLIED:
            said["dose"] = float(f"{effect.dose:.6g}")
    if effect.share_before is not None and effect.share_after is not None:
        said |= {"share_before": round(effect.share_before, 4), "share_after": round(effect.share_after, 4)}
    note = "; ".join(part for part in (effect.considered.note, effect.note) if part)
    return said | {"note": note} if note else said
