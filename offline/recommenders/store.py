"""A trained recommender as one safetensors file: tables, modules, and its facts as JSON in the header. No pickle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from bundle.errors import DataError, TrainingError
from offline.datasets.types import Embeddings
from offline.recommenders.base import TrainedRecommender
from offline.recommenders.registry import empty_modules

FORMAT = "tiller.recommender.1"


def save(trained: TrainedRecommender, path: Path) -> None:
    """Write ``trained`` to ``path``, replacing what is there in one step.

    Raises:
        DataError: it carries modules of its owner, which only the owner can build again.
    """
    with torch.random.fork_rng(devices=[]):
        made = empty_modules(trained.name, trained.facts.get("config", {}), len(trained.embeddings.items))
    if (made[0] is None, made[1] is None) != (trained.scorer is None, trained.user_tower is None):
        raise DataError(
            f"recommender {trained.name}",
            found="modules that this project did not build",
            expected="mf, ncf or sasrec",
            hint="Keep your own modules yourself, as ONNX: offline.export_torch.",
        )
    tables = trained.embeddings
    arrays = {"items": tables.items, "users": tables.users, "item_bias": tables.item_bias}
    tensors = {
        f"embeddings.{name}": torch.from_numpy(np.array(array)) for name, array in arrays.items() if array is not None
    }
    for part, module in (("scorer", trained.scorer), ("user_tower", trained.user_tower)):
        if module is not None:
            tensors |= {f"{part}.{name}": value.contiguous().clone() for name, value in module.state_dict().items()}
    document = {
        "format": FORMAT,
        "name": trained.name,
        "metric": tables.metric,
        "history_length": trained.history_length,
        "facts": trained.facts,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    save_file(tensors, partial, metadata={"recommender": json.dumps(document)})
    partial.replace(path)


def load(path: Path) -> TrainedRecommender:
    """Read what ``save`` wrote: the same scores to the bit.

    Raises:
        TrainingError: the file is missing, damaged, or another format's.
    """
    hint = "Train the recommender again."
    try:
        with safe_open(path, framework="pt") as file:
            document = json.loads((file.metadata() or {}).get("recommender", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise TrainingError(f"{path}", found=f"not readable ({error})", hint=hint) from error
    if document.get("format") != FORMAT:
        raise TrainingError(f"{path}: format", found=repr(document.get("format")), expected=repr(FORMAT), hint=hint)
    arrays = {name[11:]: value.numpy() for name, value in tensors.items() if name.startswith("embeddings.")}
    with torch.random.fork_rng(devices=[]):
        modules = empty_modules(document["name"], document["facts"].get("config", {}), len(arrays["items"]))
    for part, module in zip(("scorer", "user_tower"), modules, strict=True):
        if module is not None:
            prefix = f"{part}."
            module.load_state_dict(
                {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
            )
    return TrainedRecommender(
        document["name"],
        Embeddings(arrays["items"], arrays["users"], arrays.get("item_bias"), document["metric"]),
        *modules,
        document["history_length"],
        document["facts"],
    )
