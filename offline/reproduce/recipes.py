"""Every SAE that the reproductions train, in one place: presets of ``sae.presets`` with so many steps."""

from __future__ import annotations

from sae.config import SaeConfig, StageConfig
from sae.presets import preset

NETWORK_BLOCK = {"block_users": 128, "block_items": 512}
"""A network is asked pair by pair: an eighth of the default block, at an eighth of the time."""


def tiller(
    dim: int, n_items: int, n_users: int, *, network: bool, seed: int, stage1: int | None, stage2: int | None
) -> SaeConfig:
    """The default of ``train_sae``; through a network, the prediction terms look at smaller blocks."""
    config = SaeConfig.for_data(dim, n_items, n_users, seed=seed)
    second = None if config.stage2 is None else _steps(config.stage2, stage2)
    steps = {"stage1": _steps(config.stage1, stage1), "stage2": second}
    return config.model_copy(update=steps | (NETWORK_BLOCK if network else {}))


def arviv(dim: int, n_items: int, n_users: int, *, beta: float, network: bool, seed: int, steps: int) -> SaeConfig:
    """The paper's form, its prediction term weighted by ``beta``."""
    config = preset("arviv2025", dim, n_items, n_users, seed=seed, network=network, beta=beta)
    return config.model_copy(update={"stage1": _steps(config.stage1, steps)})


def klenitskiy(dim: int, *, seed: int, steps: int, k: int) -> SaeConfig:
    """Their form for the states of a transformer, ``k`` active latents."""
    config = preset("klenitskiy2025", dim, 0, 0, seed=seed)
    stage = config.stage1.model_copy(update={"steps": steps, "k_items": k, "k_users": k})
    return config.model_copy(update={"stage1": stage})


def matryoshka(dim: int, n_items: int, n_users: int, *, nested: bool, seed: int, steps: int | None) -> SaeConfig:
    """Nested prefixes, or the same SAE without them."""
    config = preset("matryoshka" if nested else "batchtopk", dim, n_items, n_users, seed=seed)
    return config.model_copy(update={"stage1": _steps(config.stage1, steps)})


def _steps(stage: StageConfig, steps: int | None) -> StageConfig:
    """So many steps; None: as many as the recipe has."""
    return stage if steps is None else stage.model_copy(update={"steps": steps})
