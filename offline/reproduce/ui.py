"""Progress of a run of a hundred stages: one bar for the stage at work, a line for each that is done."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from offline.progress import Figures, Lines, Progress, told

SHORT = 0.5
"""Stages quicker than that leave no line."""


class OneBar:
    """A bar that changes its stage; what took time stays above it as a line."""

    def __init__(self, console: Console) -> None:
        self._progress = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, figures="")
        self._title, self._started = "", time.monotonic()
        self._progress.start()

    def stage(self, title: str) -> None:
        """Another stage."""
        self._finish()
        self._title, self._started = title, time.monotonic()
        self._progress.reset(self._task, total=None, description=escape(title), figures="")

    def step(self, done: int, total: int | None, figures: Figures) -> None:
        """Moves the bar."""
        self._progress.update(self._task, completed=done, total=total, figures=told(figures))

    def say(self, text: str) -> None:
        """The sentence, above the bar."""
        self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Takes the bar away."""
        self._finish()
        self._progress.stop()

    def _finish(self) -> None:
        seconds = time.monotonic() - self._started
        if self._title and seconds >= SHORT:
            self.say(f"{self._title}: {seconds:.1f} s")
        self._title = ""


def make_ui(console: Console) -> Progress:
    """One bar on a terminal, lines elsewhere."""
    return OneBar(console) if console.is_terminal else Lines(console.file, every=20)
