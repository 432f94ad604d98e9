"""A circuit breaker (Nygard, Release It!, 2007): what fails again and again is left alone for a while.

    closed     every call is let through          -> open after so many failures in a row
    open       no call is                         -> half-open after so many seconds
    half-open  one call is, to try; others not    -> closed if it succeeds, open if it fails

One call tries: libraries that we looked at let all of them through while half-open, and at a thousand calls a second
every one of those would wait for its time limit (docs/decisions/026).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum


class State(StrEnum):
    """Of a breaker."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


class Breaker:
    """Only for one thread. Whoever is let through says how it went: ``succeeded``, ``failed`` or ``given_up``.

    Args:
        failures: in a row, after which it opens.
        seconds: for how long it stays open.
        changed: told about every new state.
        clock: seconds that only go forward.
    """

    def __init__(
        self, failures: int, seconds: float, changed: Callable[[State], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._most = failures
        self._seconds = seconds
        self._changed = changed
        self._clock = clock
        self._failures = 0
        self._since = 0.0
        self._trying = False
        self.state = State.CLOSED

    def lets_through(self) -> bool:
        """Whether a call may be made; in the half-open state one at a time."""
        if self.state is State.OPEN and self._clock() - self._since >= self._seconds:
            self._set(State.HALF_OPEN)
        if self.state is State.HALF_OPEN and not self._trying:
            self._trying = True
            return True
        return self.state is State.CLOSED

    def succeeded(self) -> None:
        """A call got its answer."""
        self._failures, self._trying = 0, False
        if self.state is State.HALF_OPEN:
            self._set(State.CLOSED)

    def failed(self) -> None:
        """A call got none, or too late."""
        self._failures += 1
        self._trying = False
        if self.state is State.HALF_OPEN or (self.state is State.CLOSED and self._failures >= self._most):
            self._since = self._clock()
            self._set(State.OPEN)

    def given_up(self) -> None:
        """A call was left before it was known how it goes."""
        self._trying = False

    def _set(self, state: State) -> None:
        self.state = state
        self._changed(state)
