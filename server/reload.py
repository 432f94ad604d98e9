"""The engine being served, and how its policies change while it serves.

A reload reads the folder and compiles it on a thread of its own, then puts a new Engine, which shares the bundle with
the old one, in its place in one assignment: a request holds the engine that it took, so it sees one revision (law 9).
What cannot be compiled leaves the last good revision in force.

    watch (inotify, and a look at the contents every few seconds) ┐
    SIGHUP                                                        ├─> reload -> read until it rests -> compile -> swap
    AdminService.ReloadPolicies                                   ┘
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from watchfiles import awatch

from bundle import LATENT_FAMILY
from server.errors import PolicyError, Problem
from server.policy import PolicySet, compile_files, read_folder, revision_of
from server.steer import Engine

Trigger = Literal["watch", "signal", "admin"]
Outcome = Literal["loaded", "unchanged", "refused"]

REST_SECONDS = 0.1
"""Between two looks at the folder that must agree: an editor or a copy writes a file in several steps, and half of it
may be a valid file."""

MOST_LOOKS = 50
GROUPED_MS, STEP_MS = 400, 100
"""Changes that come within the first time are one; the second is how often the watching thread wakes."""


class Listener(Protocol):
    """Who is told; called on the event loop, but for ``compiled``."""

    def compiled(self, engine: Engine) -> None:
        """Policies about to come into force, with the engine that will hold them; on the worker thread."""

    def loaded(self, engine: Engine, previous: str, trigger: Trigger, seconds: float) -> None:
        """Another revision is in force."""

    def refused(self, error: PolicyError, trigger: Trigger) -> None:
        """What lies in the folder is refused; the last good revision stays in force."""

    def checked(self, *, stale: bool) -> None:
        """The folder was looked at; ``stale``: what lies there is not what is in force."""

    def unwatched(self, reason: str) -> None:
        """The folder cannot be watched; it is still looked at every few seconds."""


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
class _Look:
    """What lay in the folder. ``mark`` tells two contents apart; neither policies nor error: it is in force already."""

    mark: object
    policies: PolicySet | None = None
    error: PolicyError | None = None


class Served:
    """Holds the engine being served.

    Args:
        engine: with the policies that were loaded at start.
        folder: of the policies; None: there are none, and a reload is refused.
        listener: is told about every change.
    """

    def __init__(self, engine: Engine, folder: Path | None, listener: Listener) -> None:
        self._engine = engine
        self._folder = folder
        self._listener = listener
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="policies")
        self._one = asyncio.Lock()
        self._last: _Look | None = None
        now = time.time()
        self._status = PolicyStatus(None if folder is None else str(folder), now, now, 0, 0, None)

    def current(self) -> Engine:
        """The engine; whoever takes it keeps it to the end of a request."""
        return self._engine

    @property
    def status(self) -> PolicyStatus:
        """How the policies came to be what they are."""
        return self._status

    def close(self) -> None:
        """Let the thread end."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    async def reload(self, trigger: Trigger) -> Result:
        """Bring what lies in the folder into force, unless it is refused.

        Watching alone never takes the last policy away: an empty folder is then refused, because a mount that comes
        late looks the same. A person's reload, by signal or by the admin service, takes it.
        """
        async with self._one:
            began = time.perf_counter()
            if self._folder is None:
                error = PolicyError(
                    "this server has no policy folder", hint="Start it with --policies DIR to have policies at all."
                )
                return Result("refused", self._engine.policy_revision, error)
            loop = asyncio.get_running_loop()
            look = await loop.run_in_executor(self._worker, self._look, self._folder, trigger)
            again = trigger == "watch" and look is self._last
            self._last = look
            now = time.time()
            self._status = replace(self._status, checked_at=now, error=look.error)
            if look.error is not None:
                if not again:  # what is refused again and again while nothing changes counts once
                    self._status = replace(self._status, refusals=self._status.refusals + 1)
                    self._listener.refused(look.error, trigger)
            elif look.policies is not None:
                previous, self._engine = self._engine, replace(self._engine, policies=look.policies)  # the swap
                self._status = replace(self._status, loaded_at=now, loads=self._status.loads + 1)
                seconds = time.perf_counter() - began
                self._listener.loaded(self._engine, previous.policy_revision, trigger, seconds)
            self._listener.checked(stale=look.error is not None)
            outcome: Outcome = "refused" if look.error else "loaded" if look.policies is not None else "unchanged"
            return Result(outcome, self._engine.policy_revision, look.error)

    def _look(self, folder: Path, trigger: Trigger) -> _Look:
        """On the worker thread: what lies in the folder. The last look itself where watching finds it refused still."""
        try:
            contents, problems = _rested(folder)
        except PolicyError as error:
            return self._same_or(_Look(str(error), error=error), trigger)
        mark = (revision_of(contents), *map(str, problems))
        now = self._engine.policies or PolicySet()
        if not problems and mark[0] == now.revision:
            return _Look(mark)
        known = self._same_or(_Look(mark), trigger)
        if known is self._last:
            return known
        try:
            if trigger == "watch" and not contents and not problems and now.policies:
                raise PolicyError(
                    f"policy folder {folder} has no policy file any more", expected="at least one",
                    hint="The last policies stay in force; a reload by hand takes them away: tiller policy reload.",
                )  # fmt: skip
            with _giving_way():
                policies = compile_files(contents, str(folder), problems)
            self._warm(policies)
            self._listener.compiled(replace(self._engine, policies=policies))
        except PolicyError as error:
            return _Look(mark, error=error)
        except Exception as error:  # a fault of ours must not end the watching, nor pass unseen
            found = f"{type(error).__name__}: {error}"
            hint = "This is a fault of Tiller: please report it, with the files."
            return _Look(mark, error=PolicyError(f"policy folder {folder} cannot be compiled", found=found, hint=hint))
        return _Look(mark, policies)

    def _same_or(self, look: _Look, trigger: Trigger) -> _Look:
        last = self._last
        refused = last is not None and last.error is not None and last.mark == look.mark
        return last if refused and last is not None and trigger == "watch" else look

    def _warm(self, policies: PolicySet) -> None:
        """Fill what the first request under the new rules would wait for."""
        catalogue = self._engine.catalogue
        concepts = {rule.concept for policy in policies.policies if policy.enabled for rule in policy.rules}
        for concept in sorted(concepts):
            if concept.startswith(f"{LATENT_FAMILY}:") and catalogue.is_offered(concept):
                catalogue.find(concept)


@contextmanager
def _giving_way() -> Iterator[None]:
    """Hand the interpreter over ten times as often as usual: YAML is read in Python, and calls are answered meanwhile.

    Measured at 1,000 policies: a call waited up to 87 ms with the usual 5 ms, see docs/decisions/013.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 10)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


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


async def watch(served: Served, folder: Path, poll_seconds: float, listener: Listener) -> None:
    """Reload whenever the folder may have changed, until cancelled.

    The system tells of changes inside the folder at once; every ``poll_seconds`` the contents are looked at all the
    same, for what it does not tell: a link to another folder now, a network file system, a folder made anew.
    """
    told = False
    while True:
        mark = _identity(folder)
        try:
            async for _ in awatch(
                folder, watch_filter=None, debounce=GROUPED_MS, step=STEP_MS, recursive=False, yield_on_timeout=True,
                rust_timeout=max(1, int(poll_seconds * 1000)),
            ):  # fmt: skip
                await served.reload("watch")
                if _identity(folder) != mark:
                    break
        except (OSError, RuntimeError) as error:  # the folder is gone, or the system watches no more folders
            if not told and folder.exists():
                told = True
                listener.unwatched(str(error))
            await asyncio.sleep(poll_seconds)
            await served.reload("watch")


def _identity(folder: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        found = folder.stat()
        return found.st_dev, found.st_ino
    return None
