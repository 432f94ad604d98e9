"""Two towers over one latent space.

For one tower, rows read at their input scale ``s`` (a power of their norm, or 1):

    pre  = (x / s - input_bias) w_enc + b_enc        [B, L]
    z    = activation(pre)
    x^   = s (z w_dec + output_bias)                 [B, D]

While shared, users and items use the same tower object and ``output_bias`` is ``input_bias``: one SAE in the sense of
Bricken et al. 2023. ``untie`` gives each side its own copy, with a free output bias, from where both go on. With
``tied`` weights ``w_dec`` is ``w_enc`` transposed and never a parameter of its own.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from sae import activations
from sae.config import ActivationName

Side = Literal["user", "item"]


class Tower(nn.Module):
    """Encoder and decoder of one side: ``w_enc`` [D, L], ``b_enc`` [L], ``w_dec`` [L, D], biases [D]."""

    def __init__(self, dim: int, latents: int, *, tied: bool = False) -> None:
        super().__init__()
        self.w_enc = nn.Parameter(torch.zeros(dim, latents))
        self.b_enc = nn.Parameter(torch.zeros(latents))
        self.free_decoder = None if tied else nn.Parameter(torch.zeros(latents, dim))
        self.input_bias = nn.Parameter(torch.zeros(dim))
        self.output_bias = self.input_bias

    @property
    def w_dec(self) -> Tensor:
        """Decoder [L, D]: a parameter, or the encoder's transpose."""
        return self.w_enc.T if self.free_decoder is None else self.free_decoder

    def pre(self, x: Tensor) -> Tensor:
        """Pre-activations [B, L] of scaled rows [B, D]."""
        # b_enc - input_bias w_enc is one row: cheaper than shifting every row of x, and its gradient with it.
        return torch.addmm(self.b_enc - self.input_bias @ self.w_enc, x, self.w_enc)

    def decode(self, code: Tensor) -> Tensor:
        """Scaled reconstructions [B, D] of codes [B, L]."""
        return torch.addmm(self.output_bias, code, self.w_dec)

    def decode_prefix(self, code: Tensor, width: int) -> Tensor:
        """The same from the first ``width`` latents alone."""
        return torch.addmm(self.output_bias, code[:, :width], self.w_dec[:width])

    def copy(self) -> Tower:
        """A tower of its own with the same numbers; the output bias is free from here."""
        other = Tower(*self.w_enc.shape, tied=self.free_decoder is None)
        with torch.no_grad():
            for name in ("w_enc", "b_enc", "w_dec", "input_bias"):
                getattr(other, name).copy_(getattr(self, name))
        other.output_bias = nn.Parameter(self.output_bias.detach().clone())
        return other.to(self.w_enc.device)


class TwoTowerSae(nn.Module):
    """An SAE whose latents mean the same for users and for items."""

    def __init__(self, dim: int, latents: int, activation: ActivationName, *, tied: bool = False) -> None:
        super().__init__()
        self.activation = activation
        self.user = Tower(dim, latents, tied=tied)
        self.item = self.user

    @property
    def shared(self) -> bool:
        """One tower for both sides."""
        return self.user is self.item

    @torch.no_grad()
    def initialise(self, centre: Tensor, generator: torch.Generator) -> None:
        """Random unit decoder rows, the encoder their transpose, the input bias at the data's ``centre`` [D]."""
        tower = self.user
        rows = torch.randn(tower.w_dec.shape, generator=generator)
        tower.w_dec.copy_(rows / rows.norm(dim=1, keepdim=True))
        tower.w_enc.copy_(tower.w_dec.T)
        tower.b_enc.zero_()
        tower.input_bias.copy_(centre)

    def untie(self) -> None:
        """Separate towers, equal for now."""
        self.user, self.item = self.user.copy(), self.user.copy()

    def tower(self, side: Side) -> Tower:
        """The tower of one side."""
        return self.user if side == "user" else self.item

    def activate(self, pre: Tensor, k: int) -> Tensor:
        """Training form of the activation."""
        if self.activation == "relu":
            return activations.relu(pre)
        return activations.topk(pre, k) if self.activation == "topk" else activations.batch_topk(pre, k)


@torch.no_grad()
def unit_rows(w_dec: Tensor) -> None:
    """Bring decoder rows [L, D] to unit norm, in place."""
    w_dec.div_(w_dec.norm(dim=1, keepdim=True).clamp_min(1e-8))


@torch.no_grad()
def drop_radial_gradient(w_dec: Tensor) -> None:
    """Take from the gradient of unit decoder rows what would only change their norm (Bricken et al. 2023)."""
    if w_dec.grad is not None:
        w_dec.grad.sub_((w_dec.grad * w_dec).sum(1, keepdim=True) * w_dec)


def input_scale(x: Tensor, *, normalise: bool, power: float = 1.0) -> Tensor:
    """``|x|^power`` of each row [B, 1] (1 for a zero row) when the SAE normalises, else ones; as bundle.SaeWeights."""
    if not normalise:
        return torch.ones(len(x), 1, dtype=x.dtype, device=x.device)
    norm = x.norm(dim=1, keepdim=True) ** power
    return torch.where(norm > 0, norm, torch.ones_like(norm))
