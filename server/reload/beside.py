"""Work on a thread beside an event loop that goes on answering calls."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import faiss

_T = TypeVar("_T")


class Worker:
    """One thread, started when it is first needed. FAISS uses one thread on it too."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(
            1, thread_name_prefix=name, initializer=faiss.omp_set_num_threads, initargs=(1,)
        )

    async def run(self, work: Callable[..., _T], *arguments: object) -> _T:
        """What ``work`` gives, or raises, on the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def drop(self, held: list[object]) -> None:
        """Free what ``held`` has, there: taking a catalogue of a million names apart holds a thread for a while."""
        self._pool.submit(held.clear)

    def close(self) -> None:
        """Let the thread end; what waits for it is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)


_lock = threading.Lock()
_inside = 0
_usual = sys.getswitchinterval()


@contextmanager
def giving_way() -> Iterator[None]:
    """Hand the interpreter over ten times as often as usual: what reads YAML or names is Python, and calls go on.

    Measured at 1,000 policies: a call waited up to 87 ms with the usual 5 ms, see docs/decisions/013.
    """
    global _inside, _usual  # noqa: PLW0603 - the interval is the process's, whoever is the first and the last inside
    with _lock:
        if not _inside:
            _usual = sys.getswitchinterval()
            sys.setswitchinterval(_usual / 10)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                sys.setswitchinterval(_usual)
