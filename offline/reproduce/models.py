"""Trained recommenders and SAEs as units: trained once, then read from their safetensors."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel

from bundle import SaeWeights
from bundle.sae import Activation, TowerWeights
from offline.datasets.types import Embeddings
from offline.progress import Progress
from offline.recommenders.base import TrainedRecommender
from offline.recommenders.registry import CONFIGS, empty_modules, make_recommender
from offline.reproduce.store import Arrays, Store, fingerprint
from offline.reproduce.worlds import World
from sae.config import SaeConfig
from sae.train import Progress as SaeProgress
from sae.train import TrainResult, train_sae

FloatArray = npt.NDArray[np.float32]

ARRAYS = ("w_enc", "b_enc", "w_dec", "input_bias", "output_bias")


@dataclass(frozen=True)
class Model:
    """A trained recommender with the fingerprint of its unit, for units made from it."""

    trained: TrainedRecommender
    fingerprint: str
    seconds: float


@dataclass(frozen=True)
class Sae:
    """A trained SAE with its figures, configuration and fingerprint."""

    weights: SaeWeights
    metrics: dict[str, Any]
    config: SaeConfig
    fingerprint: str


def recommender(
    name: str, world: World, settings: Mapping[str, Any], *, seed: int, store: Store, ui: Progress, device: str
) -> Model:
    """The recommender ``name`` of a world, trained or as it was kept; an unfinished fit goes on."""
    config = CONFIGS[name].model_validate(dict(settings))
    unit = f"{world.key}.{name}.seed{seed}"
    facts = {"world": world.facts, "recommender": name, "config": config.model_dump(mode="json"), "seed": seed}
    wanted = fingerprint(unit, facts)

    def make() -> tuple[Arrays, dict[str, Any]]:
        ui.stage(f"{world.name}: training {name}, seed {seed}")
        kept = store.folder / f".{unit}.{wanted[:12]}.unfinished"
        trained = make_recommender(name).fit(
            world.split.train,
            world.users,
            world.items,
            config,
            seed=seed,
            progress=ui.step,
            device=device,
            checkpoint=kept,
        )
        return _arrays(trained), {"facts": trained.facts, "history_length": trained.history_length}

    arrays, about = store.arrays(unit, facts, make)
    return Model(_rebuilt(name, arrays, about, config), wanted, about["seconds"])


def autoencoder(
    unit: str, config: SaeConfig, model: Model, world: World, *, store: Store, ui: Progress, device: str
) -> Sae:
    """The SAE of a recommender's embeddings, trained or as it was kept."""
    embeddings = model.trained.embeddings

    def train(report: SaeProgress, unfinished: Path) -> TrainResult:
        return train_sae(
            embeddings.items,
            embeddings.users,
            item_bias=embeddings.item_bias,
            metric=embeddings.metric,
            pairs=(world.split.train.user, world.split.train.item),
            config=config,
            scorer=model.trained.scorer,
            device=device,
            checkpoint_dir=unfinished,
            progress=report,
        )

    return _kept(unit, config, {"model": model.fingerprint}, train, store=store, ui=ui)


def state_autoencoder(
    unit: str,
    config: SaeConfig,
    read: Callable[[], FloatArray],
    facts: Mapping[str, Any],
    *,
    store: Store,
    ui: Progress,
    device: str,
) -> Sae:
    """The SAE of other rows, [P, D], which are read only where it has to be trained; ``facts`` decide them."""

    def train(report: SaeProgress, unfinished: Path) -> TrainResult:
        return train_sae(
            read(),
            None,
            item_bias=None,
            metric="dot",
            pairs=None,
            config=config,
            device=device,
            checkpoint_dir=unfinished,
            progress=report,
        )

    return _kept(unit, config, facts, train, store=store, ui=ui)


def _kept(
    unit: str,
    config: SaeConfig,
    of: Mapping[str, Any],
    train: Callable[[SaeProgress, Path], TrainResult],
    *,
    store: Store,
    ui: Progress,
) -> Sae:
    facts = {**of, "sae": config.model_dump(mode="json")}
    wanted = fingerprint(f"{unit}.sae", facts)
    unfinished = store.folder / f".{unit}.sae.{wanted[:12]}.unfinished"

    def make() -> tuple[Arrays, dict[str, Any]]:
        ui.stage(f"{unit}: training the SAE")
        result = train(lambda _, step, total, figures: ui.step(step, total, figures), unfinished)
        return sae_arrays(result.weights), {"metrics": result.metrics, "weights": _scalars(result.weights)}

    arrays, about = store.arrays(f"{unit}.sae", facts, make)
    shutil.rmtree(unfinished, ignore_errors=True)
    return Sae(sae_of(arrays, about["weights"]), about["metrics"], config, wanted)


def sae_arrays(weights: SaeWeights) -> dict[str, npt.NDArray[Any]]:
    """Arrays of both towers by name."""
    towers = {"user": weights.user, "item": weights.item}
    return {f"{side}.{name}": getattr(tower, name) for side, tower in towers.items() for name in ARRAYS}


def sae_of(arrays: Arrays, scalars: Mapping[str, Any]) -> SaeWeights:
    """Weights from ``sae_arrays`` and ``_scalars``."""
    user, item = (
        TowerWeights(**{name: arrays[f"{side}.{name}"] for name in ARRAYS}, activation=Activation(**scalars[side]))
        for side in ("user", "item")
    )
    return SaeWeights(user, item, **{key: value for key, value in scalars.items() if key not in ("user", "item")})


def _scalars(weights: SaeWeights) -> dict[str, Any]:
    def activation(tower: TowerWeights) -> dict[str, Any]:
        return {part.name: getattr(tower.activation, part.name) for part in fields(Activation)}

    rest = {part.name: getattr(weights, part.name) for part in fields(weights) if part.name not in ("user", "item")}
    return {"user": activation(weights.user), "item": activation(weights.item), **rest}


def _arrays(trained: TrainedRecommender) -> dict[str, npt.NDArray[Any]]:
    embeddings = trained.embeddings
    out: dict[str, npt.NDArray[Any]] = {"items": embeddings.items, "users": embeddings.users}
    if embeddings.item_bias is not None:
        out["item_bias"] = embeddings.item_bias
    for part, module in (("scorer", trained.scorer), ("user_tower", trained.user_tower)):
        if module is not None:
            out |= {f"{part}.{name}": value.cpu().numpy() for name, value in module.state_dict().items()}
    return out


def _rebuilt(name: str, arrays: Arrays, about: Mapping[str, Any], config: BaseModel) -> TrainedRecommender:
    embeddings = Embeddings(arrays["items"], arrays["users"], arrays.get("item_bias"), "dot")
    modules = empty_modules(name, config.model_dump(mode="json"), len(embeddings.items))
    for part, module in zip(("scorer", "user_tower"), modules, strict=True):
        if module is not None:
            module.load_state_dict(
                {key.removeprefix(f"{part}."): torch.as_tensor(arrays[key]) for key in arrays if key.startswith(part)}
            )
    return TrainedRecommender(name, embeddings, *modules, about["history_length"], about["facts"])
