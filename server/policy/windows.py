"""Time windows: wall-clock conditions in a time zone -> a plain test of one instant.

Instants are Unix seconds. ``from`` and ``until`` are turned into instants once, when the file is read; ``days`` and
``hours`` are read off the zone's wall clock at every request, so they follow its daylight saving time:

- an hour that the clock skips does not occur on that day; an hour that it repeats counts both times;
- a ``from`` or ``until`` inside a skipped hour is the first instant after it; inside a repeated hour ``from`` is the
  first of the two instants and ``until`` the second, so that the window covers everything it names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Window:
    """Open while all that is set holds. ``hours``: (from, until) in minutes of the day, until <= from: over midnight.

    A window over midnight belongs to the day on which it begins.
    """

    zone: ZoneInfo
    start: float | None = None
    end: float | None = None
    days: frozenset[int] = frozenset()
    hours: tuple[tuple[int, int], ...] = ()

    def open(self, at: float) -> bool:
        """Whether the instant ``at`` (Unix seconds) lies in the window; the start is inside, the end is not."""
        if (self.start is not None and at < self.start) or (self.end is not None and at >= self.end):
            return False
        if not (self.days or self.hours):
            return True
        clock = datetime.fromtimestamp(at, self.zone)
        today = clock.weekday()
        if not self.hours:
            return today in self.days
        minute = clock.hour * 60 + clock.minute
        return any(self._within(start, end, minute, today) for start, end in self.hours)

    def _within(self, start: int, end: int, minute: int, today: int) -> bool:
        if start < end:
            return start <= minute < end and self._on(today)
        return (minute >= start and self._on(today)) or (minute < end and self._on((today - 1) % 7))

    def _on(self, day: int) -> bool:
        return not self.days or day in self.days


def any_open(windows: Iterable[Window], at: float) -> bool:
    """Whether at least one window is open."""
    return any(window.open(at) for window in windows)


def begins(moment: date | datetime, zone: ZoneInfo) -> float:
    """The instant of a ``from``: a day begins at its first midnight; a time is taken where it occurs first."""
    return _instant(_midnight(moment), zone, fold=0)


def ends(moment: date | datetime, zone: ZoneInfo) -> float:
    """The instant of an ``until``, which is the first one outside: a day is inside as a whole, a time is not."""
    if not isinstance(moment, datetime):
        return _instant(_midnight(moment + timedelta(days=1)), zone, fold=0)
    return _instant(moment, zone, fold=1)


def _midnight(moment: date | datetime) -> datetime:
    return moment if isinstance(moment, datetime) else datetime.combine(moment, time())


def _instant(wall: datetime, zone: ZoneInfo, *, fold: int) -> float:
    if wall.tzinfo is not None:
        return wall.timestamp()
    before, after = (wall.replace(tzinfo=zone, fold=side) for side in (0, 1))
    early, late = sorted((before.timestamp(), after.timestamp()))
    if before.timestamp() <= after.timestamp():  # once, or twice (a repeated hour): fold chooses
        return late if fold else early
    return _transition(early, late, zone)


def _transition(early: float, late: float, zone: ZoneInfo) -> float:
    """The instant in (early, late] at which the zone's clock jumps."""
    offset = datetime.fromtimestamp(early, UTC).astimezone(zone).utcoffset()
    low, high = int(early), int(late)
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, UTC).astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return float(high)
