"""The sparse autoencoder as arrays: the numpy reference that torch and ONNX Runtime are compared with.

For one tower, with ``s = |x|^norm_power`` when the SAE normalises and ``s = 1`` otherwise:

    code      z  = activation((x / s - input_bias) @ w_enc + b_enc)            [B, L], z >= 0
    decoded   x^ = s * (z @ w_dec + output_bias)                               [B, D]
    edit      x' = x + s * (z' - z) @ w_dec                                    error-preserving, no bias

Users and items have a tower each; they share weights in stage 1 of training and may differ after stage 2
(docs/decisions/003). Latents mean the same in both. Legend: B batch, D embedding, L latents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from bundle.errors import BundleCorrupt

FloatArray = npt.NDArray[np.float32]

ActivationKind = Literal["relu", "topk", "threshold"]


@dataclass(frozen=True, slots=True)
class Activation:
    """What makes a code sparse, in a form where a row never depends on its batch mates.

    ``relu``: ``max(pre, 0)``. ``topk``: of ``max(pre, 0)`` the ``k`` largest, ties to the lower latent (Gao et al.
    2024, arXiv 2406.04093). ``threshold``: ``pre`` where ``pre > threshold``, else 0: the serving form of BatchTopK
    (Bussmann et al. 2024, arXiv 2412.06410).
    """

    kind: ActivationKind
    k: int | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(ActivationKind):
            raise BundleCorrupt("activation.kind", found=repr(self.kind), expected=" | ".join(get_args(ActivationKind)))
        if (self.kind == "topk") != (self.k is not None) or (self.k is not None and self.k < 1):
            raise BundleCorrupt(f"activation {self.kind}: k", found=self.k, expected="a positive k for topk, none else")
        if (self.kind == "threshold") != (self.threshold is not None):
            raise BundleCorrupt(
                f"activation {self.kind}: threshold", found=self.threshold, expected="one for threshold"
            )
        if self.threshold is not None and not self.threshold >= 0:
            raise BundleCorrupt("activation.threshold", found=self.threshold, expected="zero or more")

    def __call__(self, pre: FloatArray) -> FloatArray:
        """Pre-activations [B, L] to codes [B, L]."""
        code = np.maximum(pre, 0)
        if self.kind == "topk":
            if self.k is not None and self.k < pre.shape[1]:
                order = np.argsort(-code, axis=1, kind="stable")
                np.put_along_axis(code, order[:, self.k :], 0, axis=1)
        elif self.threshold is not None:
            code[pre <= self.threshold] = 0
        return code


@dataclass(frozen=True, slots=True)
class TowerWeights:
    """Encoder and decoder of one tower.

    Shapes: ``w_enc`` [D, L], ``b_enc`` [L], ``w_dec`` [L, D] (row j is latent j's direction), ``input_bias`` [D],
    ``output_bias`` [D]; all float32.
    """

    w_enc: FloatArray
    b_enc: FloatArray
    w_dec: FloatArray
    input_bias: FloatArray
    output_bias: FloatArray
    activation: Activation

    def __post_init__(self) -> None:
        if self.w_enc.ndim != 2:
            raise BundleCorrupt("SAE w_enc", found=f"shape {self.w_enc.shape}", expected="[D, L]")
        d, latents = self.w_enc.shape
        wanted = {
            "w_enc": (d, latents),
            "b_enc": (latents,),
            "w_dec": (latents, d),
            "input_bias": (d,),
            "output_bias": (d,),
        }
        for name, shape in wanted.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float32:
                raise BundleCorrupt(f"SAE {name}", found=f"{array.dtype} {array.shape}", expected=f"float32 {shape}")
            if not np.isfinite(array).all():
                raise BundleCorrupt(f"SAE {name}", found="NaN or infinity", expected="finite numbers")


@dataclass(frozen=True, slots=True)
class SaeWeights:
    """Both towers. ``normalise``: rows are divided by ``|x|^norm_power`` when read, and multiplied when written.

    With power 1 rows are read at unit norm. Below it, long rows stay longer: a recommender's rarely seen items have
    short and noisy vectors, and at unit norm their noise would count as much as what is known (docs/decisions/008).
    """

    user: TowerWeights
    item: TowerWeights
    normalise: bool
    norm_power: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.norm_power <= 1:
            raise BundleCorrupt("SAE norm_power", found=self.norm_power, expected="above 0, at most 1")
        if self.user.w_enc.shape != self.item.w_enc.shape:
            raise BundleCorrupt(
                "SAE towers", found=f"user {self.user.w_enc.shape}, item {self.item.w_enc.shape}", expected="one shape"
            )

    @property
    def dim(self) -> int:
        """Size of an embedding, D."""
        return int(self.user.w_enc.shape[0])

    @property
    def latents(self) -> int:
        """Number of latents, L."""
        return int(self.user.w_enc.shape[1])

    def tower(self, side: Literal["user", "item"]) -> TowerWeights:
        """The tower of one side."""
        return self.user if side == "user" else self.item

    def scale(self, x: FloatArray) -> FloatArray:
        """Input scale of each row, [B, 1]: ``|x|^norm_power`` if the SAE normalises (1 for a zero row), else 1."""
        if not self.normalise:
            return np.ones((len(x), 1), np.float32)
        norm = np.linalg.norm(x, axis=1, keepdims=True)
        if self.norm_power != 1:
            norm = norm**self.norm_power
        return np.where(norm > 0, norm, 1).astype(np.float32)

    def encode(self, x: FloatArray, side: Literal["user", "item"]) -> FloatArray:
        """Embeddings [B, D] to codes [B, L]."""
        tower = self.tower(side)
        pre = (x / self.scale(x) - tower.input_bias) @ tower.w_enc + tower.b_enc
        return tower.activation(pre.astype(np.float32, copy=False))

    def decode(self, code: FloatArray, scale: FloatArray, side: Literal["user", "item"]) -> FloatArray:
        """Codes [B, L] with their input scale [B, 1] to reconstructions [B, D]."""
        tower = self.tower(side)
        return (code @ tower.w_dec + tower.output_bias) * scale

    def delta(self, code_delta: FloatArray, scale: FloatArray, side: Literal["user", "item"]) -> FloatArray:
        """The error-preserving edit's displacement: code change [B, L] to embedding change [B, D]."""
        return (code_delta @ self.tower(side).w_dec) * scale
