"""A planted sparse dictionary: rows are sums of a few unit directions, so the truth an SAE should find is known."""

from typing import NamedTuple

import numpy as np


class Planted(NamedTuple):
    items: np.ndarray
    users: np.ndarray
    directions: np.ndarray
    item_codes: np.ndarray
    user_codes: np.ndarray


def plant(*, dim=24, directions=40, n_items=900, n_users=1200, active=3, noise=0.02, seed=0):
    """``active`` of ``directions`` per row, each with a strength in [.5, 1.5], plus a little noise."""
    rng = np.random.default_rng(seed)
    basis = rng.normal(size=(directions, dim))
    basis /= np.linalg.norm(basis, axis=1, keepdims=True)

    def side(count):
        codes = np.zeros((count, directions))
        for row in codes:
            row[rng.choice(directions, active, replace=False)] = rng.uniform(0.5, 1.5, active)
        return (codes @ basis + noise * rng.normal(size=(count, dim))).astype(np.float32), codes

    items, item_codes = side(n_items)
    users, user_codes = side(n_users)
    return Planted(items, users, basis.astype(np.float32), item_codes, user_codes)
