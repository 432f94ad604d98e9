"""The experiments of Klenitskiy et al. 2025: SASRec on ML-1M, SAEs after block 0 and on the final state, steering.

With them the hierarchy of nested SAEs, on Last.FM (the only data set here with many fine tags).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from offline.evaluate.panel import Panel
from offline.progress import Progress
from offline.recommenders.sasrec import SasRecTower
from offline.reproduce import klenitskiy_units as units
from offline.reproduce import models, recipes
from offline.reproduce.arviv import ranking
from offline.reproduce.config import Plan, ReproduceConfig
from offline.reproduce.panels import sample as sample_panel
from offline.reproduce.ranker import Ranker
from offline.reproduce.states import LAYERS, Layer, Sequences
from offline.reproduce.store import Store
from offline.reproduce.ways import READ_BY
from offline.reproduce.worlds import World, make_world, read

FIRST = ("Sci-Fi", "Horror", "Action", "Children's")
"""Genres steered first: the one with published figures leads."""

STEERING_K = 32
"""Their SAE is steered at this sparsity."""


def run(config: ReproduceConfig, plan: Plan, store: Store, ui: Progress) -> list[dict[str, Any]]:
    """A setting per seed: SASRec on ML-1M, and nested SAEs on Last.FM."""
    films = make_world(read(plan.datasets[0], config.data), "leave_last_out")
    music = make_world(read(plan.datasets[1], config.data), "leave_last_out")
    out = []
    for seed in config.all_seeds:
        out.append(_sequential(films, seed, config=config, plan=plan, store=store, ui=ui))
        out.append(_nested(music, seed, config=config, plan=plan, store=store, ui=ui))
    return out


def _sequential(
    world: World, seed: int, *, config: ReproduceConfig, plan: Plan, store: Store, ui: Progress
) -> dict[str, Any]:
    model = models.recommender(
        "sasrec", world, plan.recommenders["sasrec"], seed=seed, store=store, ui=ui, device=config.device
    )
    tower = model.trained.user_tower
    assert isinstance(tower, SasRecTower)
    sequences = Sequences(tower, world.split.train, world.users)
    ranker, unit = Ranker(model.trained, config.device), f"{world.key}.sasrec.seed{seed}"
    ui.stage(f"{unit}: ranking")
    out: dict[str, Any] = {
        "kind": "sequential",
        "dataset": world.name,
        "protocol": world.protocol,
        "recommender": "sasrec",
        "seed": seed,
        "model": {"seconds": model.seconds, "facts": model.trained.facts},
        "ranking": store.data(f"{unit}.ranking", {"model": model.fingerprint}, lambda: ranking(world, ranker)),
        "layers": [],
    }
    panel = sample_panel(world, ranker, plan, plan.fidelity_users * 3, seed)
    dim = tower.positions.shape[1]
    served = models.autoencoder(
        f"{unit}.tiller",
        recipes.tiller(
            dim, world.items, world.users, network=False, seed=seed, stage1=plan.stage1_steps, stage2=plan.stage2_steps
        ),
        model,
        world,
        store=store,
        ui=ui,
        device=config.device,
    )
    facts = {"model": model.fingerprint, "seed": seed, "judged": plan.judged_states}
    blocks: dict[int, models.Sae] = {}
    for layer in LAYERS:
        found, saes = _layer(
            layer,
            unit,
            world,
            sequences,
            ranker=ranker,
            model=model,
            served=served,
            panel=panel,
            facts=facts,
            seed=seed,
            config=config,
            plan=plan,
            store=store,
            ui=ui,
        )
        out["layers"].append(found)
        if layer == "block":
            blocks = saes
    block = blocks[STEERING_K if STEERING_K in blocks else max(blocks)]
    table = sample_panel(world, ranker, plan, plan.steering_users, seed)
    sample = units.judged(sequences, world, "block", plan, seed)
    names = [name for name in FIRST if name in sample.names]
    names += [name for name in sample.names if name not in names]
    ui.stage(f"{unit}: steering")
    out["steered"] = []
    for n, name in enumerate(names[: plan.steered]):
        asked = {
            "served": served.fingerprint,
            "block": block.fingerprint,
            "concept": name,
            "users": plan.steering_users,
        }
        out["steered"].append(
            store.data(
                f"{unit}.steered.{n:02d}",
                facts | asked | READ_BY,
                partial(
                    units.steered,
                    served.weights,
                    block.weights,
                    sequences,
                    ranker,
                    world=world,
                    panel=table,
                    sample=sample,
                    name=name,
                ),
            )
        )
        ui.step(n + 1, min(len(names), plan.steered), {})
    return out


def _layer(
    layer: Layer,
    unit: str,
    world: World,
    sequences: Sequences,
    *,
    ranker: Ranker,
    model: models.Model,
    served: models.Sae,
    panel: Panel,
    facts: dict[str, Any],
    seed: int,
    config: ReproduceConfig,
    plan: Plan,
    store: Store,
    ui: Progress,
) -> tuple[dict[str, Any], dict[int, models.Sae]]:
    """SAEs of one layer at every k, beside raw dimensions, rotations, the probe and (final) our own SAE."""
    dim = sequences.tower.positions.shape[1]
    saes: dict[int, models.Sae] = {}
    rows = []
    sample = units.judged(sequences, world, layer, plan, seed)
    for k in plan.ks:
        own = f"{unit}.{layer}.k{k}"
        sae = models.state_autoencoder(
            own,
            recipes.klenitskiy(dim, seed=seed, steps=plan.state_steps, k=k),
            lambda: units.some_states(sequences, layer, plan.states, seed).vectors,
            {"model": model.fingerprint, "layer": layer, "states": plan.states, "seed": seed},
            store=store,
            ui=ui,
            device=config.device,
        )
        saes[k] = sae
        ui.stage(f"{own}: measuring")
        about = facts | {"sae": sae.fingerprint, "users": plan.fidelity_users}
        rows.append(
            {"k": k}
            | store.data(
                f"{own}.measured",
                about,
                partial(units.judged_sae, sae.weights, sequences, ranker, panel, sample=sample, layer=layer),
            )
        )
    count = int(rows[-1]["candidates"]["latents"])
    found = {
        "layer": layer,
        "saes": rows,
        "raw": store.data(f"{unit}.{layer}.raw", facts | {"candidates": count}, lambda: units.raw(sample, count, seed)),
    }
    if layer == "final":
        found["tiller"] = store.data(
            f"{unit}.final.tiller",
            facts | {"sae": served.fingerprint},
            lambda: units.directions(served.weights, sample, "user"),
        ) | {"training": served.metrics}
    return found, saes


def _nested(
    world: World, seed: int, *, config: ReproduceConfig, plan: Plan, store: Store, ui: Progress
) -> dict[str, Any]:
    model = models.recommender(
        "mf", world, plan.recommenders["mf"], seed=seed, store=store, ui=ui, device=config.device
    )
    items = model.trained.embeddings.items
    unit = f"{world.key}.mf.seed{seed}"
    out: dict[str, Any] = {"kind": "nested", "dataset": world.name, "recommender": "mf", "seed": seed, "saes": []}
    prefixes: tuple[int, ...] = ()
    for nested in (True, False):
        recipe = recipes.matryoshka(
            items.shape[1], world.items, world.users, nested=nested, seed=seed, steps=plan.stage1_steps
        )
        prefixes = (*recipe.matryoshka, recipe.latents) if nested else prefixes
        name = "matryoshka" if nested else "batchtopk"
        sae = models.autoencoder(f"{unit}.{name}", recipe, model, world, store=store, ui=ui, device=config.device)
        ui.stage(f"{unit}.{name}: measuring")
        out["saes"].append(
            {"form": name, "training": sae.metrics}
            | store.data(
                f"{unit}.{name}.levels",
                {"sae": sae.fingerprint, "prefixes": prefixes},
                partial(units.hierarchy, sae.weights, items, world, prefixes),
            )
        )
    return out
