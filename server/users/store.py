"""The store of user vectors that the settings ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bundle.errors import TillerError
from server.settings import Settings
from server.users.breaker import Breaker
from server.users.lookup import Observer, Users, UserStore


@asynccontextmanager
async def opened_users(settings: Settings, observer: Observer) -> AsyncIterator[Users | None]:
    """The look-up that the settings ask for, while the block lasts; None: the bundle's own vectors.

    A store that does not answer yet is no reason not to start: the fallback holds until it does.

    Raises:
        TillerError: its library is not installed, or its URL is none.
    """
    if settings.users == "bundle":
        yield None
        return
    try:
        from server.users.redis import RedisStore
    except ModuleNotFoundError as error:
        raise TillerError("--users redis needs the redis package", hint="pip install 'tiller[redis]'") from error
    store: UserStore = RedisStore(settings.redis_url.get_secret_value(), settings.redis_timeout_seconds)
    breaker = Breaker(settings.breaker_failures, settings.breaker_seconds, observer.breaker)
    try:
        yield Users(
            store, breaker, observer, timeout=settings.redis_timeout_seconds, prefix=settings.redis_prefix,
            space=settings.redis_space, fall_back=settings.users_fallback == "bundle",
        )  # fmt: skip
    finally:
        await store.close()
