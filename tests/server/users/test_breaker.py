"""The circuit breaker, with a clock of its own."""

from __future__ import annotations

import pytest

from server.users import Breaker, State

FAILURES, SECONDS = 3, 10.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def states() -> list[State]:
    return []


@pytest.fixture
def breaker(clock: Clock, states: list[State]) -> Breaker:
    return Breaker(FAILURES, SECONDS, states.append, clock)


def _fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        assert breaker.lets_through()
        breaker.failed()


def test_failures_in_a_row_open_it_and_a_success_between_does_not(breaker: Breaker, states: list[State]) -> None:
    _fail(breaker, FAILURES - 1)
    breaker.succeeded()
    _fail(breaker, FAILURES - 1)
    assert states == []
    _fail(breaker)
    assert states == [State.OPEN]
    assert not breaker.lets_through()


def test_one_call_tries_after_a_while_and_its_success_closes_it(
    breaker: Breaker, clock: Clock, states: list[State]
) -> None:
    _fail(breaker, FAILURES)
    clock.now += SECONDS - 0.1
    assert not breaker.lets_through()
    clock.now += 0.1
    assert [breaker.lets_through() for _ in range(3)] == [True, False, False]
    breaker.succeeded()
    assert [breaker.lets_through() for _ in range(3)] == [True] * 3
    assert states == [State.OPEN, State.HALF_OPEN, State.CLOSED]


def test_a_failed_try_opens_it_again_for_the_whole_time(breaker: Breaker, clock: Clock, states: list[State]) -> None:
    _fail(breaker, FAILURES)
    clock.now += SECONDS
    _fail(breaker)
    assert states[-1] is State.OPEN
    clock.now += SECONDS - 0.1
    assert not breaker.lets_through()


def test_a_try_that_was_left_lets_another_one_try(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, FAILURES)
    clock.now += SECONDS
    assert breaker.lets_through()
    breaker.given_up()
    assert breaker.lets_through()


def test_calls_that_were_under_way_when_it_opened_change_nothing(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, FAILURES)
    clock.now += SECONDS / 2
    breaker.failed()
    clock.now += SECONDS / 2
    assert breaker.lets_through()
