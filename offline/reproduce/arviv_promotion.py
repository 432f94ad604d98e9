"""The unit of targeted item promotion in the experiments of Arviv et al. 2025: items to disjoint audiences."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle import SaeWeights, SparseCodes
from offline.evaluate.latents import best_latent
from offline.evaluate.panel import incidence
from offline.reproduce.config import Plan
from offline.reproduce.neurons import percentiles
from offline.reproduce.panels import able_users, panel_of, panel_users
from offline.reproduce.promotion import WAYS, Stage, at_target, audiences, mean_rows, most_disjoint, promote
from offline.reproduce.ranker import Ranker
from offline.reproduce.worlds import World

DOSES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
LARGEST_CONCEPTS = 18
"""Audiences are those of two of so many largest concepts."""


def promoted(weights: SaeWeights, ranker: Ranker, world: World, plan: Plan, seed: int) -> dict[str, Any]:
    """Items promoted to two disjoint audiences, one after the other, with what it costs everyone else."""
    items = ranker.trained.embeddings.items
    codes = SparseCodes.from_dense(weights.encode(items, "item"))
    largest = np.argsort(-world.members.sum(1), kind="stable")[:LARGEST_CONCEPTS]
    able = able_users(world)
    seen = incidence(world.split.train, world.users, world.items)[able]
    a, b = (int(largest[n]) for n in most_disjoint(seen, world.members[largest], plan.audience))
    first, second = (able[part] for part in audiences(seen, (world.members[a], world.members[b]), plan.audience))
    rng = np.random.default_rng(seed)
    others = np.setdiff1d(able, np.concatenate([first, second]))
    room = panel_users(world, ranker, plan, plan.steering_users)
    users = np.concatenate([first, second, np.sort(rng.permutation(others)[:room])])
    stage = Stage.of(ranker, panel_of(world, users))
    rows = (np.arange(len(first)), len(first) + np.arange(len(second)))
    chosen = promotable(world, world.members[a] | world.members[b], plan.promoted_items, rng)
    titles = world.dataset.items["title"].to_pylist()
    directions: list[dict[str, Any]] = []
    scale = codes.latent_scale()
    for concept, target, other in ((a, *rows), (b, *rows[::-1])):
        latent = best_latent(codes, world.members[concept])
        entry: dict[str, Any] = {"toward": world.names[concept], "latent": latent}
        for way in WAYS:
            runs = [
                promote(
                    ranker,
                    weights,
                    stage,
                    int(item),
                    latent=latent,
                    unit=float(scale[latent]),
                    target=target,
                    other=other,
                    doses=DOSES,
                    way=way,
                )
                for item in chosen
            ]
            mean = mean_rows(runs)
            entry[way] = {"rows": mean, "at_half": at_target(mean, 0.5)}
        directions.append(entry)
    return {
        "audiences": [world.names[a], world.names[b]],
        "users": [len(first), len(second), len(users) - len(first) - len(second)],
        "items": [titles[item] for item in chosen],
        "directions": directions,
    }


def promotable(
    world: World, taken: npt.NDArray[np.bool_], count: int, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Items of middling popularity (half to nine tenths of the items are less popular) outside the concepts."""
    share = percentiles(world.popularity)
    able = np.flatnonzero((share >= 0.5) & (share <= 0.9) & ~taken & world.members.any(0))
    return np.sort(rng.permutation(able)[:count])
