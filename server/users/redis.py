"""Redis as a store of user vectors. The only module that knows its client; installed by ``tiller[redis]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from bundle.errors import TillerError

CONNECTIONS = 64
"""At most; who finds none free waits within its time limit."""


class RedisStore:
    """A UserStore over one Redis server or replica. MGET of a batch needs its keys on one server: no Redis Cluster.

    Args:
        url: redis://, rediss:// or unix://.
        timeout: seconds to connect and to read.

    Raises:
        TillerError: the URL is none; the message does not repeat it, it may hold a password.
    """

    def __init__(self, url: str, timeout: float) -> None:
        try:
            pool = redis.BlockingConnectionPool.from_url(
                url, max_connections=CONNECTIONS, timeout=timeout, socket_timeout=timeout,
                socket_connect_timeout=timeout, protocol=2,
                # A connection that Redis closed while it was idle is found out by its first use: once more, at once.
                retry=Retry(NoBackoff(), 1),
            )  # fmt: skip
        except ValueError as error:
            raise TillerError(
                "--redis-url", expected="redis://HOST:PORT/DB, rediss://... or unix:///PATH",
                hint="A password belongs into the environment: TILLER_REDIS_URL.",
            ) from error  # fmt: skip
        self._redis = redis.Redis(connection_pool=pool)

    async def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """See UserStore."""
        found: list[Any] = await self._redis.mget(keys)  # bytes or None: nothing is decoded
        return found

    async def close(self) -> None:
        """See UserStore."""
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()
