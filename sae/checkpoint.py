"""A killed run goes on where it was: one safetensors file, replaced atomically, no pickle.

Tensors: ``model.*`` (parameters), ``first.*`` and ``second.*`` (Adam's moments), ``last_active`` [L]. The header's
metadata holds stage, step, history, seconds and a fingerprint of configuration and data. Batches are a function of
(seed, stage, step), so there is no generator state to keep.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bundle.errors import TrainingError
from sae.autoencoder import TwoTowerSae
from sae.config import SaeConfig

FILE = "checkpoint.safetensors"
FORMAT = 2


@dataclass
class State:
    """Where a run is: ``step`` steps of ``stage`` (1 or 2) are done."""

    stage: int = 1
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


def run_fingerprint(config: SaeConfig, data: str) -> str:
    """Names a configuration on a data set; reporting and checkpoint intervals do not change the outcome."""
    document = config.model_dump_json(exclude={"report_every", "checkpoint_every"})
    return hashlib.sha256(f"{FORMAT}|{document}|{data}".encode()).hexdigest()


def save(
    folder: Path, sae: TwoTowerSae, optimiser: torch.optim.Adam, *, last_active: Tensor, state: State, fingerprint: str
) -> None:
    """Write the checkpoint beside its place, then move it there: a kill leaves the old one or the new one."""
    tensors = {"last_active": last_active}
    for name, parameter in sae.named_parameters():
        tensors[f"model.{name}"] = parameter.detach()
        moments = optimiser.state.get(parameter)
        if moments:
            tensors[f"first.{name}"], tensors[f"second.{name}"] = moments["exp_avg"], moments["exp_avg_sq"]
    metadata = {
        "fingerprint": fingerprint,
        "stage": str(state.stage),
        "step": str(state.step),
        "seconds": repr(state.seconds),
        "history": json.dumps(state.history),
    }
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{FILE}.{os.getpid()}"
    try:
        save_file({name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()}, temporary, metadata)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(folder / FILE)
    finally:
        temporary.unlink(missing_ok=True)


def read_state(folder: Path, fingerprint: str) -> State | None:
    """State of the checkpoint in ``folder``, or None where there is none.

    Raises:
        TrainingError: the file is unreadable, or belongs to another configuration or other data.
    """
    path = folder / FILE
    if not path.exists():
        return None
    hint = f"Delete {path} to start anew, or choose another checkpoint folder."
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        state = State(
            int(metadata["stage"]), int(metadata["step"]), float(metadata["seconds"]), json.loads(metadata["history"])
        )
        found = metadata["fingerprint"]
    except (SafetensorError, KeyError, ValueError) as error:
        raise TrainingError(
            f"checkpoint {path}", found=f"unreadable ({error})", expected="a checkpoint of this version", hint=hint
        ) from error
    if found != fingerprint:
        raise TrainingError(
            f"checkpoint {path}",
            found="a run with another configuration or other data",
            expected="the run that is being resumed",
            hint=hint,
        )
    return state


@torch.no_grad()
def restore(folder: Path, sae: TwoTowerSae, optimiser: torch.optim.Adam, *, last_active: Tensor, step: int) -> None:
    """Parameters, Adam's moments and ``last_active`` from the checkpoint, in place."""
    with safe_open(folder / FILE, framework="pt", device=str(last_active.device)) as file:
        names = set(file.keys())
        last_active.copy_(file.get_tensor("last_active"))
        for name, parameter in sae.named_parameters():
            parameter.copy_(file.get_tensor(f"model.{name}"))
            if f"first.{name}" in names:
                optimiser.state[parameter] = {
                    "step": torch.tensor(float(step)),
                    "exp_avg": file.get_tensor(f"first.{name}"),
                    "exp_avg_sq": file.get_tensor(f"second.{name}"),
                }
