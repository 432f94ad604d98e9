"""The read-outs that leave each item out: by its audience and by its decoded code. Legend: C concepts, N items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from bundle import SaeWeights, SparseCodes
from offline.label.audience import Audience
from offline.label.config import LabelConfig, LeftOutKind
from offline.label.decoded import Decoded, FloatArray
from offline.label.kernel import Array, BoolArray, KernelRidge


@dataclass(frozen=True)
class LeftOut:
    """``decoded``, which also has the directions, and the ``kernels`` by kind; without interactions no ``audience``."""

    decoded: Decoded
    kernels: dict[LeftOutKind, KernelRidge]

    @classmethod
    def of(
        cls,
        codes: SparseCodes,
        sae: SaeWeights,
        config: LabelConfig,
        popularity: npt.NDArray[Any] | None = None,
        audience: Audience | None = None,
        *,
        scale: FloatArray | None = None,
    ) -> LeftOut:
        """See ``Decoded.of`` and ``Audience.kernel``."""
        decoded = Decoded.of(codes, sae, config, popularity, scale)
        kernels: dict[LeftOutKind, KernelRidge] = {}
        if audience is not None and len(audience.item):
            kernels["audience"] = audience.kernel(sae, len(codes), config, popularity)
        kernels["decoded"] = decoded.kernel
        return cls(decoded, kernels)

    def scores(self, members: BoolArray) -> dict[LeftOutKind, Array]:
        """Scores [C, N] of ``members`` [C, N] by kind."""
        return {kind: kernel.scores(members) for kind, kernel in self.kernels.items()}
