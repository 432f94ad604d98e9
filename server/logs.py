"""Structured logs: one JSON object per line, built without touching any global logging state."""

from __future__ import annotations

import io
import logging
import sys
from contextvars import ContextVar
from typing import TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger


def unbuffered(descriptor: int | None = None) -> TextIO:
    """A text stream on a file descriptor (None: standard output) that keeps nothing back.

    A buffer that cannot be written any more would turn the exit code of a clean stop into a failure.
    """
    raw = io.FileIO(sys.stdout.fileno() if descriptor is None else descriptor, "w", closefd=False)
    return io.TextIOWrapper(raw, encoding="utf-8", write_through=True)


TRACE_ID: ContextVar[str] = ContextVar("trace_id", default="")
"""Of the call being answered, where it is traced (server.tracing): it stands in every line that the call writes."""


def _with_trace(logger: object, name: str, line: EventDict) -> EventDict:  # noqa: ARG001 - structlog's signature
    if trace_id := TRACE_ID.get():
        line["trace_id"] = trace_id
    return line


class _Lines:
    """Writes whole lines; once the reader is gone it stays silent, because no call may fail for its log line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._gone = False

    def msg(self, message: str) -> None:
        if self._gone:
            return
        try:
            self._stream.write(message + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream was closed
            self._gone = True

    debug = info = warning = error = msg


def make_logger(stream: TextIO, level: str) -> FilteringBoundLogger:
    """A logger that writes JSON lines of ``level`` and above to ``stream``, with UTC times."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        _Lines(stream),
        processors=[
            structlog.processors.add_log_level,
            _with_trace,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        context_class=dict,
    )
    return logger.bind()
