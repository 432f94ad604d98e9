"""What an SAE of a sequential recommender reads: states of the transformer, and the model run on with edited ones.

``block``: the residual stream after block 0 at every position (what Klenitskiy et al. 2025 read). ``final``: what is
multiplied with the items. A state belongs to the item at its position: that item's genres are what it may be about.
Legend: B users, T positions, P states, D embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bundle import SaeWeights
from offline.datasets.types import Interactions
from offline.recommenders.histories import Histories
from offline.recommenders.sasrec import SasRecTower

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Layer = Literal["block", "final"]
LAYERS: tuple[Layer, ...] = ("block", "final")
LAYER_NAMES: dict[str, str] = {"block": "residual stream after block 0", "final": "final user state"}

Edit = Callable[[FloatArray], FloatArray]
"""States [P, D] to states [P, D]."""

BATCH = 128


@dataclass(frozen=True)
class States:
    """States [P, D] with the item at each position, [P], and the row of the user it belongs to, [P]."""

    vectors: FloatArray
    items: IntArray
    users: IntArray


class Sequences:
    """A tower with the histories of all users."""

    def __init__(self, tower: SasRecTower, train: Interactions, n_users: int) -> None:
        self.tower = tower
        self.histories = Histories.of(train, n_users)

    @torch.no_grad()
    def states(self, layer: Layer, users: npt.NDArray[np.intp], per_user: int, seed: int) -> States:
        """At most ``per_user`` random positions of each of ``users``."""
        rng = np.random.default_rng(seed)
        vectors, items, owners = [], [], []
        for start in range(0, len(users), BATCH):
            part = users[start : start + BATCH]
            history = self.histories.newest(part, self.tower.length)
            found = self._read(layer, torch.from_numpy(history)).numpy()
            real = history > 0
            # The positions with the largest random numbers, padding last.
            order = np.argsort(-(rng.random(history.shape) * real), axis=1, kind="stable")[:, :per_user]
            kept = np.take_along_axis(real, order, 1)
            row = np.repeat(np.arange(len(part)), order.shape[1]).reshape(order.shape)[kept]
            vectors.append(found[row, order[kept]])
            items.append(history[row, order[kept]] - 1)
            owners.append(part[row])
        return States(np.concatenate(vectors), np.concatenate(items), np.concatenate(owners))

    def _read(self, layer: Layer, history: Tensor) -> Tensor:
        return self.tower.residual(history, 0) if layer == "block" else self.tower.states(history)

    @torch.no_grad()
    def users(self, users: npt.NDArray[np.intp], layer: Layer | None = None, edit: Edit | None = None) -> FloatArray:
        """Final states [B, D] of the given users, with the states of ``layer`` edited on the way (all positions)."""
        out = []
        for start in range(0, len(users), BATCH):
            history = torch.from_numpy(self.histories.newest(users[start : start + BATCH], self.tower.length))
            if layer == "block" and edit is not None:
                hook = self.tower.blocks[0].register_forward_hook(_edited(edit, history > 0))
                try:
                    out.append(self.tower(history).numpy())
                finally:
                    hook.remove()
            else:
                final = self.tower(history).numpy()
                out.append(final if edit is None else edit(final))
        return np.concatenate(out)


def _edited(edit: Edit, real: Tensor) -> Callable[[object, object, Tensor], Tensor]:
    def hook(_module: object, _inputs: object, output: Tensor) -> Tensor:
        changed = output.clone()
        changed[real] = torch.from_numpy(edit(output[real].numpy()))
        return changed

    return hook


def reconstruct(weights: SaeWeights) -> Edit:
    """States as the SAE writes them back."""
    return lambda states: np.asarray(weights.decode(weights.encode(states, "item"), weights.scale(states), "item"))


def shift(weights: SaeWeights, latent: int, amount: float, *, keep: bool) -> Edit:
    """``amount`` more of a latent: residual kept, or dropped as in the paper."""

    def edit(states: FloatArray) -> FloatArray:
        code, scale = weights.encode(states, "item"), weights.scale(states)
        raised = code.copy()
        raised[:, latent] += np.float32(amount)
        if keep:
            return np.asarray(states + weights.delta(raised - code, scale, "item"), np.float32)
        return np.asarray(weights.decode(raised, scale, "item"), np.float32)

    return edit
