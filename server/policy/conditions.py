"""What ``when`` may say: request attributes, time windows, a rollout. See schema for the rest of a policy file."""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from server.policy.rollout import USER
from server.policy.windows import DAY_MINUTES, DAYS, Window, begins, ends
from server.policy.words import nearest

MAX_TEXT = 200
MAX_VALUES = 1000
MAX_WINDOWS = 20
ATTRIBUTE = r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$"
TAGS = frozenset({"<texts>", "<not>", "<window>", "<windows>", "<percent>", "<rollout>", "<memberships>"})
"""What pydantic puts into a place for the form that was chosen; not part of the file."""

KNOWN_ATTRIBUTES = ("surface", "segment", "country")
"""What requests usually carry; a misspelling of one of them is worth a warning."""

RESERVED = frozenset({"hours", "days", "dates", "from", "until", "timezone", "percent", "any", "all", "not"})
"""Parts of ``time`` and ``rollout``, and words kept free for later versions: as attributes they would be mistakes."""

CONDITIONS = {
    "timezone": "a time zone such as Europe/Berlin or UTC",
    "from": "a day or a local time such as 2026-12-01 or 2026-12-01T08:00",
    "until": "a day (inside as a whole) or a local time (just outside), such as 2026-12-26",
    "days": "days of the week: mon, tue, wed, thu, fri, sat, sun",
    "hours": "local hours such as 18:00-23:00 or 22:00-06:00, or a list of them",
    "percent": "a number from 0 to 100",
    "by": "user, or the name of a request attribute",
    "salt": f"text of 1 to {MAX_TEXT} characters",
    "time": "a window with the keys timezone, from, until, days, hours; or a list of them",
    "rollout": "a percentage from 0 to 100, or a mapping with the keys percent, by, salt",
}
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9]) ?- ?(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)")


def refusal(what: str, **more: Any) -> PydanticCustomError:
    """A refusal with its own words; ``more``: ``expected``, ``hint``, ``at`` (path below the field)."""
    return PydanticCustomError("policy", "{what}", {"what": what, **more})


class Frozen(BaseModel):
    """A part of a policy file: no key that it does not know, no infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _texts(value: object) -> object:
    """One text or a list of texts, each once."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple):
        quote = f"Quote it: '{value}'." if isinstance(value, int | float) and not isinstance(value, bool) else None
        raise refusal("wrong type", expected="text, or a list of texts", **({"hint": quote} if quote else {}))
    if not value:
        raise refusal("empty", expected=f"a list of 1 to {MAX_VALUES} texts")
    seen: set[str] = set()
    for index, item in enumerate(value):
        if not isinstance(item, str):
            continue
        if item in seen:
            raise refusal("value given twice", at=(index,), expected="each value once")
        seen.add(item)
    return value


def _attribute(name: str) -> str:
    if name in RESERVED:
        home = "time" if name in {"hours", "days", "dates", "from", "until", "timezone"} else "rollout"
        known = f"It is a key of {home}: write it there." if name in CONDITIONS else "Windows are written under time."
        hint = "To exclude values write them under the attribute: country: {not: [DE]}." if name == "not" else known
        raise refusal("reserved attribute name", hint=hint + " Rename the attribute if you mean your own.")
    return name


Text = Annotated[str, Field(strict=True, min_length=1, max_length=MAX_TEXT)]
_Texts = BeforeValidator(_texts, json_schema_input_type=Text | list[Text])
Values = Annotated[tuple[Text, ...], _Texts, Field(max_length=MAX_VALUES)]
Attribute = Annotated[str, Field(pattern=ATTRIBUTE), AfterValidator(_attribute)]


class NotEntry(Frozen):
    """All values but these; a request without the attribute matches."""

    not_: Values = Field(alias="not", description="the values that do not match")

    @model_validator(mode="before")
    @classmethod
    def _shape(cls, value: object) -> object:
        if not isinstance(value, dict) or set(value) != {"not"}:
            raise refusal("wrong type", expected="text, a list of texts, or {not: texts}")
        return value


Condition = Annotated[
    Annotated[Values, Tag("<texts>")] | Annotated[NotEntry, Tag("<not>")],
    Discriminator(lambda value: "<not>" if isinstance(value, dict | NotEntry) else "<texts>"),
]


@cache
def _zones() -> frozenset[str]:
    """Looking through the system's zones takes milliseconds."""
    return frozenset(available_timezones())


def _zone(name: object) -> object:
    if isinstance(name, str) and name not in _zones():
        near = nearest(name, _zones())
        raise refusal("unknown time zone", expected=CONDITIONS["timezone"],
                      **({"hint": f"Did you mean {near[0]!r}?"} if near else {}))  # fmt: skip
    return name


def _moment(value: object) -> object:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value) if len(value) == 10 else _time(value)
        except ValueError:
            pass
    raise refusal("not a moment")


def _time(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    if not re.match(r"\d{4}-\d\d-\d\d[T ]", value):
        raise ValueError(value)
    return moment


def _hours(value: object) -> object:
    spans = [value] if isinstance(value, str) else value
    if not isinstance(spans, list) or not spans:
        raise refusal("wrong type")
    found = []
    for span in spans:
        match = _HOURS.fullmatch(span) if isinstance(span, str) else None
        if match is None:
            raise refusal("not hours")
        start = int(match[1]) * 60 + int(match[2])
        end = DAY_MINUTES if match[3] is None else int(match[3]) * 60 + int(match[4])
        if start == end:
            raise refusal("not hours", hint="The whole day: leave hours out.")
        found.append((start, end))
    return tuple(found)


def _days(value: object) -> object:
    days = [value] if isinstance(value, str) else value
    if not isinstance(days, list) or not days or not all(day in DAYS for day in days) or len(set(days)) < len(days):
        raise refusal("not days of the week, each once")
    return tuple(days)


Moment = Annotated[date | datetime, BeforeValidator(_moment, json_schema_input_type=str)]
_Span = Annotated[str, Field(pattern=f"^{_HOURS.pattern}$")]
_Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class WindowEntry(Frozen):
    """One time window; everything that is given must hold."""

    timezone: Annotated[str, BeforeValidator(_zone), Field(strict=True)] = Field(
        description="whose wall clock the other keys are read from"
    )
    from_: Moment | None = Field(default=None, alias="from", description="when it begins; left out: always has")
    until: Moment | None = Field(default=None, description="when it is over; left out: never")
    days: Annotated[tuple[_Day, ...], BeforeValidator(_days, json_schema_input_type=_Day | list[_Day])] = Field(
        default=(), description="days of the week; left out: every day"
    )
    hours: Annotated[
        tuple[tuple[int, int], ...], BeforeValidator(_hours, json_schema_input_type=_Span | list[_Span])
    ] = Field(default=(), description="hours of the day, over midnight they belong to the first day")

    @model_validator(mode="after")
    def _some(self) -> WindowEntry:
        if not (self.from_ or self.until or self.days or self.hours):
            raise refusal("no condition", expected="at least one of from, until, days, hours")
        window = self.compile()
        if window.start is not None and window.end is not None and window.start >= window.end:
            raise refusal("never open", expected="a from before its until", at=("until",))
        return self

    def compile(self) -> Window:
        """The same as plain data."""
        zone = ZoneInfo(self.timezone)
        return Window(
            zone=zone,
            start=None if self.from_ is None else begins(self.from_, zone),
            end=None if self.until is None else ends(self.until, zone),
            days=frozenset(DAYS.index(day) for day in self.days),
            hours=self.hours,
        )


class RolloutEntry(Frozen):
    """A part of the users, by a stable hash."""

    percent: Annotated[float, Field(strict=True, ge=0, le=100)] = Field(description="how many of them")
    by: Annotated[str, Field(strict=True, pattern=ATTRIBUTE)] = Field(
        default=USER, description="whose hash: the user, or a request attribute such as session"
    )
    salt: Text | None = Field(default=None, description="left out: the policy's name; the same salt: the same users")


def _windows(value: object) -> object:
    if value == []:
        raise refusal("empty")
    return value


Windows = Annotated[
    Annotated[WindowEntry, Tag("<window>")]
    | Annotated[tuple[WindowEntry, ...], Field(max_length=MAX_WINDOWS), Tag("<windows>")],
    Discriminator(lambda value: "<windows>" if isinstance(value, list | tuple) else "<window>"),
    BeforeValidator(_windows),
]
_Percent = Annotated[float, Field(strict=True, ge=0, le=100)]
Part = Annotated[
    Annotated[_Percent, Tag("<percent>")] | Annotated[RolloutEntry, Tag("<rollout>")],
    Discriminator(lambda value: "<rollout>" if isinstance(value, dict | RolloutEntry) else "<percent>"),
]


class When(BaseModel):
    """The conditions of a policy; all must hold. Every key but ``time`` and ``rollout`` is a request attribute."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[Attribute, Condition]

    time: Windows | None = Field(default=None, description="a time window, or a list of them: one must be open")
    rollout: Part | None = Field(default=None, description="percent of the users, or percent, by and salt")

    @field_validator("time", "rollout", mode="before")
    @classmethod
    def _given(cls, value: object) -> object:
        if value is None:
            raise refusal("no condition")
        return value

    @property
    def attributes(self) -> dict[str, tuple[str, ...]]:
        """Attribute -> the values that match."""
        return {name: values for name, values in self._extra.items() if not isinstance(values, NotEntry)}

    @property
    def excluded(self) -> dict[str, tuple[str, ...]]:
        """Attribute -> the values that do not match."""
        return {name: values.not_ for name, values in self._extra.items() if isinstance(values, NotEntry)}

    @property
    def windows(self) -> tuple[WindowEntry, ...]:
        """The time windows, of which one must be open."""
        if self.time is None:
            return ()
        return self.time if isinstance(self.time, tuple) else (self.time,)

    @property
    def part(self) -> RolloutEntry | None:
        """The rollout in its long form."""
        return RolloutEntry(percent=self.rollout) if isinstance(self.rollout, int | float) else self.rollout

    @property
    def _extra(self) -> dict[str, tuple[str, ...] | NotEntry]:
        return self.__pydantic_extra__ or {}
