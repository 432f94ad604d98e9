"""What makes codes sparse, in training form: pre-activations [B, L] to codes [B, L], never negative.

``relu``: ``max(pre, 0)``; sparse only through a penalty. ``topk``: of ``max(pre, 0)`` the k largest of each row (Gao et
al. 2024, arXiv 2406.04093). ``batchtopk``: the ``k B`` largest of the whole batch, so a row may use more than its
neighbour (Bussmann et al. 2024, arXiv 2412.06410). The batch form makes a row depend on its batch mates and is never
served: ``batch_threshold`` turns it into a threshold per row with the same mean L0.
"""

from __future__ import annotations

import torch
from torch import Tensor


def relu(pre: Tensor) -> Tensor:
    """``max(pre, 0)``."""
    return torch.relu(pre)


def topk(pre: Tensor, k: int) -> Tensor:
    """The k largest positive entries of each row; fewer where fewer are positive."""
    code = torch.relu(pre)
    if k >= code.shape[1]:
        return code
    values, indices = torch.topk(code, k, dim=1, sorted=False)
    return torch.zeros_like(code).scatter(1, indices, values)


def batch_topk(pre: Tensor, k: int) -> Tensor:
    """The ``k B`` largest positive entries of the batch."""
    code = torch.relu(pre)
    keep = k * code.shape[0]
    if keep >= code.numel():
        return code
    values, indices = torch.topk(code.flatten(), keep, sorted=False)
    return torch.zeros_like(code).flatten().scatter(0, indices, values).view_as(code)


def threshold(pre: Tensor, value: float) -> Tensor:
    """``pre`` where ``pre > value``, else 0; the serving form of ``batch_topk``."""
    return torch.where(pre > value, torch.relu(pre), torch.zeros_like(pre))


def batch_threshold(pre: Tensor, k: int) -> float:
    """Threshold at which the rows of ``pre`` [B, L] have at most, and ties apart exactly, k active latents on average.

    It lies half-way between the ``k B``-th and the ``k B + 1``-th largest entry, so that rounding in another runtime
    moves neither across; 0 where no more than ``k B`` are positive.
    """
    keep = k * pre.shape[0]
    if keep >= pre.numel():
        return 0.0
    flat = pre.flatten()
    below, above = (float(torch.kthvalue(flat, flat.numel() - keep + i).values) for i in (0, 1))
    return 0.0 if below <= 0 else (below + above) / 2
