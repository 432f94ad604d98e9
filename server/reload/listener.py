"""Who is told what becomes of the bundle and the policies; server.announce is one."""

from __future__ import annotations

from typing import Literal, Protocol

from bundle.errors import TillerError
from server.errors import PolicyError
from server.steer import Engine

Trigger = Literal["watch", "signal", "admin"]


class Listener(Protocol):
    """Called on the event loop, but for ``compiled``."""

    def compiled(self, engine: Engine) -> None:
        """Policies or a bundle about to come into force, with the engine that will hold them; on a worker thread."""

    def loaded(self, engine: Engine, previous: str, trigger: Trigger, seconds: float) -> None:
        """Another revision of the policies is in force."""

    def refused(self, error: PolicyError, trigger: Trigger) -> None:
        """What lies in the policy folder is refused; the last good revision stays in force."""

    def checked(self, *, stale: bool) -> None:
        """The policy folder was looked at; ``stale``: what lies there is not what is in force."""

    def swapped(self, engine: Engine, previous: Engine, trigger: Trigger, seconds: float, *, back: bool) -> None:
        """Another bundle is in force; ``back``: it is the one before."""

    def bundle_refused(self, path: str, error: TillerError, trigger: Trigger) -> None:
        """A bundle is refused; the one before serves on."""

    def unwatched(self, what: str, reason: str) -> None:
        """``what`` cannot be watched; it is still looked at every few seconds."""
