"""The experiments of Arviv et al. 2025: MF and NCF, ML-1M and Last.FM, the paper's SAE at every beta and ours.

A *setting* is a data set, a protocol, a recommender and a seed; its units are measured one after the other and kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from offline.calibrate.curves import FANS
from offline.progress import Progress
from offline.recommenders.popularity import Popularity
from offline.recommenders.ranking import evaluate_ranking
from offline.recommenders.split import Protocol
from offline.reproduce import arviv_units as units
from offline.reproduce import models, recipes
from offline.reproduce.arviv_promotion import promoted
from offline.reproduce.config import BETAS, Plan, ReproduceConfig
from offline.reproduce.ranker import Ranker
from offline.reproduce.store import Store
from offline.reproduce.ways import READ_BY
from offline.reproduce.worlds import World, make_world, read

RECOMMENDERS = ("mf", "ncf")
SHOWN_BETA = 1.0
"""The paper's form is steered and pictured at this weight."""


@dataclass(frozen=True)
class Form:
    """An SAE to train: ``name`` paper | tiller, and the weight of the prediction term (None: it has its own)."""

    name: str
    beta: float | None

    @property
    def key(self) -> str:
        """Its part of a unit's name."""
        return self.name if self.beta is None else f"{self.name}-beta{self.beta:g}"

    @property
    def shown(self) -> bool:
        """Steered and pictured, not only measured."""
        return self.beta in (None, SHOWN_BETA)


FORMS = (*(Form("paper", beta) for beta in BETAS), Form("tiller", None))


def run(config: ReproduceConfig, plan: Plan, store: Store, ui: Progress) -> list[dict[str, Any]]:
    """Every setting, as plain data."""
    return [setting for world in worlds(config, plan) for setting in _settings(world, config, plan, store, ui)]


def worlds(config: ReproduceConfig, plan: Plan) -> Iterator[World]:
    """Every data set under every protocol; the first protocol, where everything is measured, of all of them first."""
    protocols: dict[str, Protocol] = {"paper": "paper", "temporal": "temporal"}
    datasets = {name: read(name, config.data) for name in plan.datasets}
    for protocol in plan.protocols:
        for dataset in datasets.values():
            yield make_world(dataset, protocols[protocol])


def _settings(
    world: World, config: ReproduceConfig, plan: Plan, store: Store, ui: Progress
) -> Iterator[dict[str, Any]]:
    for seed in config.all_seeds:
        for name in RECOMMENDERS:
            yield _setting(name, world, seed, config=config, plan=plan, store=store, ui=ui)


def _setting(
    name: str, world: World, seed: int, *, config: ReproduceConfig, plan: Plan, store: Store, ui: Progress
) -> dict[str, Any]:
    model = models.recommender(
        name, world, plan.recommenders[name], seed=seed, store=store, ui=ui, device=config.device
    )
    ranker = Ranker(model.trained, config.device)
    unit = f"{world.key}.{name}.seed{seed}"
    first = world.protocol == plan.protocols[0]
    ui.stage(f"{unit}: ranking")
    out: dict[str, Any] = {
        "dataset": world.name,
        "protocol": world.protocol,
        "recommender": name,
        "seed": seed,
        "model": {"seconds": model.seconds, "facts": model.trained.facts},
        "ranking": store.data(f"{unit}.ranking", {"model": model.fingerprint}, lambda: ranking(world, ranker)),
        "saes": [],
    }
    for form in forms(config, everything=first):
        out["saes"].append(
            _form(
                form, unit, model, ranker, world, seed=seed, config=config, plan=plan, store=store, ui=ui, steer=first
            )
        )
    return out


def forms(config: ReproduceConfig, *, everything: bool) -> list[Form]:
    """The SAEs of a setting: every beta, or (a second protocol) those that are shown; Tiller's alone where asked."""
    return [form for form in FORMS if (form.beta is None if config.ours else everything or form.shown)]


def ranking(world: World, ranker: Ranker) -> dict[str, Any]:
    """NDCG@10 and Recall@10 over all users, beside popularity."""
    users = ranker.trained.embeddings.users
    train, test = world.split.train, world.split.test
    popular = Popularity().fit(train, world.users, world.items).embeddings
    return {
        "recommender": evaluate_ranking(lambda rows: ranker(users[rows]), train, test),
        "popularity": evaluate_ranking(popular, train, test),
    }


def _form(
    form: Form,
    unit: str,
    model: models.Model,
    ranker: Ranker,
    world: World,
    *,
    seed: int,
    config: ReproduceConfig,
    plan: Plan,
    store: Store,
    ui: Progress,
    steer: bool,
) -> dict[str, Any]:
    own = f"{unit}.{form.key}"
    dim = model.trained.embeddings.items.shape[1]
    network = model.trained.scorer is not None
    if form.beta is None:
        recipe = recipes.tiller(
            dim,
            world.items,
            world.users,
            network=network,
            seed=seed,
            stage1=plan.stage1_steps,
            stage2=plan.stage2_steps,
        )
    else:
        recipe = recipes.arviv(
            dim,
            world.items,
            world.users,
            beta=form.beta,
            network=network,
            seed=seed,
            steps=plan.paper_steps,
        )
    sae = models.autoencoder(own, recipe, model, world, store=store, ui=ui, device=config.device)
    facts = {"sae": sae.fingerprint, "seed": seed}
    weights = sae.weights
    ui.stage(f"{own}: measuring")
    out: dict[str, Any] = {
        "form": form.name,
        "beta": form.beta,
        "config": recipe.model_dump(mode="json"),
        "training": sae.metrics,
        "measured": store.data(
            f"{own}.measured",
            facts | _sizes(plan, "fidelity_users", "halvings", "network_pairs"),
            lambda: units.measured(weights, ranker, world, plan, seed),
        ),
    }
    if form.shown and steer:
        ui.stage(f"{own}: steering")
        out["pictured"] = store.data(f"{own}.pictured", facts, lambda: units.pictured(weights, ranker, world))
        names = chosen(world, plan)
        out["steered"] = []
        for n, name in enumerate(names):
            slug = f"{own}.steered.{n:02d}"
            out["steered"].append(
                store.data(
                    slug,
                    facts
                    | READ_BY
                    | {"concept": name, "fans": FANS}
                    | _sizes(plan, "steering_users", "audience", "network_pairs"),
                    partial(units.steered, weights, ranker, world, plan, name=name, seed=seed),
                )
            )
            ui.step(n + 1, len(names), {})
        ui.stage(f"{own}: promoting items")
        out["promoted"] = store.data(
            f"{own}.promoted",
            facts | _sizes(plan, "steering_users", "audience", "promoted_items", "network_pairs"),
            lambda: promoted(weights, ranker, world, plan, seed),
        )
    return out


def chosen(world: World, plan: Plan) -> list[str]:
    """Concepts to steer: those with published figures, then the largest."""
    first = [name for name in units.FIRST.get(world.name, ()) if name in world.names]
    order = [world.names[n] for n in (-world.members.sum(1)).argsort(kind="stable")]
    return (first + [name for name in order if name not in first])[: plan.steered]


def _sizes(plan: Plan, *keys: str) -> dict[str, Any]:
    """What of the plan decides a unit."""
    return {key: getattr(plan, key) for key in keys}
