"""A world in which users of four groups take items of their own group, the first of a group most often."""

from __future__ import annotations

import numpy as np

from offline.datasets.types import Interactions

N_USERS, N_ITEMS, GROUPS = 80, 120, 4


def planted(seed: int = 0, per_user: int = 8) -> Interactions:
    rng = np.random.default_rng(seed)
    size = N_ITEMS // GROUPS
    weight = 1 / np.arange(1, size + 1)
    user: list[int] = []
    item: list[int] = []
    for row in range(N_USERS):
        taken = rng.choice(size, per_user, replace=False, p=weight / weight.sum())
        user += [row] * per_user
        item += (taken * GROUPS + row % GROUPS).tolist()
    count = len(user)
    return Interactions(
        np.array(user, np.int32), np.array(item, np.int32), np.arange(count), np.ones(count, np.float32)
    )
