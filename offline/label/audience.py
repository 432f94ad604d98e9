"""Membership read from the codes of those who took an item: the SAE's view of its *audience*.

Users and items share their latents, so an item can be described by its users' codes as well as by its own, and hundreds
of users hold more than the few latents that are active on an item. With ``c_u`` the code of user u, every latent over
the 90th percentile of its activations, and ``n_u`` the number of items that u took:

    a_v = sum_{u took v} (c_u - c) / sqrt(1 + n_u)        c: the mean code over all interactions, weighted alike

``r_v = a_v`` at unit length is the item's place, over which labels are spread (offline.label.kernel). Who takes
everything says little of any item, hence the weight. An item that nobody took is as unlike all others; its score is
near the concept's base rate. Interactions are those of the training part: no test item, and no label, enters.

Legend: N items, U users, L latents, D embedding, I interactions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, vstack

from bundle import SaeWeights, SparseCodes
from offline.label.config import LabelConfig
from offline.label.kernel import CHUNK, KernelRidge, importance, unit_rows

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Audience:
    """``users`` [U, D], and the rows of the ``user`` [I] who took the ``item`` [I] in training."""

    users: FloatArray
    user: npt.NDArray[np.integer]
    item: npt.NDArray[np.integer]

    def kernel(
        self, sae: SaeWeights, items: int, config: LabelConfig, popularity: npt.NDArray[Any] | None = None
    ) -> KernelRidge:
        """The read-out of ``items`` items; ``popularity`` [N] weighs them, None counts them alike."""
        return KernelRidge.of(
            self.places(sae, items),
            importance(popularity, items),
            width=config.audience_width,
            ridge=config.audience_ridge,
            landmarks=config.landmarks,
            seed=config.seed,
        )

    def places(self, sae: SaeWeights, items: int) -> FloatArray:
        """Every item by the codes of its audience, at unit length (0 where there is none), [N, L]."""
        ones = np.ones(len(self.item))
        taken = csr_array((ones, (self.item, self.user)), shape=(items, len(self.users)))
        each = np.bincount(self.user, minlength=len(self.users))
        voice = 1 / np.sqrt(1 + each)
        codes = self._codes(sae)
        mean = codes.T @ (voice * each) / max(float(voice @ each), 1e-12)
        places = np.empty((items, sae.latents), np.float32)
        for start in range(0, items, CHUNK):
            part = taken[start : start + CHUNK] * voice
            places[start : start + CHUNK] = (part @ codes).toarray() - part.sum(axis=1)[:, None] * mean
        return unit_rows(places).astype(np.float32)

    def _codes(self, sae: SaeWeights) -> csr_array:
        """User codes over the 90th percentile of each latent's activations, [U, L]."""
        starts = range(0, len(self.users), CHUNK)
        rows = vstack([csr_array(sae.encode(self.users[at : at + CHUNK], "user")) for at in starts], format="csr")
        indptr, indices = rows.indptr.astype(np.int64), rows.indices.astype(np.int32)
        scale = SparseCodes(indptr, indices, rows.data, sae.latents).latent_scale()
        rows.data = (rows.data / scale[indices]).astype(np.float64)
        return csr_array(rows)
