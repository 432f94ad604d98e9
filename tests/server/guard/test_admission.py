"""The queue alone, on a real event loop; turns are made long by holding the loop, as a search does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain

import pytest

from server.errors import Overloaded
from server.guard.admission import IN_FLIGHT, MOST, QUEUE, STANDING, TURN, Admission


async def _flood(
    admission: Admission, calls: int, gap: float, turn: float, *, patient: bool = False
) -> tuple[list[int], list[Overloaded]]:
    """So many calls, one every ``gap`` seconds, each of which holds the loop for ``turn``; who was answered."""
    answered: list[int] = []
    refused: list[Overloaded] = []

    async def call(number: int) -> None:
        try:
            admission.enter()
        except Overloaded as error:
            refused.append(error)
            return
        try:
            await admission.turn(patient=patient)
            answered.append(number)
            time.sleep(turn)
        except Overloaded as error:
            refused.append(error)
        finally:
            admission.leave()

    began, tasks = time.perf_counter(), []
    for number in range(calls):
        while time.perf_counter() < began + number * gap:
            await asyncio.sleep(0)
        if full := admission.came():
            refused.append(full)
            continue
        tasks.append(asyncio.create_task(call(number)))
    await asyncio.gather(*tasks)
    return answered, refused


def test_turns_come_in_order() -> None:
    async def ask() -> None:
        admission = Admission()
        answered, refused = await _flood(admission, 20, 0.0, 0.001)
        assert (answered, refused) == (list(range(20)), [])
        assert (admission.under_way, admission.waiting) == (0, 0)

    asyncio.run(ask())


def _groups(admission: Admission, sizes: Sequence[int]) -> list[list[int]]:
    """Who shares a turn with whom, of calls of so many searches that come up at once."""

    async def ask() -> list[list[int]]:
        groups: list[Sequence[object]] = []

        async def call(number: int, size: int) -> None:
            group = await admission.turn(number, size=size)
            assert number in group
            if group[0] == number:
                groups.append(group)

        await asyncio.gather(*(call(number, size) for number, size in enumerate(sizes)))
        return [[int(str(number)) for number in group] for group in groups]

    return asyncio.run(ask())


def test_calls_that_come_up_together_share_turns() -> None:
    admission = Admission()
    admission.search_seconds = TURN / 5
    groups = _groups(admission, [1] * 23)
    assert list(chain.from_iterable(groups)) == list(range(23))
    assert len(groups[0]) == 5
    assert max(map(len, groups)) <= MOST
    assert admission.search_seconds < TURN / 5  # of a search, not of a turn


def test_a_turn_holds_no_more_searches_than_there_is_room_for() -> None:
    admission = Admission()
    admission.shared = lambda: 4
    admission.search_seconds = 10 * TURN
    assert admission.room() == 4
    assert _groups(admission, [1, 2, 2, 4, 9])[:3] == [[0, 1], [2], [3]]
    admission.shared = lambda: 1
    admission.search_seconds = 10 * TURN
    assert admission.room() == 1
    admission.search_seconds = TURN / 100
    assert admission.room() == MOST


def test_a_call_that_comes_alone_waits_for_nobody() -> None:
    async def ask() -> list[Sequence[object]]:
        admission, loop = Admission(), asyncio.get_running_loop()
        groups = [await admission.turn("first")]
        await asyncio.sleep(0.001)
        came = loop.create_task(admission.turn("second"))
        await asyncio.sleep(0)  # one turn of the loop, and it has its own
        assert came.done()
        return [*groups, await came]

    assert [list(group) for group in asyncio.run(ask())] == [["first"], ["second"]]


def test_a_burst_is_answered_and_a_standing_queue_is_refused() -> None:
    async def ask() -> None:
        burst, _ = await _flood(Admission(100, None), 15, 0.0, 0.004)
        assert len(burst) == 15  # over before STANDING
        answered, refused = await _flood(Admission(1000, None), 200, STANDING / 50, 0.004)
        assert {error.reason for error in refused} == {QUEUE}
        assert len(refused) > 20
        assert len(answered) + len(refused) == 200
        assert answered == sorted(answered)

    asyncio.run(ask())


@pytest.mark.parametrize(("wait", "patient"), [(0.0, False), (None, True)])
def test_who_may_wait_for_ever_does(wait: float | None, patient: bool) -> None:
    async def ask() -> list[Overloaded]:
        admission = Admission(1000, wait)
        turns = [admission.turn(patient=patient) for _ in range(40)]

        async def turn(waits: Awaitable[None]) -> None:
            await waits
            time.sleep(0.004)

        await asyncio.gather(*map(turn, turns))
        return []

    assert asyncio.run(ask()) == []


def test_no_more_than_so_many_are_under_way() -> None:
    admission = Admission(2, 0)
    admission.enter()
    assert admission.came() is None
    admission.enter()
    full = admission.came()
    assert full is not None
    assert full.reason == IN_FLIGHT
    with pytest.raises(Overloaded, match=r"more calls than it can answer. Try again in 0.\d+ s, not at once."):
        admission.enter()
    admission.leave()
    admission.enter()
    assert admission.under_way == 2


def test_a_caller_that_left_takes_nobodys_turn() -> None:
    async def ask() -> None:
        admission, order = Admission(), []

        async def call(name: str) -> None:
            await admission.turn()
            order.append(name)

        tasks = {name: asyncio.create_task(call(name)) for name in "abc"}
        await asyncio.sleep(0)  # a has its turn, b and c wait
        tasks["b"].cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        assert order == ["a", "c"]
        assert admission.waiting == 0

    asyncio.run(ask())


def test_hints_grow_with_the_overload_and_differ() -> None:
    def hints(lasted: float) -> list[float]:
        admission = Admission(1, None)
        admission.enter()
        admission._idle -= lasted  # so long ago was its last idle moment
        return [refusal.retry_seconds for _ in range(50) if (refusal := admission.came())]

    short, long = hints(0.0), hints(60.0)
    assert len(short) == len(long) == 50
    assert 0.075 <= min(short) < max(short) <= 0.126
    assert 1.5 <= min(long) < max(long) <= 2.5


def test_without_bounds_nobody_is_refused() -> None:
    async def ask(flood: Callable[..., Awaitable[tuple[list[int], list[Overloaded]]]]) -> int:
        return len((await flood(Admission(), 300, 0.0, 0.0))[0])

    assert asyncio.run(ask(_flood)) == 300


def test_one_caller_alone_is_never_refused() -> None:
    async def ask() -> int:
        admission, answered = Admission(100, 0.0001), 0
        end = time.perf_counter() + 3 * STANDING
        while time.perf_counter() < end:  # without an idle moment, so that it looks like an overload
            admission.came()
            admission.enter()
            await admission.turn()
            time.sleep(0.002)
            admission.leave()
            answered += 1
        return answered

    assert asyncio.run(ask()) > 10
