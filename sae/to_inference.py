"""The training form turned into the serving form: torch modules to ``bundle.SaeWeights``, in one tested step.

ReLU and TopK are served as they are. BatchTopK becomes a threshold per tower: the pre-activation above which the rows
of that tower have k active latents on average, so that a row's code never depends on its batch mates. The whitening A
of the training rows is folded in: ``(x/s A - b) W = (x/s - b A^-1) (A W)``, and back ``(z W_dec + b) A^-1``. So is the
constant c of the input scales (sae.rows): with ``s = c |x|^p``, A becomes A / c and its inverse c A^-1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bundle.sae import Activation, SaeWeights, TowerWeights
from sae.activations import batch_threshold
from sae.autoencoder import Tower, TwoTowerSae
from sae.config import SaeConfig
from sae.rows import TrainingRows, norm_unit

FloatArray = npt.NDArray[np.float32]

THRESHOLD_ENTRIES = 50_000_000


@torch.no_grad()
def to_inference(sae: TwoTowerSae, data: TrainingRows, config: SaeConfig) -> SaeWeights:
    """Serving weights; the rows of ``data`` fit the thresholds of BatchTopK. Sparsity is that of the last stage."""
    last = config.stage2 or config.stage1
    towers = [
        _tower(tower, data, norm_unit(raw, config), _activation(sae, tower, side.rows, k))
        for tower, side, raw, k in (
            (sae.user, data.users, data.raw_users, last.k_items if data.one_sided else last.k_users),
            (sae.item, data.items, data.raw_items, last.k_items),
        )
    ]
    return SaeWeights(
        user=towers[0],
        item=towers[1],
        normalise=config.normalise,
        norm_power=config.norm_power if config.normalise else 1.0,
    )


def _activation(sae: TwoTowerSae, tower: Tower, rows: Tensor, k: int) -> Activation:
    if sae.activation == "relu":
        return Activation("relu")
    if sae.activation == "topk":
        return Activation("topk", k=k)
    most = max(1, THRESHOLD_ENTRIES // tower.w_enc.shape[1])
    if len(rows) > most:
        rows = rows[torch.linspace(0, len(rows) - 1, most, device=rows.device).round().long()]
    return Activation("threshold", threshold=batch_threshold(tower.pre(rows).cpu(), k))


def _tower(tower: Tower, data: TrainingRows, unit: float, activation: Activation) -> TowerWeights:
    def array(tensor: Tensor) -> FloatArray:
        return np.ascontiguousarray(tensor.cpu().numpy(), np.float32).copy()

    whiten, colour = data.whiten.double() / unit, data.colour.double() * unit
    return TowerWeights(
        w_enc=array(whiten @ tower.w_enc.double()),
        b_enc=array(tower.b_enc),
        w_dec=array(tower.w_dec.double() @ colour),
        input_bias=array(tower.input_bias.double() @ colour),
        output_bias=array(tower.output_bias.double() @ colour),
        activation=activation,
    )
