"""A real Redis for tests, on a unix socket in a folder of its own, killed at the end."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import redis


@dataclass
class RedisServer:
    """``redis-server`` without persistence."""

    folder: Path
    arguments: tuple[str, ...] = ("--save", "", "--appendonly", "no")
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What --redis-url takes."""
        return f"unix://{self.folder}/redis.sock"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = ["redis-server", "--port", "0", "--unixsocket", str(self.folder / "redis.sock"),
                   "--dir", str(self.folder), *self.arguments]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            assert self._process.poll() is None, "redis-server ended"
            try:
                with self.client() as client:
                    client.ping()
                return
            except redis.ConnectionError:
                time.sleep(0.01)

    def kill(self) -> None:
        """As a machine that is gone: no farewell."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def client(self) -> redis.Redis:
        """A synchronous client."""
        return redis.Redis.from_url(self.url)


@contextmanager
def redis_server(*arguments: str) -> Iterator[RedisServer]:
    """A running Redis, without persistence if not told otherwise; the tests need the Debian package redis-server."""
    assert shutil.which("redis-server"), "these tests need redis-server: apt-get install redis-server"
    with TemporaryDirectory(prefix="tiller-redis-") as folder:  # short: a socket's path has at most 107 bytes
        server = RedisServer(Path(folder), *([arguments] if arguments else []))
        server.start()
        try:
            yield server
        finally:
            server.kill()
