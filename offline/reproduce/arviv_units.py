"""What is measured of one SAE of one recommender, in the experiments of Arviv et al. 2025.

Every function makes the plain data of one unit. Legend: U users, N items, L latents, C concepts, K depth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle import SaeWeights, SparseCodes
from offline.evaluate.methods import Direction
from offline.evaluate.panel import incidence
from offline.label.purity import best_latents, measure_purity, purity_table, top_items
from offline.reproduce.config import DEPTHS, Plan
from offline.reproduce.monosemanticity import TOP_OF_THE_PAPER, chance, monosemanticity
from offline.reproduce.neurons import decade_histogram, decades, mean_activation, popularity_neurons
from offline.reproduce.panels import able_users, panel_of, sample
from offline.reproduce.promotion import audiences
from offline.reproduce.quality import Judge, fidelity, tag_vectors
from offline.reproduce.ranker import Ranker
from offline.reproduce.ways import DOSES, ListsAt, Ways, full_demotion, reach, response
from offline.reproduce.worlds import World
from sae.metrics import measure

FIRST = {"ml-1m": ("Horror", "Action", "Sci-Fi", "Children's"), "lastfm": ("electronic", "metal", "pop", "jazz")}
"""Concepts steered first: those with published figures."""

LARGEST_CONCEPTS = 18
"""Mean activations are pictured over so many."""

SUPPRESS_LEFT, PROMOTE_SHARE = 0.1, 0.5
FANS_LEFT = 0.02


def item_codes(weights: SaeWeights, items: npt.NDArray[np.float32]) -> SparseCodes:
    """Codes of all items."""
    return SparseCodes.from_dense(weights.encode(items, "item"))


def measured(weights: SaeWeights, ranker: Ranker, world: World, plan: Plan, seed: int) -> dict[str, Any]:
    """Reconstruction, fidelity, purity of every concept, monosemanticity, popularity and decade neurons."""
    embeddings = ranker.trained.embeddings
    codes = item_codes(weights, embeddings.items)
    dense, tags = codes.dense(), tag_vectors(world.members)
    independent = monosemanticity(dense, tags)
    circular = monosemanticity(dense, embeddings.items, TOP_OF_THE_PAPER)
    names, members = decades(world.years)
    return {
        "sae": {
            "latents": weights.latents,
            "dim": weights.dim,
            **measure(weights, embeddings.users, embeddings.items),
        },
        "fidelity": fidelity(ranker, weights, sample(world, ranker, plan, plan.fidelity_users, seed)),
        "purity": purity(codes, world.names, world.members, plan.halvings, seed),
        "monosemanticity": {
            "independent": float(np.nanmean(independent)) if np.isfinite(independent).any() else None,
            "chance": chance(tags),
            "circular": float(np.nanmean(circular)) if np.isfinite(circular).any() else None,
            "circular_chance": chance(embeddings.items),
        },
        "popularity": popularity_neurons(codes, world.popularity, DEPTHS, halvings=plan.halvings, seed=seed),
        "decades": purity(codes, names, members, plan.halvings, seed),
    }


def purity(
    codes: SparseCodes, names: Sequence[str], members: npt.NDArray[np.bool_], halvings: int, seed: int
) -> dict[str, Any]:
    """Purity of every concept's best latent, and the means over the concepts.

    A concept: ``name``, ``items``, ``base_rate`` and per depth ``all_items`` (chosen and scored on all), ``attainable``
    (its maximum), ``held_out`` (chosen on half A, scored on half B) and ``attainable_half``.
    """
    rows: list[dict[str, Any]] = []
    for name, own, entries in zip(
        names, members, measure_purity(codes, members, DEPTHS, halvings=halvings, seed=seed), strict=True
    ):
        rows.append(
            {
                "name": name,
                "items": int(own.sum()),
                "base_rate": float(own.mean()),
                "at": {
                    str(entry.k): {
                        "all_items": entry.all_items,
                        "attainable": min(1.0, own.sum() / entry.k),
                        "held_out": entry.value,
                        "attainable_half": entry.attainable,
                    }
                    for entry in entries
                },
            }
        )
    keys = ("all_items", "attainable", "held_out", "attainable_half")
    mean = {
        str(k): {key: float(np.mean([row["at"][str(k)][key] for row in rows])) if rows else None for key in keys}
        for k in DEPTHS
    }
    return {"concepts": rows, "mean": mean}


def pictured(weights: SaeWeights, ranker: Ranker, world: World) -> dict[str, Any]:
    """Mean activations over genres, and what years the decade neurons fire on."""
    items = ranker.trained.embeddings.items
    codes = item_codes(weights, items)
    largest = np.sort(np.argsort(-world.members.sum(1), kind="stable")[:LARGEST_CONCEPTS])
    members = world.members[largest]
    names = [world.names[n] for n in largest]
    table = mean_activation(codes.dense(), members)
    best = best_latents(purity_table(members, top_items(codes, max(DEPTHS)), DEPTHS))[1]
    shown = [names.index(name) for name in FIRST.get(world.name, ()) if name in names][:2] or list(range(len(names)))[
        :2
    ]
    titles = world.dataset.items["title"].to_pylist()
    top = top_items(codes, 10)
    out: dict[str, Any] = {
        "concepts": names,
        "genres": [{"concept": names[c], "latent": int(best[c]), "activation": table[c].tolist()} for c in shown],
        "neurons": [
            {
                "latent": int(best[c]),
                "named": names[c],
                "activation": table[:, best[c]].tolist(),
                "items": [titles[item] for item in top[best[c]] if item >= 0],
            }
            for c in shown
        ],
    }
    spans, inside = decades(world.years)
    if spans:
        strongest = top_items(codes, max(DEPTHS))
        chosen = best_latents(purity_table(inside, strongest, DEPTHS))[2]
        out["decades"] = {
            "catalogue": decade_histogram(world.years, np.arange(world.items)),
            "neurons": [
                {"decade": span, "latent": int(j), "years": decade_histogram(world.years, strongest[j])}
                for span, j in zip(spans, chosen, strict=True)
            ],
        }
    return out


def steered(weights: SaeWeights, ranker: Ranker, world: World, plan: Plan, *, name: str, seed: int) -> dict[str, Any]:
    """Suppression and promotion of one concept: dose-response of every way, doses for equal effect, and its fans."""
    members = world.concept(name)
    codes = item_codes(weights, ranker.trained.embeddings.items)
    panel = sample(world, ranker, plan, plan.steering_users, seed)
    ways = Ways(ranker, weights, codes, panel, world.split.train)
    tags = tag_vectors(world.members)
    judge = Judge(panel, ways.base.lists, tags, world.popularity)
    before = judge(ways.base.lists, members)
    out: dict[str, Any] = {"concept": name, "items": int(members.sum()), "users": len(panel.users), "base": before}
    start = float(before["share"] or 0)
    targets: dict[Direction, float] = {"suppress": SUPPRESS_LEFT * start, "promote": PROMOTE_SHARE}
    for direction, target in targets.items():
        lists = ways.of(members, direction)
        out[direction] = response(lists, judge, members, DOSES)
        out[f"{direction}_reached"] = {
            way: reach(at, judge, members, target, direction) if start > 0 else None for way, at in lists.items()
        }
    served = ways.of(members, "suppress")
    full = {name: full_demotion(served[name], members) for name in ("item", "item_codes")}
    out["fans"] = fans(weights, ranker, codes, world, members=members, plan=plan, full=full)
    return out


def fans(
    weights: SaeWeights,
    ranker: Ranker,
    codes: SparseCodes,
    world: World,
    *,
    members: npt.NDArray[np.bool_],
    plan: Plan,
    full: Mapping[str, float],
) -> dict[str, Any]:
    """What is left of a concept for the users whose history holds most of it, whose lists it fills.

    ``zeroed``: the papers' suppression (latent at zero, residual dropped); ``served``, ``served_codes``: the item
    channel at strength -1 (``full``: the dial's dose, found on the sampled users), with and without the label;
    ``nearly_none``: the item channel at the smallest dose that leaves ``FANS_LEFT`` of the share (None: no dose does).
    """
    able = able_users(world)
    seen = incidence(world.split.train, world.users, world.items)[able]
    rows, _ = audiences(seen, (members, np.zeros_like(members)), plan.audience)
    keen = able[rows]
    panel = panel_of(world, keen)
    ways = Ways(ranker, weights, codes, panel, world.split.train)
    lists = ways.of(members, "suppress")
    judge = Judge(panel, ways.base.lists, tag_vectors(world.members), world.popularity)
    asked: dict[str, tuple[ListsAt, float]] = {
        "zeroed": (lists["papers"], 0.0),
        "served": (lists["item"], full["item"]),
        "served_codes": (lists["item_codes"], full["item_codes"]),
    }
    start = float(judge(ways.base.lists, members)["share"] or 0)
    return {
        "users": len(keen),
        "base_share": start,
        "nearly_none": reach(lists["item"], judge, members, FANS_LEFT * start, "suppress"),
        **{name: judge(at(amount), members) for name, (at, amount) in asked.items()},
    }
