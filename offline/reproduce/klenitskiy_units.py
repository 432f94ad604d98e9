"""What is measured of the SAEs of a sequential recommender, in the experiments of Klenitskiy et al. 2025.

Every function makes the plain data of one unit. Legend: U users, N items, P states, L latents, C genres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle import SaeWeights
from offline.evaluate.fidelity import ratio
from offline.evaluate.methods import Direction
from offline.evaluate.panel import BoolArray, Panel, best_lists
from offline.reproduce.arviv_units import PROMOTE_SHARE, SUPPRESS_LEFT, item_codes
from offline.reproduce.config import Plan
from offline.reproduce.hierarchy import children, describe, levels, prefix_variance, trend
from offline.reproduce.quality import AT, Judge, tag_vectors
from offline.reproduce.ranker import Ranker
from offline.reproduce.sequence import auc, compare, probe, rotations
from offline.reproduce.states import Layer, Raised, Sequences, States, reconstruct
from offline.reproduce.ways import DOSES, ListsAt, Ways, reach, response
from offline.reproduce.worlds import World
from sae.metrics import measure_side

FEWEST_ITEMS = 30
"""A genre of fewer items is not judged."""

TENTH = "tenth"
"""Name of the suppression target: a tenth of the share without steering."""

PUBLISHED_SHARES = (0.334, 0.533, 0.624)
"""Shares to which they promote Sci-Fi, from .189."""


@dataclass(frozen=True)
class Sample:
    """States to judge directions by: ``members`` bool [C, P], the genres of the item at each, ``halves`` by item."""

    states: States
    names: list[str]
    members: BoolArray
    halves: tuple[BoolArray, BoolArray]


def judged(sequences: Sequences, world: World, layer: Layer, plan: Plan, seed: int) -> Sample:
    """States of random users and positions with their genres; the halves have no item in common."""
    states = some_states(sequences, layer, plan.judged_states, seed + 1)
    rng = np.random.default_rng(seed)
    first = (rng.permutation(world.items) % 2 == 0)[states.items]
    # By the catalogue, not by the sample: the same genres for every seed.
    enough = np.flatnonzero(world.members.sum(1) >= FEWEST_ITEMS)
    members = world.members[enough][:, states.items]
    return Sample(states, [world.names[n] for n in enough], members, (first, ~first))


def some_states(sequences: Sequences, layer: Layer, count: int, seed: int) -> States:
    """About ``count`` states, the same number of every user."""
    lengths = np.minimum(sequences.histories.lengths(), sequences.tower.length)
    users = np.flatnonzero(lengths)
    per_user = int(np.clip(np.ceil(count / len(users)), 1, sequences.tower.length))
    rng = np.random.default_rng(seed)
    order = rng.permutation(users)
    kept = order[: int(np.searchsorted(np.cumsum(np.minimum(lengths[order], per_user)), count)) + 1]
    return sequences.states(layer, np.sort(kept), per_user, seed)


def raw(sample: Sample, count: int, seed: int) -> dict[str, Any]:
    """Raw dimensions, rotations of the raw space (``count`` candidates) and the linear probe."""
    states = sample.states.vectors
    kinds = {"raw": states, "rotated": rotations(states, count, seed)}
    figures: dict[str, Any] = compare(kinds, sample.members, sample.halves)
    figures["probe"] = probe(states, sample.members, sample.halves)
    return {"genres": sample.names, "candidates": {"raw": states.shape[1], "rotated": count}, "figures": figures}


def directions(weights: SaeWeights, sample: Sample, side: str = "item") -> dict[str, Any]:
    """The latents of an SAE, as candidates."""
    code = weights.encode(sample.states.vectors, "user" if side == "user" else "item")
    alive = code[:, (code > 0).any(0)]
    figures = compare({"latents": alive}, sample.members, sample.halves)
    return {"genres": sample.names, "candidates": {"latents": alive.shape[1]}, "figures": figures}


def measured(
    weights: SaeWeights, sequences: Sequences, ranker: Ranker, panel: Panel, *, sample: Sample, layer: Layer
) -> dict[str, Any]:
    """Explained variance, L0 and dead share on the judged states, and what the reconstruction costs in NDCG."""
    facts = measure_side(weights, sample.states.vectors, "item")
    base = _ndcg(ranker, panel, ranker.trained.embeddings.users[panel.users])
    made = _ndcg(ranker, panel, sequences.users(panel.users, layer, reconstruct(weights)))
    return {
        "latents": weights.latents,
        "explained_variance": facts.explained_variance,
        "l0": facts.l0,
        "dead_share": float((facts.uses == 0).mean()),
        "ndcg": base,
        "ndcg_kept": ratio(made, base),
        "users": len(panel.users),
    }


def judged_sae(
    weights: SaeWeights, sequences: Sequences, ranker: Ranker, panel: Panel, *, sample: Sample, layer: Layer
) -> dict[str, Any]:
    """``measured`` and ``directions`` of an SAE of states."""
    return measured(weights, sequences, ranker, panel, sample=sample, layer=layer) | directions(weights, sample)


def steered(
    weights: SaeWeights,
    block: SaeWeights,
    sequences: Sequences,
    ranker: Ranker,
    *,
    world: World,
    panel: Panel,
    sample: Sample,
    name: str,
) -> dict[str, Any]:
    """The steering table of one genre: every way at every dose, and at the published shares.

    ``weights``: the SAE of item vectors and final states; ``block``: their SAE after block 0, ``sample`` its states.
    """
    members = world.concept(name)
    ways = Ways(ranker, weights, item_codes(weights, ranker.trained.embeddings.items), panel, world.split.train)
    judge = Judge(panel, ways.base.lists, tag_vectors(world.members), world.popularity)
    before = judge(ways.base.lists, members)
    start = float(before["share"] or 0)
    out: dict[str, Any] = {"concept": name, "items": int(members.sum()), "users": len(panel.users), "base": before}
    targets: dict[Direction, tuple[float, ...]] = {
        "suppress": (SUPPRESS_LEFT * start,),
        "promote": tuple(sorted((PROMOTE_SHARE, *PUBLISHED_SHARES))),
    }
    for direction, wanted in targets.items():
        lists = ways.of(members, direction)
        lists["block"] = after_block(block, sequences, ranker, panel, sample=sample, name=name, direction=direction)
        out[direction] = response(lists, judge, members, DOSES)
        out[f"{direction}_reached"] = {
            (f"{target:.3f}" if direction == "promote" else TENTH): {
                way: reach(at, judge, members, target, direction) for way, at in lists.items()
            }
            for target in wanted
        }
    return out


def after_block(
    block: SaeWeights,
    sequences: Sequences,
    ranker: Ranker,
    panel: Panel,
    *,
    sample: Sample,
    name: str,
    direction: Direction,
) -> ListsAt:
    """Their way: the genre's best latent after block 0 raised (lowered) at every position, residual dropped."""
    code = block.encode(sample.states.vectors, "item")
    latent = int(auc(code, sample.members[[sample.names.index(name)]])[0].argmax())
    unit = float(np.quantile(code[:, latent][code[:, latent] > 0], 0.9))
    sign = -1 if direction == "suppress" else 1
    raised = Raised(sequences, panel.users, block, latent)

    @cache
    def lists(dose: float) -> npt.NDArray[np.intp]:
        return best_lists(panel.masked(ranker(raised.users(sign * dose * unit))), AT)

    return lists


def hierarchy(
    weights: SaeWeights, items: npt.NDArray[np.float32], world: World, prefixes: tuple[int, ...]
) -> dict[str, Any]:
    """Levels of a nested SAE (or of one that is not nested, cut at the same places)."""
    codes = item_codes(weights, items)
    rows = describe(codes, world.members, world.names)
    return {
        "prefixes": list(prefixes),
        "variance": prefix_variance(weights, items, prefixes),
        "levels": levels(rows, prefixes),
        "trend": trend(rows, prefixes),
        "latents": rows,
        "children": children(codes, rows, prefixes, parents=6, each=4),
    }


def _ndcg(ranker: Ranker, panel: Panel, users: npt.NDArray[np.float32]) -> float | None:
    ndcg = panel.ndcg(best_lists(panel.masked(ranker(users)), AT))
    return None if ndcg is None else float(ndcg.mean())
