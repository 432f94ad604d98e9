"""Looks the vectors of users up in a store, and says what happens where it has none or does not answer.

the store says             with --users-fallback bundle                      with refuse
vector                     that vector                                       that vector
no such key                the bundle's own vector, else NOT_FOUND           NOT_FOUND
a value that is none       the bundle's own vector, else DATA_LOSS           DATA_LOSS
nothing (late, gone, open) the bundle's own vector, else UNAVAILABLE         UNAVAILABLE
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from server.errors import SteeringError, StoredVectorRefused, UnknownUser, UserStoreDown
from server.steer import Engine
from server.types import FloatArray, Query
from server.users.breaker import Breaker, State
from server.users.layout import decode, key, space_of


class Outcome(StrEnum):
    """What became of one look-up of one user."""

    HIT = "hit"
    MISS = "miss"
    MALFORMED = "malformed"
    TIMEOUT = "timeout"
    ERROR = "error"
    OPEN = "open"


class UserStore(Protocol):
    """Values by key. It may fail in any way and take any time: who asks sets the limit."""

    async def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """The value of every key, None where there is none; in one round trip."""

    async def close(self) -> None:
        """Let the connections go."""


class Observer(Protocol):
    """Who counts; server.telemetry is one."""

    def looked_up(self, outcome: Outcome, users: int) -> None:
        """So many users were looked up and it came to this."""

    def asked_store(self, seconds: float) -> None:
        """A round trip to the store ended."""

    def fell_back(self, *, refused: bool) -> None:
        """A user got the bundle's own vector instead, or a refusal."""

    def breaker(self, state: State) -> None:
        """The breaker's new state."""


@dataclass(frozen=True)
class Found:
    """What became of the users of one call."""

    users: Mapping[str, FloatArray | SteeringError]

    def given(self, query: Query) -> Query:
        """The query with its user's vector; as it is where the bundle's own is to be used.

        Raises:
            SteeringError: the user is refused.
        """
        one = self.users.get(query.user_id) if query.user_id is not None else None
        if isinstance(one, SteeringError):
            raise one
        return query if one is None else replace(query, vector=one)


NOBODY = Found({})
"""Where nothing was looked up."""


class Users:
    """Asks ``store`` for at most ``timeout`` seconds, through ``breaker``."""

    def __init__(
        self, store: UserStore, breaker: Breaker, observer: Observer, *, timeout: float, prefix: str,
        space: str | None, fall_back: bool,
    ) -> None:  # fmt: skip
        self._store = store
        self._breaker = breaker
        self._observer = observer
        self._timeout = timeout
        self._prefix = prefix
        self._space = space
        self._fall_back = fall_back
        observer.breaker(breaker.state)

    async def look_up(self, user_ids: Iterable[str], engine: Engine) -> Found:
        """The vectors of these users (empty ids are nobody's), for the bundle of ``engine``, in one round trip."""
        ids = list(dict.fromkeys(filter(None, user_ids)))
        if not ids:
            return NOBODY
        manifest = engine.catalogue.bundle.manifest
        space = self._space or space_of(manifest)
        values = await self._ask([key(self._prefix, space, user_id) for user_id in ids])
        found: dict[str, FloatArray | SteeringError] = {}
        for place, user_id in enumerate(ids):
            value: FloatArray | str | Outcome
            if isinstance(values, Outcome):
                value = values
            else:
                raw = values[place]
                value = Outcome.MISS if raw is None else decode(raw, manifest.dims.embedding)
            one = self._judged(user_id, value, engine)
            if one is not None:
                found[user_id] = one
        return Found(found)

    def _judged(
        self, user_id: str, value: FloatArray | str | Outcome, engine: Engine
    ) -> FloatArray | SteeringError | None:
        """The vector, a refusal, or None for the bundle's own."""
        if not isinstance(value, str):  # an Outcome is a str too
            self._observer.looked_up(Outcome.HIT, 1)
            return value
        outcome = value if isinstance(value, Outcome) else Outcome.MALFORMED
        self._observer.looked_up(outcome, 1)
        if self._fall_back and (outcome is Outcome.MISS or engine.catalogue.has_user(user_id)):
            # For a miss the bundle's own refusal is the better one: it names the nearest user.
            self._observer.fell_back(refused=not engine.catalogue.has_user(user_id))
            return None
        self._observer.fell_back(refused=True)
        if outcome is Outcome.MISS:
            return UnknownUser(
                "unknown user",
                field="user_id",
                found=repr(user_id),
                hint="The user store has none. Send the embedding.",
            )
        if outcome is Outcome.MALFORMED:
            return StoredVectorRefused(
                f"what the user store has for {user_id!r} is no vector", field="user_id", found=value,
                hint="Fill it again: tiller users load.",
            )  # fmt: skip
        return UserStoreDown(
            "the user store does not answer",
            field="user_id",
            found=outcome.value,
            hint="Send the embedding, or try again.",
        )

    async def _ask(self, keys: Sequence[str]) -> list[bytes | None] | Outcome:
        if not self._breaker.lets_through():
            return Outcome.OPEN
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                values = await self._store.get(keys)
        except asyncio.CancelledError:
            self._breaker.given_up()
            raise
        except Exception as error:  # a client has many kinds of failure, and none may reach the caller
            self._breaker.failed()
            return Outcome.TIMEOUT if _late(error) else Outcome.ERROR
        finally:
            self._observer.asked_store(time.perf_counter() - began)
        self._breaker.succeeded()
        return values


def _late(error: BaseException) -> bool:
    """Time limits: ours, or the client's own, which wraps it under the same name."""
    return isinstance(error, TimeoutError) or type(error).__name__ == "TimeoutError"
