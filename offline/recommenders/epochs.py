"""What the recommenders trained by gradient share: a learning rate for every step, and an unfinished fit on disk.

Everything random in an epoch is drawn from (seed, epoch), so a fit that was killed goes on to the same numbers.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from bundle.errors import TrainingError

WARM_UP = 0.25
LOWEST = 1e-3


def one_cycle(step: int, total: int) -> float:
    """Share of the peak learning rate at ``step`` of ``total``: cosine up over a quarter, cosine down over the rest.

    Smith and Topin 2019 (Super-convergence, arXiv 1708.07120).
    """
    warm = max(1.0, WARM_UP * total)
    if step < warm:
        return LOWEST + (1 - LOWEST) * (1 - math.cos(math.pi * (step + 1) / (warm + 1))) / 2
    return LOWEST + (1 - LOWEST) * (1 + math.cos(math.pi * (step - warm) / max(1.0, total - warm))) / 2


def set_learning_rates(optimiser: torch.optim.Optimizer, share: float) -> None:
    """Every group gets ``share`` of its own peak, which the group keeps under ``peak``."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * share


class EpochCheckpoint:
    """A fit's parameters and Adam's moments after an epoch, in one safetensors file; ``path`` None: nothing is kept."""

    def __init__(self, path: Path | None, facts: dict[str, Any]) -> None:
        """``facts`` is all that decides the outcome: a file of other facts is refused, not overwritten."""
        self.path = path
        document = json.dumps(facts, sort_keys=True, default=str)
        self.fingerprint = hashlib.sha256(document.encode()).hexdigest()

    def save(self, epoch: int, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Keep the state after ``epoch`` epochs; the file is replaced in one step."""
        if self.path is None:
            return
        tensors = {f"model.{name}": value.detach().contiguous() for name, value in model.state_dict().items()}
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{key}": torch.as_tensor(value) for key, value in state.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f"{self.path.name}.part")
        save_file(tensors, partial, metadata={"epoch": str(epoch), "fingerprint": self.fingerprint})
        partial.replace(self.path)

    def load(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> int:
        """Put the kept state back; how many epochs are done, 0 where nothing is kept.

        Raises:
            TrainingError: the file cannot be read, or belongs to another fit.
        """
        if self.path is None or not self.path.is_file():
            return 0
        hint = "Delete it, or choose another file."
        try:
            with safe_open(self.path, framework="pt") as file:
                told = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
        except (SafetensorError, OSError) as error:
            raise TrainingError(f"checkpoint {self.path}", found=f"not readable ({error})", hint=hint) from error
        if told.get("fingerprint") != self.fingerprint:
            raise TrainingError(
                f"checkpoint {self.path}",
                found="the state of another configuration, seed or data",
                expected="this fit's",
                hint=hint,
            )
        model.load_state_dict({name[6:]: value for name, value in tensors.items() if name.startswith("model.")})
        states: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimiser."):
                _, index, key = name.split(".")
                states.setdefault(int(index), {})[key] = value
        optimiser.load_state_dict({**optimiser.state_dict(), "state": states})
        return int(told["epoch"])

    def drop(self) -> None:
        """The fit is done."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
