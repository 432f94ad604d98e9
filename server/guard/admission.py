"""Bounded admission: one turn at a time on the event loop, a short queue before it, a refusal at once beyond it.

gRPC hides its queue from the loop that searches: `grpc.aio` takes one call up per turn of the loop, so with searches on
the loop the waiting calls lie unseen inside gRPC. Before a search the loop therefore spins a few times while calls come
up, and answers those that did together, which takes far less time than one between gRPC's steps of another. In an
overload it spins until no more come up, at most as long as the turn took, and so sees how many there are
(docs/decisions/022, 027).

Two bounds hold: ``most`` calls under way, and, once the loop has not been idle for STANDING seconds, the time that an
accepted call waits. A burst is answered; a standing queue is refused (the idea of CoDel: Nichols and Jacobson, ACM
Queue 10(5), 2012).
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from server.errors import Overloaded

IN_FLIGHT, QUEUE = "in_flight", "queue"
"""Why a call is refused: too many are under way, or it would wait too long."""

STANDING, STANDING_SEARCHES = 0.1, 20
"""Seconds, and searches, without an idle moment, after which it is an overload and no burst."""

QUIET, QUIET_PART = 0.0005, 0.02
"""Seconds without a call, after which none is believed to lie in gRPC: from there to here it takes up to .2 ms, and
more where other programs want the cores; and part of the last turn, for the longer it was the more lie there."""

IDLE, IDLE_SEARCHES = 0.001, 0.5
"""Seconds, and searches, between a turn and the next call that make an idle moment."""

COOLING = 1.0
"""Seconds without a refusal, after which an overload is over."""

WAIT_TURNS = 0.5
LEAST_WAIT, MOST_WAIT = 0.005, 0.1
"""What a call may wait in an overload where no time is set: as long as so much of a full turn takes, at least a search,
and between these seconds. With a whole one accepted calls wait longer than an overload may cost (docs/decisions/027).

The lower one is CoDel's target: where searches are cheap, callers that ask one after the other make a queue too.
"""

HINTS = 0.1, 2.0
"""Seconds until another try: at the start of an overload, and at most."""

SMOOTHING = 0.1
"""Weight of the newest search in the mean."""

MOST, TURN = 16, 0.004
"""Searches in one turn, at most, and the seconds that it may last for their sake."""

SPINS, PAUSE = 5, 0.2
"""Spins of the loop, without a sign of another call, until a turn begins: with 3, half of those that wait are not seen.
After a turn that several calls shared, also the part of a search that must pass so: nearly all turns are full then."""

ALONE = 2
"""Turns that begin at once after one for which nobody else came up."""


class Admission:
    """The queue before one event loop; only for the thread of that loop.

    Args:
        most: calls under way, waiting ones included.
        wait: seconds a call may wait in an overload; None: WAIT_TURNS of a full turn; 0: for ever.

    Attributes:
        shared: how many searches take less time in one turn than one after the other, at present.

    Without arguments it keeps the order and refuses nobody.
    """

    def __init__(self, most: int | None = None, wait: float | None = 0.0) -> None:
        self._most = sys.maxsize if most is None else most
        self._wait = wait
        self.shared: Callable[[], int] = lambda: 1
        self._waiting: deque[_Waiting] = deque()
        self._under_way = 0
        self._came = self._seen = self._signs = self._spins = self._alone = 0
        self._turning = self._company = False
        self._size = 1
        self._began = 0.0
        self._ended = self._progress = self._idle = time.perf_counter()
        self._overload_until = 0.0
        self.search_seconds = 0.0
        """Smoothed length of a search: a turn's, by what it answered."""

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        return len(self._waiting)

    @property
    def under_way(self) -> int:
        """Calls that entered and did not leave."""
        return self._under_way

    def came(self) -> Overloaded | None:
        """A call came up, its message still unread; why it cannot be taken. Nothing is booked."""
        self._came += 1
        self._signs += 1
        return self._refusal(time.perf_counter()) if self._under_way else None

    def enter(self) -> None:
        """Book a call; ``leave`` must follow.

        Raises:
            Overloaded: it is not taken, and nothing is booked.
        """
        if self._under_way and (refusal := self._refusal(time.perf_counter())):
            raise refusal
        self._under_way += 1
        self._signs += 1

    def leave(self) -> None:
        """The call is answered, refused or given up."""
        self._under_way -= 1

    def room(self) -> int:
        """Searches that one turn may hold now."""
        in_time = int(TURN / self.search_seconds) if self.search_seconds > 0 else 1
        return max(1, self.shared(), min(in_time, MOST))

    async def turn(self, call: object = None, *, size: int = 1, patient: bool = False) -> Sequence[object]:
        """Wait for the loop; what follows without an ``await`` is the turn.

        Args:
            call: whatever stands for it.
            size: searches it will make.
            patient: whatever the wait.

        Returns:
            The calls that share the turn, this one among them, in the order in which they go on.

        Raises:
            Overloaded: it waited longer than a call may.
        """
        now = time.perf_counter()
        if not self._turning:
            if now - self._ended > max(IDLE, IDLE_SEARCHES * self.search_seconds):
                self._idle = now
            if self._alone:
                self._alone -= 1
                self._begin(now, size)
                return (call,)
            self._turning = True
            self._gather()
        future: asyncio.Future[Sequence[object]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(future, now, call, size, patient))
        return await future

    def _refusal(self, now: float) -> Overloaded | None:
        if self._under_way >= self._most:
            return self._too_many(IN_FLIGHT, now)
        if self._overload(now) and (len(self._waiting) + 1) * self.search_seconds > self._longest():
            return self._too_many(QUEUE, now)
        return None

    def _too_many(self, reason: str, now: float) -> Overloaded:
        if reason == QUEUE:
            self._overload_until = now + COOLING
        # Longer the longer it lasts, and never all callers at once.
        hint = min(max(now - self._idle, HINTS[0]), HINTS[1]) * random.uniform(0.75, 1.25)
        return Overloaded(reason, hint)

    def _overload(self, now: float) -> bool:
        if self._wait == 0:
            return False
        return now < self._overload_until or now - self._idle > max(STANDING, STANDING_SEARCHES * self.search_seconds)

    def _longest(self) -> float:
        if self._wait is not None:
            return self._wait
        return min(max(self._turn_seconds(), LEAST_WAIT), MOST_WAIT)

    def _turn_seconds(self) -> float:
        """Of a turn in an overload."""
        return max(1, int(WAIT_TURNS * self.shared())) * self.search_seconds

    def _begin(self, now: float, size: int) -> None:
        """A turn of so many searches begins, now."""
        self._turning, self._began, self._size = True, now, size
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        """It is over."""
        now = time.perf_counter()
        self.search_seconds += SMOOTHING * ((now - self._began) / self._size - self.search_seconds)
        self._ended = self._progress = now
        self._seen = self._came
        if self._overload(now):
            asyncio.get_running_loop().call_soon(self._look)
        elif self._waiting:
            self._gather()
        else:
            self._turning = False

    def _gather(self) -> None:
        """Spin while calls come up that could share the next turn."""
        self._seen, self._spins, self._progress = self._signs, 0, time.perf_counter()
        asyncio.get_running_loop().call_soon(self._spin)

    def _spin(self) -> None:
        now = time.perf_counter()
        self._spins += 1
        if self._seen != self._signs:
            self._seen, self._spins, self._progress = self._signs, 0, now
        pause = PAUSE * self.search_seconds if self._company else 0.0
        if (self._spins < SPINS or now - self._progress < pause) and len(self._waiting) < self.room():
            asyncio.get_running_loop().call_soon(self._spin)
        else:
            self._next(now)

    def _look(self) -> None:
        """In an overload, see what lies in gRPC before the next turn."""
        now = time.perf_counter()
        if self._came != self._seen:
            self._seen, self._progress = self._came, now
        lasted = self._ended - self._began
        if now - self._progress < max(QUIET, QUIET_PART * lasted) and now - self._ended < lasted:
            asyncio.get_running_loop().call_soon(self._look)
        else:
            self._next(now)

    def _next(self, now: float) -> None:
        """The turn of the calls that wait longest."""
        room, size = self.room(), 0
        chosen: list[_Waiting] = []
        while self._waiting and (not chosen or size + self._waiting[0].size <= room):
            call = self._waiting.popleft()
            if call.future.done():  # its caller left
                continue
            # Refusing the only one that waits would shorten nobody's wait: the loop was held by something else.
            alone = not (self._waiting or chosen)
            longest = self._longest() + self._turn_seconds()
            if call.patient or alone or not self._overload(now) or now - call.since <= longest:
                chosen.append(call)
                size += call.size
            else:
                call.future.set_exception(self._too_many(QUEUE, now))
        if not chosen:
            self._turning = False
            return
        self._company = len(chosen) > 1
        self._alone = ALONE if len(chosen) == 1 and not self._waiting else 0
        together = [call.call for call in chosen]
        for call in chosen:
            call.future.set_result(together)
        self._begin(now, size)


class _Waiting(NamedTuple):
    """A call that waits for its turn."""

    future: asyncio.Future[Sequence[object]]
    since: float
    call: object
    size: int
    patient: bool
