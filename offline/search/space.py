"""What is searched: a few numbers of ``SaeConfig``, each with its range, and how a point becomes a configuration.

Sparsity and width are shares of the embedding's size, so that one space serves every recommender.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from bundle.errors import DataError
from sae.config import SaeConfig

Point = dict[str, Any]

VERSION = 2
"""Of the space and of what its values mean: trials of another version are another study."""


class Trial(Protocol):
    """The part of ``optuna.Trial`` that draws a point."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number of the range."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of the choices."""


def draw(trial: Trial) -> Point:
    """A point of the space."""
    return {
        "norm_power": trial.suggest_float("norm_power", 0.5, 1.0),
        "whitening": trial.suggest_float("whitening", 0.2, 0.9),
        "width": trial.suggest_categorical("width", (2, 3, 4, 6, 8)),
        "first_share": trial.suggest_float("first_share", 0.05, 0.18),
        "item_share": trial.suggest_float("item_share", 0.08, 0.25),
        "nested": trial.suggest_categorical("nested", (False, True)),
        "sampling": trial.suggest_categorical("sampling", ("uniform", "shown")),
        "temperature": trial.suggest_float("temperature", 0.12, 0.6, log=True),
        "rate": trial.suggest_float("rate", 3e-3, 2e-2, log=True),
        "item_encoder": trial.suggest_categorical("item_encoder", (0.0, 0.5, 1.0)),
        "reconstruction": trial.suggest_float("reconstruction", 0.1, 1.0, log=True),
    }


# Points that are tried first, so that the frontier is seen relative to them: today's default of ``SaeConfig.for_data``
# (docs/decisions/018) and the one before it (docs/decisions/008).
DEFAULT: Point = {
    "norm_power": 0.75,
    "whitening": 0.6,
    "width": 4,
    "first_share": 6 / 64,
    "item_share": 0.22,
    "nested": False,
    "sampling": "shown",
    "temperature": 0.155,
    "rate": 0.016,
    "item_encoder": 0.5,
    "reconstruction": 0.13,
}
BEFORE: Point = {**DEFAULT, "item_share": 8 / 64, "temperature": 0.25, "rate": 1e-2, "reconstruction": 0.5}


def given(text: str) -> Point:
    """A point from JSON of what differs from the default.

    Raises:
        DataError: it is not that.
    """
    try:
        changes = json.loads(text)
    except ValueError:
        changes = None
    if not isinstance(changes, dict) or not changes.keys() <= DEFAULT.keys():
        raise DataError(
            "--point", found=text, expected=f"a JSON object with keys of {', '.join(DEFAULT)}", hint="Check the names."
        )
    return {**DEFAULT, **changes}


def configuration(point: Mapping[str, Any], base: SaeConfig, dim: int, *, steps: float = 1.0) -> SaeConfig:
    """``base`` (the default for the data) with the values of ``point``; ``steps``: share of both stages' steps."""
    latents = max(16, round(point["width"] * dim / 8) * 8)
    most = latents // 4
    first = min(most, max(2, round(point["first_share"] * dim)))
    items = min(most, max(2, round(point["item_share"] * dim)))
    document = base.model_dump()
    document.update(
        latents=latents,
        norm_power=point["norm_power"],
        whitening=point["whitening"],
        matryoshka=(latents // 4,) if point["nested"] else (),
        pair_sampling=point["sampling"],
        temperature=point["temperature"],
    )
    document["stage1"].update(k_users=first, k_items=first, steps=max(1, round(document["stage1"]["steps"] * steps)))
    document["stage2"].update(
        k_users=min(document["stage2"]["k_users"], latents // 2),
        k_items=items,
        learning_rate=point["rate"],
        item_encoder_rate=point["item_encoder"],
        reconstruction=point["reconstruction"],
        steps=max(1, round(document["stage2"]["steps"] * steps)),
    )
    return SaeConfig.model_validate(document)
