"""Terms of the loss, each a scalar. Legend: B batch rows, U users and N items of a block, D embedding, L latents."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def reconstruction(x: Tensor, decoded: Tensor, variance: float) -> Tensor:
    """``mean_b |x_b - decoded_b|^2 / variance``: the fraction of variance unexplained; x, decoded [B, D].

    ``variance`` is the mean squared distance of all rows from their mean, so that the term means the same for every
    size and scale of embeddings.
    """
    return (x - decoded).square().sum(1).mean() / variance


def mean_square(score: Tensor, reconstructed: Tensor, variance: float) -> Tensor:
    """``mean_j (s_j - s'_j)^2 / variance``, scores of pairs [B] or of a block [U, N]; ``variance`` of frozen scores.

    The prediction-aware term of the published SAEs of recommenders: what counts is what the scorer makes of the
    reconstruction.
    """
    return (score - reconstructed).square().mean() / variance


def cross_entropy(score: Tensor, reconstructed: Tensor) -> Tensor:
    """``mean_j H(sigmoid(s_j), sigmoid(s'_j)) - H(sigmoid(s_j))`` in nats, scores of pairs [B] as logits.

    The prediction term of the published code for NCF, whose scores are probabilities; less its own entropy, so that a
    perfect reconstruction costs 0.
    """
    wanted = torch.sigmoid(score)
    own = functional.binary_cross_entropy_with_logits(score, wanted)
    return functional.binary_cross_entropy_with_logits(reconstructed, wanted) - own


def listwise(score: Tensor, reconstructed: Tensor, temperature: float) -> Tensor:
    """``mean_u [KL(p_u || q_u) + KL(q_u || p_u)] / 2``, with p, q the softmax of a user's scores [U, N] / temperature.

    List-wise in the sense of ListNet (Cao et al. 2007): a shift of all of a user's scores costs nothing, and the top of
    the list weighs most. Symmetric: q must neither miss items of p nor add its own.
    """
    log_p = functional.log_softmax(score / temperature, 1)
    log_q = functional.log_softmax(reconstructed / temperature, 1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(1).mean() / 2


def plackett_luce(score: Tensor, reconstructed: Tensor, temperature: float, depth: int) -> Tensor:
    """How unlikely the original's top ``depth`` is, in its order, under the reconstructed scores [U, N].

        mean_u sum_r w_r [log sum_{v at rank r or below} exp(s'_v / T) - s'_(r) / T],   w_r ~ 1 / log2(r + 1), sum 1

    the Plackett-Luce likelihood of ListMLE (Xia et al. 2008) with the discount of DCG, so that rank 1 weighs most, as
    in position-aware ListMLE (Lan et al. 2014). Items outside the top count only as what must not overtake it.
    """
    depth = min(depth, score.shape[1])
    best = torch.topk(score, depth, dim=1).indices
    made = reconstructed / temperature
    top = made.gather(1, best)
    rest = made.scatter(1, best, -torch.inf)
    below = torch.flip(torch.logcumsumexp(torch.flip(top, [1]), 1), [1])
    if depth < score.shape[1]:
        below = torch.logaddexp(below, torch.logsumexp(rest, 1, keepdim=True))
    weight = 1 / torch.log2(torch.arange(depth, device=score.device, dtype=score.dtype) + 2)
    return ((below - top) * (weight / weight.sum())).sum(1).mean()


def l1(code: Tensor) -> Tensor:
    """``mean_b sum_j z_bj``: codes [B, L] are never negative."""
    return code.abs().sum(1).mean()


def kl_sparsity(code: Tensor, target: float, *, squash: bool = True) -> Tensor:
    """``sum_j KL(target || rho_j)`` between Bernoulli means, ``rho_j = mean_b z_bj / (1 + z_bj)``.

    The classic penalty (Ng 2011, CS294A lecture notes) asks for units in [0, 1]; codes are unbounded, so they are
    squashed first. It asks every latent to be active, equally often. Without ``squash`` rho is the mean activation
    itself, clipped into (0, 1), as in the published code of Arviv et al. 2025 (arXiv 2511.18024).
    """
    rho = ((code / (1 + code)) if squash else code).mean(0).clamp(1e-6, 1 - 1e-6)
    return (target * (target / rho).log() + (1 - target) * ((1 - target) / (1 - rho)).log()).sum()


def auxiliary(residual: Tensor, pre: Tensor, w_dec: Tensor, dead: Tensor, *, k: int, variance: float) -> Tensor:
    """Reconstruction of the ``residual`` [B, D] by the k strongest dead latents, AuxK of Gao et al. 2024, A.2.

    ``pre`` [B, L] pre-activations, ``w_dec`` [L, D], ``dead`` bool [L]. Zero where nothing is dead. The residual is
    taken as given: its gradient belongs to the main term.
    """
    count = int(dead.sum())
    if count == 0:
        return residual.new_zeros(())
    values, indices = torch.topk(pre[:, dead], min(k, count), dim=1, sorted=False)
    code = torch.zeros_like(pre[:, dead]).scatter(1, indices, torch.relu(values))
    return (residual.detach() - code @ w_dec[dead]).square().sum(1).mean() / variance
