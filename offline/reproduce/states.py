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


class Raised:
    """Users whose states after block 0 are written back by an SAE with one latent raised, at any amount.

    The paper's edit, residual dropped. What the SAE makes of the states does not depend on the amount, so it is made
    once: ``decode(z + a e_j) = decode(z) + a delta(e_j)``.
    """

    @torch.no_grad()
    def __init__(self, sequences: Sequences, users: npt.NDArray[np.intp], weights: SaeWeights, latent: int) -> None:
        self._tower = sequences.tower
        self._parts: list[tuple[Tensor, Tensor, Tensor]] = []
        for start in range(0, len(users), BATCH):
            part = users[start : start + BATCH]
            history = torch.from_numpy(sequences.histories.newest(part, self._tower.length))
            made = self._tower.residual(history, 0)
            real = history > 0
            states = made[real].numpy()
            code, scale = weights.encode(states, "item"), weights.scale(states)
            one = np.zeros((1, weights.latents), np.float32)
            one[0, latent] = 1
            row = weights.delta(one, np.ones((1, 1), np.float32), "item")
            push = torch.zeros_like(made)
            push[real] = torch.from_numpy(np.asarray(scale * row, np.float32))
            made[real] = torch.from_numpy(np.asarray(weights.decode(code, scale, "item"), np.float32))
            self._parts.append((history, made, push))

    @torch.no_grad()
    def users(self, amount: float) -> FloatArray:
        """Final states [B, D] with the latent raised by ``amount`` at every position."""
        parts = [self._tower.resumed(made + amount * push, history) for history, made, push in self._parts]
        return np.asarray(torch.cat(parts).numpy())
