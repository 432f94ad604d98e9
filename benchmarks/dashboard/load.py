"""A small day in the life of a server: callers of several surfaces, with and without rules, and users who change.

Halfway through, the vectors that callers bring are those of another population: rotated, as after a retraining of the
user tower alone.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from client import TillerClient, demote, filter_out, promote
from client.errors import TillerRpcError

Users = npt.NDArray[np.float32]


def drive(address: str, ids: list[str], vectors: Users, concepts: list[str], *, seconds: float, rate: float) -> int:
    """About ``rate`` calls a second for ``seconds`` from two threads, open loop; how many calls were made."""
    rng = np.random.default_rng(0)
    turned, _ = np.linalg.qr(rng.normal(size=(vectors.shape[1], vectors.shape[1])))
    strange = (vectors @ turned).astype(np.float32)
    made = [0, 0]
    began = time.monotonic()

    def run(number: int) -> None:
        draw = random.Random(number)
        with TillerClient(address) as client:
            due = 0.0
            while (now := time.monotonic() - began) < seconds:
                if now < due:
                    time.sleep(due - now)
                wave = 1 + 0.5 * np.sin(2 * np.pi * due / (seconds / 2))
                due += draw.expovariate(rate * wave / 2)
                call = _call(client, draw, ids, vectors if now < seconds / 2 else strange, concepts)
                with suppress(TillerRpcError):  # a mistake of a caller is part of the day
                    call()
                made[number] += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(made)


def _call(
    client: TillerClient, draw: random.Random, ids: list[str], vectors: Users, concepts: list[str]
) -> Callable[[], object]:
    user, kind = draw.choice(ids), draw.random()
    if kind < 0.3:
        return lambda: client.recommend(user_id=user, attributes={"surface": draw.choice(["kids", "home", "search"])})
    if kind < 0.55:
        one, two = draw.sample(concepts, 2)
        return lambda: client.recommend(user_id=user, rules=[promote(one, 0.5), demote(two, 0.7)])
    if kind < 0.65:
        return lambda: client.recommend(user_id=user, k=20, rules=[filter_out(draw.choice(concepts))], explain=True)
    if kind < 0.95:
        vector = vectors[draw.randrange(len(vectors))].tolist()
        return lambda: client.recommend(embedding=vector, attributes={"surface": "home", "segment": "new"})
    if kind < 0.97:
        return lambda: client.recommend(user_id=user, rules=[demote("genre:nothing")])
    if kind < 0.99:
        rules = [filter_out(concept) for concept in concepts]
        return lambda: client.recommend(user_id=user, k=500, rules=rules)
    return lambda: client.concepts(query="western")
