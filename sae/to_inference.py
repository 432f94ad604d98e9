"""The training form turned into the serving form: torch modules to ``bundle.SaeWeights``, in one tested step.

ReLU and TopK are served as they are. BatchTopK becomes a threshold per tower: the pre-activation above which the rows
of that tower have k active latents on average, so that a row's code never depends on its batch mates. The whitening A
of the training rows is folded in: ``(x/s A - b) W = (x/s - b A^-1) (A W)``, and back ``(z W_dec + b) A^-1``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bundle.sae import Activation, SaeWeights, TowerWeights
from sae.activations import batch_threshold
from sae.autoencoder import Tower, TwoTowerSae
from sae.rows import TrainingRows

FloatArray = npt.NDArray[np.float32]

THRESHOLD_ENTRIES = 50_000_000


@torch.no_grad()
def to_inference(sae: TwoTowerSae, data: TrainingRows, *, k_users: int, k_items: int, normalise: bool) -> SaeWeights:
    """Serving weights; the rows of ``data`` fit the thresholds of BatchTopK."""
    towers = [
        _tower(tower, data, _activation(sae, tower, side.rows, k))
        for tower, side, k in ((sae.user, data.users, k_users), (sae.item, data.items, k_items))
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


def _tower(tower: Tower, data: TrainingRows, activation: Activation) -> TowerWeights:
    def array(tensor: Tensor) -> FloatArray:
        return np.ascontiguousarray(tensor.cpu().numpy(), np.float32).copy()

    whiten, colour = data.whiten.double(), data.colour.double()
    return TowerWeights(
        w_enc=array(whiten @ tower.w_enc.double()),
        b_enc=array(tower.b_enc),
        w_dec=array(tower.w_dec.double() @ colour),
        input_bias=array(tower.input_bias.double() @ colour),
        output_bias=array(tower.output_bias.double() @ colour),
        activation=activation,
    )
