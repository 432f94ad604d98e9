from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

from server.policy.rollout import Rollout, place

USERS = [f"user-{n}" for n in range(20_000)]


def reached(percent: float, salt: str = "spring") -> set[str]:
    return {user for user in USERS if Rollout(percent, salt).reaches(user, {})}


def test_the_place_is_what_the_documentation_says() -> None:
    digest = hashlib.sha256(b"spring\x00user-7").digest()
    assert place("spring", "user-7") == int.from_bytes(digest[:8], "big") / 2**64
    assert place("spring", "user-7") == pytest.approx(0.9303918, abs=1e-6)
    assert place("", "") == pytest.approx(0x6E340B9CFFB37A98 / 2**64)  # sha256 of one zero byte


def test_the_place_is_the_same_in_every_process() -> None:
    code = "from server.policy.rollout import place; print(place('spring', 'Jürgen'))"
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, text=True, check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert said == {f"{place('spring', 'Jürgen')}\n"}


@pytest.mark.parametrize("percent", [0.5, 10, 50, 99])
def test_the_part_is_as_large_as_asked_for(percent: float) -> None:
    share = len(reached(percent)) / len(USERS)
    assert abs(share - percent / 100) < 5 * (percent / 100 * (1 - percent / 100) / len(USERS)) ** 0.5


def test_raising_the_percentage_keeps_everybody_who_is_in() -> None:
    assert set() == reached(0) < reached(1) < reached(10) < reached(60) < reached(100) == set(USERS)


def test_another_salt_reaches_other_people_and_the_same_salt_the_same() -> None:
    first, second = reached(20, "a"), reached(20, "b")
    assert len(first & second) / len(USERS) == pytest.approx(0.04, abs=0.006)
    assert reached(20, "a") == first


def test_who_is_asked_for() -> None:
    half = Rollout(50, "spring")
    inside = next(user for user in USERS if half.reaches(user, {}))
    outside = next(user for user in USERS if not half.reaches(user, {}))
    assert half.reaches(None, {"user": inside})  # an embedding, and a name for its user
    assert half.reaches(inside, {"user": outside})  # the user id is the user
    assert not half.reaches(None, {})
    assert not half.reaches("", {"session": inside})
    by_session = Rollout(50, "spring", by="session")
    assert by_session.reaches(outside, {"session": inside})
    assert not by_session.reaches(inside, {})
    assert not by_session.reaches(inside, {"session": ""})
    assert Rollout(100, "spring").reaches(None, {})  # complete: nobody has to be told from anybody
    assert not Rollout(0, "spring").reaches(inside, {})
