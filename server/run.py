"""One request on its way through the engine's steps: what is known of it so far, and the time that it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from server.asked import Asked
from server.bits import BitArray
from server.edits import Asker, Edit
from server.errors import DeadlinePassed
from server.question import Question
from server.types import Answer, Mark, Query, Ranking


class Clock:
    """Seconds per stage; one visited twice adds up, and none is begun after ``until``.

    ``marks``: when each stage began and ended, by ``time.perf_counter``.
    """

    __slots__ = ("_last", "_until", "laps", "marks")

    def __init__(self, until: float) -> None:
        self.laps: dict[str, float] = {}
        self.marks: list[Mark] = []
        self._until = until
        self._last = time.perf_counter()

    def go_on(self) -> None:
        """What passed since the last stage was others' time."""
        self._last = time.perf_counter()

    def add(self, stage: str, seconds: float) -> None:
        """A part of what was done for several."""
        self.laps[stage] = self.laps.get(stage, 0.0) + seconds

    def lap(self, stage: str) -> None:
        """The stage is over.

        Raises:
            DeadlinePassed: nobody waits for the next one.
        """
        now, began = time.perf_counter(), self._last
        self.laps[stage] = self.laps.get(stage, 0.0) + now - began
        self.marks.append((stage, began, now))
        self._last = now
        if now > self._until:
            raise DeadlinePassed


@dataclass(slots=True)
class Run:
    """A request, and what the steps of server.steer leave to those that follow.

    ``asker``: its unsteered situation, its list ``depth`` long where there are so many; ``excluded``: items that it
    leaves out (None: none). ``made``: its edits; ``moved``: the question after them. ``ranking``: the list, of which
    the first ``passing`` items pass the filters; ``unsteered``: what it is compared with. ``result``: the end.
    """

    query: Query
    clock: Clock
    question: Question = field(init=False)
    asker: Asker = field(init=False)
    depth: int = 0
    excluded: BitArray | None = None
    unknown_excluded: int = 0
    made: list[Edit] = field(init=False)
    moved: Asked = field(init=False)
    ranking: Ranking = field(init=False)
    passing: int = 0
    unsteered: Ranking = field(init=False)
    result: Answer | Exception | None = None


def each(step: Callable[[Run], None], runs: Sequence[Run]) -> None:
    """Take a step with every request that has no result yet; what it raises is the result of that one."""
    for run in runs:
        if run.result is None:
            if len(runs) > 1:
                run.clock.go_on()
            try:
                step(run)
            except Exception as error:  # the others' answers must not depend on it
                run.result = error
