"""Membership read from the *decoded* code: items of one code mean one place in embedding space.

``r = decode(z)`` at unit length is an item's place, and a label is spread by likeness of places (offline.label.kernel).
The item's own codes are all it reads. The direction of the query channel is fitted on the same decoded rows.

Legend: N items, L latents, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle import Metric, SaeWeights, SparseCodes
from offline.label.config import LabelConfig
from offline.label.kernel import CHUNK, Array, BoolArray, KernelRidge, importance, unit_rows

FloatArray = npt.NDArray[np.float32]

RIDGE = 0.01
"""Penalty of a direction's regression, in units of the mean variance of a dimension."""


@dataclass(frozen=True)
class Decoded:
    """Decoded items: ``rows`` [N, D] at their size, and the ``kernel`` of their places, which holds their weight.

    Made once, asked for every concept.
    """

    rows: Array
    kernel: KernelRidge

    @classmethod
    def of(
        cls,
        codes: SparseCodes,
        sae: SaeWeights,
        config: LabelConfig,
        popularity: npt.NDArray[Any] | None = None,
        scale: FloatArray | None = None,
    ) -> Decoded:
        """Decode every code by the item tower.

        ``popularity`` [N]: None counts items alike. ``scale`` [N, 1]: input scale of the items (None: 1), which only
        the directions of the query channel ask for.
        """
        parts = []
        for start in range(0, len(codes), CHUNK):
            stop = min(start + CHUNK, len(codes))
            size = np.ones((stop - start, 1), np.float32) if scale is None else scale[start:stop]
            parts.append(sae.decode(_dense(codes, start, stop), size, "item").astype(np.float64))
        rows = np.concatenate(parts) if parts else np.zeros((0, sae.dim))
        kernel = KernelRidge.of(
            unit_rows(rows),
            importance(popularity, len(rows)),
            width=config.decoded_width,
            ridge=config.decoded_ridge,
            landmarks=config.landmarks,
            seed=config.seed,
        )
        return cls(rows, kernel)

    def scores(self, members: BoolArray) -> Array:
        """Leave-one-out scores of every item for each row of ``members`` [C, N], [C, N]."""
        return self.kernel.scores(members)

    def direction(self, members: BoolArray, user_decoder: FloatArray, metric: Metric) -> Array:
        """Direction [L] in code space that moves a query towards ``members`` [N], at unit length (or 0).

        The weighted ridge regression of the label on the decoded items gives a move in embedding space, ``w``; of the
        codes that the user tower ([L, D]) decodes to it the smallest is taken: ``min |a|`` with ``a @ W_dec = w``.
        """
        x = self.kernel.places if metric == "cosine" else self.rows
        share = self.kernel.weight / self.kernel.weight.sum()
        x = x - share @ x
        gram = x.T @ (share[:, None] * x)
        gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram) / len(gram) + 1e-12
        move = np.linalg.solve(gram, x.T @ (share * (members - share @ members)))
        code = np.linalg.lstsq(user_decoder.T.astype(np.float64), move, rcond=None)[0]
        norm = np.linalg.norm(code)
        return np.asarray(code / norm if norm > 0 else code, np.float64)


def _dense(codes: SparseCodes, start: int, stop: int) -> FloatArray:
    first, last = codes.indptr[start], codes.indptr[stop]
    out = np.zeros((stop - start, codes.latents), np.float32)
    row = np.repeat(np.arange(stop - start), np.diff(codes.indptr[start : stop + 1]))
    out[row, codes.indices[first:last]] = codes.values[first:last]
    return out
