"""What lies in the policy folder: read once it rests, compiled, and told apart from what is in force."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from server.errors import PolicyError, Problem
from server.policy import PolicySet, compile_files, read_folder, revision_of
from server.reload.beside import giving_way
from server.reload.listener import Trigger

Outcome = Literal["loaded", "unchanged", "refused"]

REST_SECONDS = 0.1
"""Between two looks at the folder that must agree: an editor or a copy writes a file in several steps, and half of it
may be a valid file."""

MOST_LOOKS = 50


@dataclass(frozen=True, slots=True)
class Result:
    """What a reload came to. ``revision`` is the one in force now; ``error``: why another was refused."""

    outcome: Outcome
    revision: str
    error: PolicyError | None = None


@dataclass(frozen=True, slots=True)
class PolicyStatus:
    """Times are Unix seconds. ``error``: why the folder's present content is refused, with all of its faults."""

    folder: str | None
    loaded_at: float
    checked_at: float
    loads: int
    refusals: int
    error: PolicyError | None


@dataclass(frozen=True, eq=False)
class Look:
    """What lay in the folder. ``mark`` tells two contents apart; neither policies nor error: it is in force already."""

    mark: object
    policies: PolicySet | None = None
    error: PolicyError | None = None


def look(folder: Path, now: PolicySet, last: Look | None, trigger: Trigger, prove: Callable[[PolicySet], None]) -> Look:
    """Read and compile the folder's content; never raises.

    Args:
        folder: of the policies.
        now: the policies in force.
        last: what the last look came to; it is given back where watching finds it refused still.
        trigger: who wants to know.
        prove: what else must work with the new policies before they are taken.
    """
    try:
        contents, problems = _rested(folder)
    except PolicyError as error:
        return _same_or(Look(str(error), error=error), last, trigger)
    mark = (revision_of(contents), *map(str, problems))
    if not problems and mark[0] == now.revision:
        return Look(mark)
    known = _same_or(Look(mark), last, trigger)
    if known is last:
        return known
    try:
        if trigger == "watch" and not contents and not problems and now.policies:
            raise PolicyError(
                f"policy folder {folder} has no policy file any more", expected="at least one",
                hint="The last policies stay in force; a reload by hand takes them away: tiller policy reload.",
            )  # fmt: skip
        with giving_way():
            policies = compile_files(contents, str(folder), problems)
        prove(policies)
    except PolicyError as error:
        return Look(mark, error=error)
    except Exception as error:  # a fault of ours must not end the watching, nor pass unseen
        found = f"{type(error).__name__}: {error}"
        hint = "This is a fault of Tiller: please report it, with the files."
        return Look(mark, error=PolicyError(f"policy folder {folder} cannot be compiled", found=found, hint=hint))
    return Look(mark, policies)


def _same_or(found: Look, last: Look | None, trigger: Trigger) -> Look:
    refused = last is not None and last.error is not None and last.mark == found.mark
    return last if refused and last is not None and trigger == "watch" else found


def _rested(folder: Path) -> tuple[dict[str, bytes], list[Problem]]:
    """The folder's content once two looks at it agree."""
    before = read_folder(folder)
    for _ in range(MOST_LOOKS):
        time.sleep(REST_SECONDS)
        now = read_folder(folder)
        if now == before:
            return now
        before = now
    raise PolicyError(f"policy folder {folder} does not come to rest", found="another content at every look")
