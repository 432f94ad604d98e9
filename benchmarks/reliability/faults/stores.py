"""A user store that dies, hangs and comes back, again and again, under a server that looks its users up there.

What must hold, as docs/decisions/026 states it: a user whom the bundle knows is served all the while; one whom only
the store knows gets UNAVAILABLE while it is away, never a wrong list, and is served again when it is back.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import redis

from benchmarks.reliability.ground import serving
from benchmarks.reliability.pulse import Pulse, first_user
from bundle import load_bundle
from cli.bench.catalogue import write_catalogue
from server.users import encode, key, space_of

STRANGER = "only-in-the-store"
BACK_SECONDS = 30.0
"""Within these a store that is back must be in use again."""

ALLOWED = {"UNAVAILABLE"}


def gone(folder: Path, trials: int, rng: random.Random) -> dict[str, Any]:
    """Every other time it is killed and started again, every other time it stops answering and goes on."""
    bundle = folder / "bundle"
    write_catalogue(bundle, 2_000)
    known = first_user(bundle)
    kills = hangs = wrong = 0
    back: list[float] = []
    with _store(folder) as store:
        store.fill(bundle, known)
        flags = ("--users", "redis", "--redis-url", store.url)
        with (
            serving(bundle, *flags) as served,
            Pulse(served.grpc, known) as insider,
            Pulse(served.grpc, STRANGER) as outsider,
        ):
            time.sleep(0.5)
            wrong += bool(outsider.figures()["failures"])
            for trial in range(trials):
                if trial % 2:
                    hangs += 1
                    store.child.send_signal(signal.SIGSTOP)
                else:
                    kills += 1
                    store.child.kill()
                    store.child.wait()
                time.sleep(rng.uniform(0.1, 1.0))
                if trial % 2:
                    store.child.send_signal(signal.SIGCONT)
                else:
                    store.start()
                    store.fill(bundle, known)
                back.append(_answered_again(outsider))
            inside, outside = insider.figures(), outsider.figures()
            alive = served.alive()
    wrong += (not alive) + bool(inside["failures"]) + bool(set(outside["failures"]) - ALLOWED)
    wrong += (inside["lists"] != 1) + (outside["lists"] != 1) + sum(seconds > BACK_SECONDS for seconds in back)
    return {"kills": kills, "hangs": hangs, "known_to_the_bundle": inside, "only_in_the_store": outside,
            "slowest_back_s": round(max(back, default=0.0), 2), "wrong": wrong}  # fmt: skip


def _answered_again(pulse: Pulse) -> float:
    """Seconds until one more of its calls is answered."""
    before, began = pulse.figures()["answers"], time.monotonic()
    while pulse.figures()["answers"] == before and time.monotonic() < began + BACK_SECONDS + 1:
        time.sleep(0.01)
    return time.monotonic() - began


class _Store:
    """A Redis without persistence on a unix socket."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "redis.sock"
        self.url = f"unix://{self._socket}"
        self.start()

    def start(self) -> None:
        """Start it; it answers when this returns."""
        self.child = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", str(self._socket), "--save", "", "--appendonly", "no",
             "--dir", str(self._socket.parent)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while True:
            if self.child.poll() is not None:
                raise RuntimeError("redis-server ended by itself")
            try:
                with redis.Redis.from_url(self.url) as client:
                    client.ping()
                return
            except redis.ConnectionError:
                time.sleep(0.01)

    def fill(self, bundle: Path, known: str) -> None:
        """Put the known user's own vector there, and an item's as the stranger's."""
        loaded = load_bundle(bundle)
        contents, space = loaded.contents, space_of(loaded.manifest)
        assert contents.user_vectors is not None
        vectors = {known: contents.user_vectors[0], STRANGER: contents.item_vectors[7]}
        with redis.Redis.from_url(self.url) as client:
            for user, vector in vectors.items():
                client.set(key("tiller:user", space, user), encode(np.asarray(vector, np.float32)))


@contextmanager
def _store(folder: Path) -> Iterator[_Store]:
    if shutil.which("redis-server") is None:
        raise RuntimeError("this fault needs redis-server: apt-get install redis-server")
    store = _Store(folder)
    try:
        yield store
    finally:
        store.child.kill()
        store.child.wait()
