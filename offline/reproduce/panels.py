"""Who is asked: panels of a world's users, sampled or given, all of whom have an NDCG. Legend: U users."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from offline.evaluate.panel import Panel, incidence
from offline.reproduce.config import Plan
from offline.reproduce.ranker import Ranker
from offline.reproduce.worlds import World


def panel_users(world: World, ranker: Ranker, plan: Plan, wanted: int) -> int:
    """Fewer where a network scores every pair."""
    return min(wanted, plan.network_pairs // world.items) if ranker.trained.scorer is not None else wanted


def sample(world: World, ranker: Ranker, plan: Plan, wanted: int, seed: int) -> Panel:
    """The panel of a world."""
    users = panel_users(world, ranker, plan, wanted)
    return Panel.sample(ranker.trained.embeddings, world.split.train, world.split.test, users, seed)


def able_users(world: World) -> npt.NDArray[np.intp]:
    """Users with at least one test item that they have not seen, ascending: only they have an NDCG."""
    seen, wanted = (incidence(part, world.users, world.items) for part in (world.split.train, world.split.test))
    fresh = wanted - wanted.multiply(seen)
    return np.flatnonzero(np.asarray(fresh.sum(axis=1)).ravel() > 0)


def panel_of(world: World, users: npt.NDArray[np.intp]) -> Panel:
    """A panel of the given users."""
    seen, relevant = (incidence(part, world.users, world.items) for part in (world.split.train, world.split.test))
    masked = seen[users].toarray() > 0
    return Panel(users, masked, (relevant[users].toarray() > 0) & ~masked)
