"""Time windows: by hand, around the two nights in which a clock jumps, and against the wall clock as an oracle."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.policy.conditions import WindowEntry
from server.policy.windows import Window, any_open

BERLIN = "Europe/Berlin"
# Berlin 2026: 29 March 02:00 CET -> 03:00 CEST (01:00 UTC); 25 October 03:00 CEST -> 02:00 CET (01:00 UTC).


def window(**keys: object) -> Window:
    return WindowEntry.model_validate({"timezone": BERLIN, **keys}).compile()


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def opened(one: Window, *moments: str) -> list[bool]:
    return [one.open(utc(moment)) for moment in moments]


def test_a_day_is_inside_as_a_whole_and_its_midnights_are_the_zones() -> None:
    christmas = window(**{"from": "2026-12-24", "until": "2026-12-26"})
    assert opened(christmas, "2026-12-23T22:59:59", "2026-12-23T23:00:00") == [False, True]
    assert opened(christmas, "2026-12-26T22:59:59", "2026-12-26T23:00:00") == [True, False]


def test_an_until_with_a_time_is_just_outside() -> None:
    one = window(**{"from": "2026-12-01T08:00", "until": "2026-12-01T18:00"})
    assert opened(one, "2026-12-01T06:59:59", "2026-12-01T07:00:00") == [False, True]
    assert opened(one, "2026-12-01T16:59:59", "2026-12-01T17:00:00") == [True, False]


def test_a_moment_may_carry_its_own_offset() -> None:
    one = window(**{"from": "2026-12-01T08:00+00:00", "until": "2026-12-01T09:00Z"})
    assert opened(one, "2026-12-01T07:59:59", "2026-12-01T08:00:00", "2026-12-01T09:00:00") == [False, True, False]


def test_days_and_hours_are_the_zones() -> None:
    saturday = window(days="sat", hours="20:00-24:00")
    assert opened(saturday, "2026-07-04T17:59:59", "2026-07-04T18:00:00") == [False, True]  # CEST
    assert opened(saturday, "2026-07-04T21:59:59", "2026-07-04T22:00:00") == [True, False]
    assert opened(saturday, "2026-12-05T18:59:59", "2026-12-05T19:00:00") == [False, True]  # CET
    assert opened(window(days=["sat", "sun"]), "2026-07-03T21:59:59", "2026-07-03T22:00:00") == [False, True]


def test_hours_over_midnight_belong_to_the_day_on_which_they_begin() -> None:
    night = window(days=["fri"], hours="22:00-06:00")
    friday, saturday = "2026-07-03", "2026-07-04"
    assert opened(night, f"{friday}T03:00", f"{friday}T19:59", f"{friday}T20:00") == [False, False, True]
    assert opened(night, f"{saturday}T03:59", f"{saturday}T04:00", f"{saturday}T20:00") == [True, False, False]


def test_an_hour_that_the_clock_skips_does_not_occur() -> None:
    one = window(hours="02:00-03:00")
    night = [utc("2026-03-29T00:00") + minute * 60 for minute in range(180)]
    assert not any(one.open(at) for at in night)  # 01:00-02:00 CET, then 03:00 CEST
    assert opened(one, "2026-03-30T00:00") == [True]


def test_an_hour_that_the_clock_repeats_counts_both_times() -> None:
    one = window(hours="02:00-03:00")
    start = utc("2026-10-24T23:00")  # 01:00 CEST
    assert [minute for minute in range(300) if one.open(start + minute * 60)] == list(range(60, 180))


def test_a_night_is_an_hour_shorter_in_spring_and_an_hour_longer_in_autumn() -> None:
    night = window(hours="22:00-06:00")

    def minutes(noon: str) -> int:
        return sum(night.open(utc(noon) + minute * 60) for minute in range(24 * 60))

    assert (minutes("2026-03-28T12:00"), minutes("2026-06-01T12:00"), minutes("2026-10-24T12:00")) == (420, 480, 540)


def test_a_moment_that_the_clock_skips_is_the_first_one_after_it() -> None:
    assert window(**{"from": "2026-03-29T02:30"}).start == utc("2026-03-29T01:00")
    assert window(until="2026-03-29T02:30").end == utc("2026-03-29T01:00")
    assert window(**{"from": "2026-03-29T03:00"}).start == utc("2026-03-29T01:00")
    assert window(**{"from": "2026-03-29T01:59"}).start == utc("2026-03-29T00:59")


def test_of_a_moment_that_comes_twice_from_is_the_first_and_until_the_second() -> None:
    assert window(**{"from": "2026-10-25T02:30"}).start == utc("2026-10-25T00:30")
    assert window(until="2026-10-25T02:30").end == utc("2026-10-25T01:30")


def test_a_day_without_midnight_begins_when_its_clock_does() -> None:
    # Beirut 2026: the clock jumps from 00:00 to 01:00 on 29 March, 22:00 UTC of the 28th.
    one = WindowEntry.model_validate({"timezone": "Asia/Beirut", "from": "2026-03-29", "until": "2026-03-29"}).compile()
    assert (one.start, one.end) == (utc("2026-03-28T22:00"), utc("2026-03-29T21:00"))


def test_of_several_windows_one_must_be_open() -> None:
    both = (window(hours="08:00-09:00"), window(hours="18:00-19:00"))
    assert [any_open(both, utc(f"2026-07-01T{hour:02}:30")) for hour in (6, 10, 16)] == [True, False, True]
    assert not any_open((), 0.0)


ZONES = ["UTC", BERLIN, "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca"]


@given(
    zone=st.sampled_from(ZONES),
    at=st.integers(int(utc("2026-01-01")), int(utc("2027-12-31"))),
    day=st.dates(date(2026, 1, 2), date(2027, 12, 1)),
    length=st.integers(0, 30),
)
def test_days_agree_with_the_date_on_the_zones_wall(zone: str, at: int, day: date, length: int) -> None:
    last = day + timedelta(days=length)
    keys = {"timezone": zone, "from": day.isoformat(), "until": last.isoformat()}
    on_the_wall = datetime.fromtimestamp(at, ZoneInfo(zone)).date()
    assert WindowEntry.model_validate(keys).compile().open(at) == (day <= on_the_wall <= last)


@pytest.mark.parametrize("hours", ["00:00-24:00", "00:00-12:00", "23:59-00:01", "12:00-11:59"])
def test_hours_agree_with_the_wall_clock(hours: str) -> None:
    one = window(hours=hours)
    start, end = (int(part[:2]) * 60 + int(part[3:]) for part in hours.split("-"))
    for minute in range(0, 2 * 24 * 60, 7):
        at = utc("2026-03-28T12:00") + minute * 60
        wall = datetime.fromtimestamp(at, ZoneInfo(BERLIN))
        now = wall.hour * 60 + wall.minute
        assert one.open(at) == (start <= now < end if start < end else now >= start or now < end)
