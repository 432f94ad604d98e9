"""Stand-ins for the items of a scorer network, whose inner products say roughly what the network would.

A network has no vectors that an index could hold. So every user is described by what the network says to a few *anchor*
items, and every item's score is approximated linearly in those (CUR decomposition of the score matrix; Yadav et al.
2022, ANNCUR, arXiv 2210.12579). With ``s(x) = [f(x, anchors), 1]``

    f(x, v)  ~  (s(x) @ projection) . vectors[v]

Legend: N items, A anchors, R numbers of a proxy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bundle.errors import BundleCorrupt


@dataclass(frozen=True)
class Proxy:
    """``anchors`` int64 [A], item rows; ``projection`` float32 [A + 1, R]; ``vectors`` float32 [N, R]."""

    anchors: npt.NDArray[np.int64]
    projection: npt.NDArray[np.float32]
    vectors: npt.NDArray[np.float32]

    def query(self, anchor_scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """What the network says to the anchors [A] as the query [R] that the proxies are asked with."""
        asked: npt.NDArray[np.float32] = np.append(anchor_scores, np.float32(1)).astype(np.float32) @ self.projection
        return asked

    def check(self, items: int) -> None:
        """Raise BundleCorrupt where a shape, dtype or value is off."""
        anchors, rank = len(self.anchors), self.vectors.shape[-1]
        for name, array, dtype, shape in (
            ("anchors", self.anchors, np.int64, (anchors,)),
            ("projection", self.projection, np.float32, (anchors + 1, rank)),
            ("vectors", self.vectors, np.float32, (items, rank)),
        ):
            if array.dtype != dtype or array.shape != shape:
                raise BundleCorrupt(
                    f"proxy {name}", found=f"{array.dtype} {array.shape}", expected=f"{np.dtype(dtype)} {shape}"
                )
            if not np.isfinite(array).all():
                raise BundleCorrupt(f"proxy {name}", found="NaN or infinity", expected="finite numbers")
        if not anchors or self.anchors.min() < 0 or self.anchors.max() >= items:
            raise BundleCorrupt("proxy anchors", expected=f"item rows, 0 to {items - 1}")
