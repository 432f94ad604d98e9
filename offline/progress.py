"""What a long run tells while it works: bars on a terminal, plain lines elsewhere, nothing in tests."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import IO, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

Figures = Mapping[str, float]

SHOWN = {"loss": "loss", "explained_variance": "EV", "l0": "L0", "dead_share": "dead"}
"""Figures worth a place in the line, and what they are called there."""


class Progress(Protocol):
    """Stages follow each other; a stage is over when the next begins or the run closes."""

    def stage(self, title: str) -> None:
        """A stage begins."""

    def step(self, done: int, total: int | None, figures: Figures) -> None:
        """Where the stage is; ``total`` None: unknown."""

    def say(self, text: str) -> None:
        """A sentence worth reading."""

    def close(self) -> None:
        """The run is over, well or not."""


class Quiet:
    """Says nothing."""

    def stage(self, title: str) -> None:
        """Nothing."""

    def step(self, done: int, total: int | None, figures: Figures) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Lines:
    """One line per stage, one every ``every`` seconds within it: for logs."""

    def __init__(self, stream: IO[str] | None = None, *, every: float = 5.0) -> None:
        self._stream = stream or sys.stderr
        self._every = every
        self._title = ""
        self._started = self._spoke = time.monotonic()

    def stage(self, title: str) -> None:
        """Names the stage."""
        self.close()
        self._title = title
        self._started = self._spoke = time.monotonic()
        self._print(f"{title} ...")

    def step(self, done: int, total: int | None, figures: Figures) -> None:
        """A line when the last one is old enough."""
        now = time.monotonic()
        if now - self._spoke >= self._every:
            self._spoke = now
            of = f"{done:,}/{total:,}" if total else f"{done:,}"
            self._print(" ".join([f"{self._title}: {of}", told(figures)]).rstrip())

    def say(self, text: str) -> None:
        """The sentence."""
        self._print(text)

    def close(self) -> None:
        """How long the stage took."""
        if self._title:
            self._print(f"{self._title}: done in {time.monotonic() - self._started:.1f} s")
            self._title = ""

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class Bars:
    """A bar per stage, with its figures."""

    def __init__(self, console: Console) -> None:
        self._progress = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
        )
        self._task: TaskID | None = None
        self._progress.start()

    def stage(self, title: str) -> None:
        """A new bar."""
        self._finish()
        self._task = self._progress.add_task(escape(title), total=None, figures="")

    def step(self, done: int, total: int | None, figures: Figures) -> None:
        """Moves it."""
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total, figures=told(figures))

    def say(self, text: str) -> None:
        """The sentence, above the bars."""
        self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Leaves the bars where they are."""
        self._finish()
        self._progress.stop()

    def _finish(self) -> None:
        if self._task is not None:
            task = self._progress.tasks[self._task]
            if task.total is None:
                self._progress.update(self._task, total=1, completed=1)
            self._progress.stop_task(self._task)
            self._task = None


def told(figures: Figures) -> str:
    """``loss 0.123  EV 0.91  L0 8.0  dead 0.4 %``: of ``figures``, those that have a place."""
    parts = []
    for name, label in SHOWN.items():
        if name in figures:
            value = figures[name]
            text = f"{value:.1%}" if name == "dead_share" else f"{value:.1f}" if name == "l0" else f"{value:.4g}"
            parts.append(f"{label} {text}")
    return "  ".join(parts)


def make_progress(console: Console) -> Progress:
    """Bars where the console is a terminal, lines where it is not."""
    return Bars(console) if console.is_terminal else Lines(console.file)
