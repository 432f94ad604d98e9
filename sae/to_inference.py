"""The training form turned into the serving form: torch modules to ``bundle.SaeWeights``, in one tested step.

ReLU and TopK are served as they are. BatchTopK becomes a threshold per tower: the pre-activation above which the rows
of that tower have k active latents on average, so that a row's code never depends on its batch mates.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bundle.sae import Activation, SaeWeights, TowerWeights
from sae.activations import batch_threshold
from sae.autoencoder import Tower, TwoTowerSae

FloatArray = npt.NDArray[np.float32]

THRESHOLD_ENTRIES = 50_000_000


@torch.no_grad()
def to_inference(
    sae: TwoTowerSae, users: Tensor, items: Tensor, *, k_users: int, k_items: int, normalise: bool
) -> SaeWeights:
    """Serving weights. ``users`` [U, D] and ``items`` [N, D] at their input scale fit the thresholds of BatchTopK."""
    towers = [
        _tower(tower, _activation(sae, tower, rows, k))
        for tower, rows, k in ((sae.user, users, k_users), (sae.item, items, k_items))
    ]
    return SaeWeights(user=towers[0], item=towers[1], normalise=normalise)


def _activation(sae: TwoTowerSae, tower: Tower, rows: Tensor, k: int) -> Activation:
    if sae.activation == "relu":
        return Activation("relu")
    if sae.activation == "topk":
        return Activation("topk", k=k)
    most = max(1, THRESHOLD_ENTRIES // tower.w_enc.shape[1])
    if len(rows) > most:
        rows = rows[torch.linspace(0, len(rows) - 1, most, device=rows.device).round().long()]
    return Activation("threshold", threshold=batch_threshold(tower.pre(rows).cpu(), k))


def _tower(tower: Tower, activation: Activation) -> TowerWeights:
    def array(parameter: Tensor) -> FloatArray:
        return np.ascontiguousarray(parameter.detach().cpu().numpy(), np.float32).copy()

    return TowerWeights(
        w_enc=array(tower.w_enc),
        b_enc=array(tower.b_enc),
        w_dec=array(tower.w_dec),
        input_bias=array(tower.input_bias),
        output_bias=array(tower.output_bias),
        activation=activation,
    )
