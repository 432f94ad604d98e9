"""What a unit of a direction does on the query channel where a network scores; see offline.label.effects for a metric.

A network is not linear, so the effect is a mean over users and a small step: with ``m = a @ W_dec`` (user tower) and
``h |m|`` a tenth of the users' median norm,

    effect = E_u [ mean_{v in members} r_u(v) - mean_v r_u(v) ],   r_u(v) = (f(x_u + h m, v) - f(x_u - h m, v)) / 2h

which is exactly the metric's effect where f is an inner product. Legend: C directions, N items, U users, D, L.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle import SaeWeights, SparseCodes

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.integer[Any]]
Array = npt.NDArray[np.floating[Any]]
Scorer = Callable[[Array, Array], Array]
"""(users [B, D], items [n, D]) -> scores [B, n]; offline.onnx_scorer.OnnxScorer is one."""

STEP = 0.1
"""Of the users' median norm."""

USERS, ITEMS, MEMBERS = 64, 2048, 256
"""At most this many are sampled, of users, of items for the average, and of each direction's members."""


def network_direction_effects(
    direction: Array, members: BoolArray, *, items: Array, users: Array, sae: SaeWeights, score: Scorer, seed: int = 0
) -> FloatArray:
    """Effect of each direction [C, L] on its ``members`` [C, N], float32 [C]; 0 where it has none.

    ``items`` [N, D] and ``users`` [U, D] are embeddings.
    """
    rows = (np.flatnonzero(own) for own in members)
    return _effects(direction @ sae.user.w_dec, rows, items, users, score, seed=seed)


def network_latent_effects(
    codes: SparseCodes, *, items: Array, users: Array, sae: SaeWeights, score: Scorer, seed: int = 0
) -> FloatArray:
    """Effect of one unit of every latent on the items that activate it, float32 [L]; 0 where no item does."""
    rows = (codes.posting(latent)[0] for latent in range(codes.latents))
    return _effects(sae.user.w_dec, rows, items, users, score, seed=seed)


def _effects(
    moves: Array, members: Iterable[IntArray], items: Array, users: Array, score: Scorer, *, seed: int
) -> FloatArray:
    """``moves`` [C, D]: what one unit of each direction adds to an embedding; ``members``: item rows of each."""
    rng = np.random.default_rng(seed)
    users = users[_sample(rng, len(users), USERS)]
    average = items[_sample(rng, len(items), ITEMS)]
    reach = STEP * float(np.median(np.linalg.norm(users, axis=1)))
    out = np.zeros(len(moves), np.float32)
    for place, (move, own) in enumerate(zip(moves, members, strict=True)):
        length = float(np.linalg.norm(move))
        if not len(own) or not length or not reach:
            continue
        step = reach / length
        asked = np.concatenate([items[own[_sample(rng, len(own), MEMBERS)]], average])
        rise = (score(users + step * move, asked) - score(users - step * move, asked)).mean(0, dtype=np.float64)
        count = len(asked) - len(average)
        out[place] = (rise[:count].mean() - rise[count:].mean()) / (2 * step)
    return out


def _sample(rng: np.random.Generator, count: int, most: int) -> IntArray:
    return np.arange(count) if count <= most else np.sort(rng.permutation(count)[:most])
