"""The one pointer, and everything that may change it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bundle import read_manifest
from bundle.errors import BundleError, TillerError
from server.errors import PolicyError
from server.loading import load_engine
from server.policy import PolicySet
from server.reload.beside import Worker, giving_way
from server.reload.bundles import BundleStatus, Mark, Swap, confined, mark_of, rested
from server.reload.listener import Listener, Trigger
from server.reload.losses import refuse_losses
from server.reload.policies import Look, Outcome, PolicyStatus, Result, look
from server.settings import Settings
from server.steer import Engine


class Served:
    """Holds the engine being served, and the one before it.

    Policies and bundles change independently: a bundle that takes a minute to load does not hold up a policy. Each kind
    has a lock and a thread of its own, and the swap itself is one assignment on the event loop.

    Args:
        engine: with the bundle and the policies that were loaded at start.
        settings: where both come from.
        listener: is told about every change.
    """

    def __init__(self, engine: Engine, settings: Settings, listener: Listener) -> None:
        self._engine = engine
        self._previous: Engine | None = None
        self._settings = settings
        self._listener = listener
        self._policy_worker, self._bundle_worker = Worker("policies"), Worker("bundle")
        self._one_policy, self._one_bundle = asyncio.Lock(), asyncio.Lock()
        self._last: Look | None = None
        self._proved: Engine | None = None  # held so that its custom concepts are not made again at the swap
        seen, where = mark_of(settings.bundle), str(engine.catalogue.bundle.path)
        self._seen: Mark | None = seen if seen[0] == where else None  # the path may lead elsewhere already
        self._refused_under: str | None = None
        now = time.time()
        folder = settings.policies
        self._policy_status = PolicyStatus(None if folder is None else str(folder), now, now, 0, 0, None)
        self._bundle_status = BundleStatus(str(settings.bundle), where, now, 0, 0, "", None)

    def current(self) -> Engine:
        """The engine; whoever takes it keeps it to the end of a request."""
        return self._engine

    @property
    def status(self) -> PolicyStatus:
        """How the policies came to be what they are."""
        return self._policy_status

    @property
    def bundle_status(self) -> BundleStatus:
        """How the bundle came to be what it is."""
        return self._bundle_status

    def close(self) -> None:
        """Let the threads end."""
        self._policy_worker.close()
        self._bundle_worker.close()

    async def reload(self, trigger: Trigger) -> Result:
        """Bring what lies in the policy folder into force, unless it is refused.

        Watching alone never takes the last policy away: an empty folder is then refused, because a mount that comes
        late looks the same. A person's reload, by signal or by the admin service, takes it.
        """
        async with self._one_policy:
            began = time.perf_counter()
            folder = self._settings.policies
            if folder is None:
                error = PolicyError(
                    "this server has no policy folder", hint="Start it with --policies DIR to have policies at all."
                )
                return Result("refused", self._engine.policy_revision, error)
            now = self._engine.policies or PolicySet()
            found = await self._policy_worker.run(look, folder, now, self._last, trigger, self._prove)
            again = trigger == "watch" and found is self._last
            self._last = found
            at, status = time.time(), self._policy_status
            status = replace(status, checked_at=at, error=found.error)
            if found.error is not None:
                if not again:  # what is refused again and again while nothing changes counts once
                    status = replace(status, refusals=status.refusals + 1)
                    self._listener.refused(found.error, trigger)
            elif found.policies is not None:
                before, self._engine = self._engine, replace(self._engine, policies=found.policies)  # the swap
                self._proved = None
                status = replace(status, loaded_at=at, loads=status.loads + 1)
                self._listener.loaded(self._engine, before.policy_revision, trigger, time.perf_counter() - began)
            self._policy_status = status
            self._listener.checked(stale=found.error is not None)
            outcome: Outcome = "refused" if found.error else "loaded" if found.policies is not None else "unchanged"
            return Result(outcome, self._engine.policy_revision, found.error)

    async def look_again(self, trigger: Trigger) -> Swap | None:
        """Serve what the path of ``--bundle`` leads to, if that has changed since the last look; None: it has not.

        What was rolled back is not taken again before the path changes. What was refused is tried again when a person
        asks, and once other policies are in force: it may have been for their sake.
        """
        async with self._one_bundle:
            path = self._settings.bundle
            if await self._bundle_worker.run(mark_of, path) == self._seen and not self._worth_another_try(trigger):
                return None
            began = time.perf_counter()
            try:
                self._seen = await self._bundle_worker.run(rested, path)
                done = await self._swap(path, trigger, began, accept_losses=self._settings.accept_losses)
            except BundleError as error:
                done = self._refuse(str(path), error, trigger, began)
            self._refused_under = self._engine.policy_revision if done.outcome == "refused" else None
            return done

    def _worth_another_try(self, trigger: Trigger) -> bool:
        under = self._refused_under
        return under is not None and (trigger == "signal" or under != self._engine.policy_revision)

    async def use(self, given: str, *, accept_losses: bool = False) -> Swap:
        """Serve another bundle, named by a caller, below ``--bundles-root``; it lasts until the process ends.

        Raises:
            NotAllowed: the path is not one that a caller may name.
        """
        path = confined(given, self._settings.bundles_root)
        async with self._one_bundle:
            accept = accept_losses or self._settings.accept_losses
            return await self._swap(path, "admin", time.perf_counter(), accept_losses=accept)

    async def rollback(self, *, accept_losses: bool = False) -> Swap:
        """Serve the previous bundle again, at once, with the policies of now; the present one becomes the previous."""
        async with self._one_bundle:
            began, previous = time.perf_counter(), self._previous
            if previous is None:
                error = BundleError(
                    "there is no previous bundle to go back to", hint="One is kept once another bundle was taken."
                )
                return Swap("refused", self._engine.bundle_id, 0.0, error)
            accept = accept_losses or self._settings.accept_losses
            try:
                await self._put(previous, "admin", began, accept_losses=accept, back=True)
            except TillerError as error:
                return self._refuse(str(previous.catalogue.bundle.path), error, "admin", began)
            return Swap("rolled_back", self._engine.bundle_id, time.perf_counter() - began)

    async def _swap(self, path: Path, trigger: Trigger, began: float, *, accept_losses: bool) -> Swap:
        try:
            new = await self._bundle_worker.run(self._open, path)
            if new is None:
                self._bundle_status = replace(self._bundle_status, error=None)
                return Swap("unchanged", self._engine.bundle_id, time.perf_counter() - began)
            await self._put(new, trigger, began, accept_losses=accept_losses, back=False)
        except TillerError as error:
            return self._refuse(str(path), error, trigger, began)
        return Swap("loaded", self._engine.bundle_id, time.perf_counter() - began)

    def _open(self, path: Path) -> Engine | None:
        """On the worker thread: the engine of another bundle, verified and warm; None: it is the one in force."""
        with _refusing(path), giving_way():
            if read_manifest(path).bundle_id == self._engine.bundle_id:
                return None
            new = load_engine(path, self._engine.policies, self._settings)
            new.warm()
            return new

    async def _put(self, new: Engine, trigger: Trigger, began: float, *, accept_losses: bool, back: bool) -> None:
        """Hold an engine to the policies of now, then put it in place.

        Raises:
            BundleError: something that is in use would be lost.
        """
        while True:
            policies = self._engine.policies
            candidate = await self._bundle_worker.run(self._compare, new, policies, accept_losses)
            if self._engine.policies is policies:  # a reload may have come between
                break
        before, released = self._engine, self._previous
        self._engine, self._previous = candidate, before  # the swap
        self._proved = None
        if not back and released is not None:
            held: list[object] = [released]
            del released
            self._bundle_worker.drop(held)
        status = self._bundle_status
        self._bundle_status = replace(
            status, folder=str(new.catalogue.bundle.path), loaded_at=time.time(), swaps=status.swaps + 1,
            previous=before.bundle_id, error=None,
        )  # fmt: skip
        self._listener.swapped(self._engine, before, trigger, time.perf_counter() - began, back=back)

    def _compare(self, new: Engine, policies: PolicySet | None, accept_losses: bool) -> Engine:
        """On the worker thread: the engine under the policies of now, warm."""
        with _refusing(new.catalogue.bundle.path):
            if not accept_losses:
                refuse_losses(self._engine, new, policies or PolicySet())
            candidate = replace(new, policies=policies)
            candidate.warm_policies()
            self._listener.compiled(candidate)
        return candidate

    def _refuse(self, path: str, error: TillerError, trigger: Trigger, began: float) -> Swap:
        status = self._bundle_status
        self._bundle_status = replace(status, refusals=status.refusals + 1, error=error)
        self._listener.bundle_refused(path, error, trigger)
        return Swap("refused", self._engine.bundle_id, time.perf_counter() - began, error)

    def _prove(self, policies: PolicySet) -> None:
        candidate = self._proved = replace(self._engine, policies=policies)
        candidate.warm_policies()
        self._listener.compiled(candidate)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Whatever is wrong with a bundle, or with us: it is a refusal, and the one in force serves on."""
    try:
        yield
    except TillerError:
        raise
    except Exception as error:
        raise BundleError(f"bundle {path} cannot be served", found=f"{type(error).__name__}: {error}") from error
