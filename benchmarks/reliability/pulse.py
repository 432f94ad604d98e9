"""A client that asks the same good question all the while: what did it notice?"""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from bundle import load_bundle
from protos.steering.v1 import recommend_pb2
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub

TIMEOUT_SECONDS = 30.0


class Pulse:
    """Asks from a thread of its own while the block lasts.

    Args:
        target: address of the server.
        user: who asks.
        seconds: between two questions.
    """

    def __init__(self, target: str, user: str, seconds: float = 0.01) -> None:
        self._request = recommend_pb2.RecommendRequest(user_id=user, k=10)
        self._target, self._seconds = target, seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="pulse")
        self._found: Counter[str] = Counter()
        self._took: list[float] = []
        self._lists: set[tuple[str, ...]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def figures(self) -> dict[str, Any]:
        """Answers, failures by code, different lists, and the slowest answer in seconds."""
        failures = {code: n for code, n in self._found.items() if code != "OK"}
        slowest = round(max(self._took, default=0.0), 3)
        return {
            "answers": self._found["OK"], "failures": failures, "lists": len(self._lists), "slowest_s": slowest
        }  # fmt: skip

    def _ask(self) -> None:
        with grpc.insecure_channel(self._target) as channel:
            stub = RecommendServiceStub(channel)
            while not self._over.wait(self._seconds):
                began = time.perf_counter()
                try:
                    answer = stub.Recommend(self._request, timeout=TIMEOUT_SECONDS)
                except grpc.RpcError as error:
                    self._found[error.code().name] += 1
                    continue
                self._found["OK"] += 1
                self._took.append(time.perf_counter() - began)
                self._lists.add(tuple(item.item_id for item in answer.items))


def first_user(bundle: Path) -> str:
    """Somebody whom the bundle knows."""
    return str((load_bundle(bundle).contents.user_ids or ("",))[0])
