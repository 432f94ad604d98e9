"""What it is to be one of several workers; server.workers looks after them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection

from bundle.errors import BundleError
from server.reload import Result, Served, Swap, Trigger
from server.settings import Settings


@dataclass(frozen=True)
class Place:
    """What a worker is told. ``restarts``: of workers, not counted yet; ``metrics``: where the supervisor shows all."""

    number: int
    settings: Settings
    restarts: int
    metrics: str
    ready: Connection
    """Gets the worker's addresses, as a dictionary, once it serves."""


@contextmanager
def orphaned() -> Iterator[None]:
    """In a worker, while the block lasts: when the supervisor is gone, drain as if it had said so."""
    parent = parent_process()
    assert parent is not None
    loop = asyncio.get_running_loop()

    def drain() -> None:
        loop.remove_reader(parent.sentinel)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(parent.sentinel, drain)
    try:
        yield
    finally:
        loop.remove_reader(parent.sentinel)


class SharedServed(Served):
    """What one of several workers serves: what a person has it take, the others take too, or none does."""

    async def reload(self, trigger: Trigger) -> Result:
        """As Served; what the admin service loaded, all are told to load."""
        result = await super().reload(trigger)
        if trigger == "admin" and result.outcome == "loaded":
            os.kill(os.getppid(), signal.SIGHUP)
        return result

    async def use(self, given: str, *, accept_losses: bool = False) -> Swap:  # noqa: ARG002
        """Refused: the others would stay where they are."""
        return self._of_one("another bundle for one of them", "tiller bundle use BUNDLE --link LINK")

    async def rollback(self, *, accept_losses: bool = False) -> Swap:  # noqa: ARG002
        """Refused: the others would stay where they are."""
        return self._of_one("a rollback of one of them", "tiller bundle rollback --link LINK")

    def _of_one(self, found: str, instead: str) -> Swap:
        error = BundleError(
            "this server has several workers", found=found,
            hint=f"Move the link that --bundle names, every worker follows it: {instead}",
        )  # fmt: skip
        return Swap("refused", self.current().bundle_id, 0.0, error)
