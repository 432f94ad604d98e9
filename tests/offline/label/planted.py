"""Item codes whose concepts are known: a concept is two latents of its own; 3 % of its labels are missing."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from bundle import Activation, SaeWeights, SparseCodes, TowerWeights

NAMES = ("Horror", "Comedy", "Western")
RATES = (0.3, 0.2, 0.08)
LATENTS, DIM = 24, 16


@dataclass(frozen=True)
class World:
    codes: SparseCodes
    vectors: np.ndarray  # [N, D]
    sae: SaeWeights
    members: np.ndarray  # [C, N], the truth
    labels: np.ndarray  # [C, N], what the metadata says
    items: pa.Table


def make(items: int = 600, seed: int = 0) -> World:
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(LATENTS, DIM)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    members = rng.random((len(NAMES), items)) < np.array(RATES)[:, None]
    dense = np.zeros((items, LATENTS), np.float32)
    for concept in range(len(NAMES)):
        own = rng.integers(2 * concept, 2 * concept + 2, items)
        rows = np.flatnonzero(members[concept])
        dense[rows, own[rows]] = rng.uniform(0.5, 1.5, len(rows))
    others = rng.integers(2 * len(NAMES), LATENTS, items)
    dense[np.arange(items), others] = rng.uniform(0.2, 1.0, items)
    labels = members ^ (rng.random(members.shape) < 0.03 * members)
    vectors = (dense @ directions + rng.normal(scale=0.02, size=(items, DIM))).astype(np.float32)
    tower = TowerWeights(
        np.ascontiguousarray(directions.T),
        np.zeros(LATENTS, np.float32),
        directions,
        np.zeros(DIM, np.float32),
        np.zeros(DIM, np.float32),
        Activation("topk", k=4),
    )
    table = pa.table(
        {
            "item_id": [f"i{n}" for n in range(items)],
            "title": [f"Film {n}" for n in range(items)],
            "genre": [[NAMES[c] for c in range(len(NAMES)) if labels[c, n]] for n in range(items)],
            "colour": rng.choice(["red", "green", "blue"], items),
        }
    )
    return World(SparseCodes.from_dense(dense), vectors, SaeWeights(tower, tower, False), members, labels, table)
