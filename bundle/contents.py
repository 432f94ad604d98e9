"""Everything a bundle holds, in memory, with its shapes checked against each other.

Legend: N items, D embedding, L latents, C offered concepts, U users.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bundle.calibration import Calibration
from bundle.codes import SparseCodes
from bundle.concepts import ConceptFile
from bundle.errors import BundleCorrupt
from bundle.manifest import Metric, ScorerKind
from bundle.proxy import Proxy
from bundle.sae import SaeWeights
from bundle.strings import all_distinct, each_once

FloatArray = npt.NDArray[np.float32]
BitArray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ConceptArrays:
    """Numbers of the offered concepts; row c belongs to the concept whose ``row`` is c.

    ``gains`` [C, N] float32 in [0, 1]: every item's read-out, 1.0 at the members' 90th percentile, 1 where labelled.
    ``label_bits``, ``readout_bits`` uint8 [C, ceil(N / 8)]: membership, packed in little bit order.
    ``readout_weight`` [C, L], ``readout_bias`` [C], ``readout_scale`` [C]: for codes ``z`` of new items,
    ``clip(sigmoid(z @ weight + bias) / scale, 0, 1)``; rows of zeros where the read-out is not on codes.
    ``direction`` [C, L]: the concept's direction in code space, for the query channel.
    ``direction_effect`` [C]: score units by which one unit of it, decoded by the user tower, raises a member over an
    average item; not above 0: the query channel cannot steer it. ``latent_effect`` [L]: the same for a single latent.
    """

    gains: FloatArray
    label_bits: BitArray
    readout_bits: BitArray
    readout_weight: FloatArray
    readout_bias: FloatArray
    readout_scale: FloatArray
    direction: FloatArray
    direction_effect: FloatArray
    latent_effect: FloatArray

    def check(self, concepts: int, items: int, latents: int) -> None:
        """Raise BundleCorrupt where a shape, dtype or value is off."""
        bits = (concepts, -(-items // 8))
        wanted: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
            "gains": (np.float32, (concepts, items)),
            "label_bits": (np.uint8, bits),
            "readout_bits": (np.uint8, bits),
            "readout_weight": (np.float32, (concepts, latents)),
            "readout_bias": (np.float32, (concepts,)),
            "readout_scale": (np.float32, (concepts,)),
            "direction": (np.float32, (concepts, latents)),
            "direction_effect": (np.float32, (concepts,)),
            "latent_effect": (np.float32, (latents,)),
        }
        for name, (dtype, shape) in wanted.items():
            check_array(f"concept array {name}", getattr(self, name), dtype, shape)
        if self.gains.size and (self.gains.min() < 0 or self.gains.max() > 1):
            raise BundleCorrupt(
                "concept array gains", found=f"{self.gains.min()} to {self.gains.max()}", expected="0 to 1"
            )


@dataclass(frozen=True)
class BundleContents:
    """What export hands to the writer and the reader hands to the server.

    ``items`` has a string column ``item_id`` (row order is vector order), a string column ``title``, and the metadata.
    ``user_ids`` and ``user_vectors`` [U, D] are optional, together. ``item_bias`` [N] only with the dot metric.

    Two ONNX graphs are optional; the writer copies the files, and what was read names those in the bundle's folder:
    ``scorer_onnx`` scores instead of the metric, ``user`` float32 [B, D], ``items`` [n, D] -> ``scores`` [B, n]
    (the metric is then dot, without a bias: it says nothing about the score); ``user_tower_onnx`` makes an embedding of
    ``history`` int64 [B, T] -> ``user`` [B, D], item row + 1, 0 = padding on the left, newest last, T =
    ``history_length``. ``proxy``: optional, with a scorer network only; then the index is over its vectors.
    """

    sae: SaeWeights
    metric: Metric
    items: pa.Table
    item_vectors: FloatArray
    item_bias: FloatArray | None
    item_codes: SparseCodes
    concepts: ConceptFile
    arrays: ConceptArrays
    calibration: Calibration
    user_ids: list[str] | None = None
    user_vectors: FloatArray | None = None
    scorer_onnx: Path | None = None
    user_tower_onnx: Path | None = None
    history_length: int = 0
    proxy: Proxy | None = None

    @property
    def index_vectors(self) -> FloatArray:
        """What index.faiss holds: the proxies where there are some, else the search vectors."""
        if self.proxy is not None:
            return np.ascontiguousarray(self.proxy.vectors, np.float32)
        return search_vectors(self.item_vectors, self.item_bias, self.metric)

    @property
    def scorer(self) -> ScorerKind:
        """What scores an item."""
        return "metric" if self.scorer_onnx is None else "network"

    def check(self) -> None:
        """Raise BundleCorrupt where the parts do not fit each other."""
        items, dim, latents = self.items.num_rows, self.sae.dim, self.sae.latents
        for column in ("item_id", "title"):
            if column not in self.items.column_names or not pa.types.is_string(self.items.schema.field(column).type):
                raise BundleCorrupt("item table", found=self.items.column_names, expected=f"a string column {column!r}")
        if not all_distinct(self.items["item_id"]):
            raise BundleCorrupt("item table: item_id", found="empty or repeated ids", expected="each id once")
        check_array("item vectors", self.item_vectors, np.float32, (items, dim))
        if self.item_bias is not None:
            check_array("item bias", self.item_bias, np.float32, (items,))
            if self.metric != "dot":
                raise BundleCorrupt("item bias", found=f"with metric {self.metric}", expected="only with metric dot")
        if len(self.item_codes) != items or self.item_codes.latents != latents:
            raise BundleCorrupt(
                "item codes",
                found=f"{len(self.item_codes)} x {self.item_codes.latents}",
                expected=f"{items} x {latents}",
            )
        offered = {concept.id for concept in self.concepts.concepts if concept.offered}
        self.arrays.check(len(offered), items, latents)
        strangers = sorted({curve.concept for curve in self.calibration.curves} - offered)
        if strangers:
            raise BundleCorrupt(
                "calibration", found=f"curves for {strangers[:3]}", expected="for offered concepts only"
            )
        for concept in self.concepts.concepts:
            if any(weight.latent >= latents for weight in concept.latents):
                raise BundleCorrupt(f"concept {concept.id}: latents", expected=f"below {latents}")
        if (self.user_ids is None) != (self.user_vectors is None):
            raise BundleCorrupt("users", found="ids or vectors alone", expected="both or neither")
        if self.user_ids is not None and self.user_vectors is not None:
            check_array("user vectors", self.user_vectors, np.float32, (len(self.user_ids), dim))
            if not each_once(self.user_ids):
                raise BundleCorrupt("users: user_id", found="repeated ids", expected="each id once")
        self._check_graphs()

    def _check_graphs(self) -> None:
        if self.scorer_onnx is not None and (self.metric != "dot" or self.item_bias is not None):
            found = f"metric {self.metric}" + (" with an item bias" if self.item_bias is not None else "")
            raise BundleCorrupt("scorer network", found=found, expected="metric dot and no bias: the network scores")
        if self.proxy is not None:
            if self.scorer_onnx is None:
                raise BundleCorrupt("proxy", found="without a scorer network", expected="only with one")
            self.proxy.check(self.items.num_rows)
        if (self.user_tower_onnx is not None) != (self.history_length > 0):
            found = "no tower" if self.user_tower_onnx is None else "a tower"
            raise BundleCorrupt(
                "history length", found=f"{self.history_length} and {found}", expected="above 0 with a tower, else 0"
            )


def check_array(name: str, array: npt.NDArray[np.generic], dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    """Dtype, shape and finiteness, or BundleCorrupt."""
    if array.dtype != dtype or array.shape != shape:
        raise BundleCorrupt(name, found=f"{array.dtype} {array.shape}", expected=f"{np.dtype(dtype)} {shape}")
    if np.issubdtype(dtype, np.floating) and not np.isfinite(array).all():
        raise BundleCorrupt(name, found="NaN or infinity", expected="finite numbers")


def search_vectors(vectors: FloatArray, bias: FloatArray | None, metric: Metric) -> FloatArray:
    """Item vectors [N, D] as the index holds them: unit rows for cosine, the bias as one more column for dot.

    With ``search_query`` the inner product of the two is the recommender's score.
    """
    if metric == "cosine":
        norm = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.ascontiguousarray(vectors / np.where(norm > 0, norm, 1), np.float32)
    if bias is not None:
        return np.ascontiguousarray(np.column_stack([vectors, bias]), np.float32)
    return np.ascontiguousarray(vectors, np.float32)


def search_query(x: FloatArray, *, has_bias: bool, metric: Metric) -> FloatArray:
    """User vector [D] as the index is asked: unit length for cosine, a 1 appended when items have a bias."""
    if metric == "cosine":
        norm = float(np.linalg.norm(x))
        return np.asarray(x / norm if norm > 0 else x, np.float32)
    if not has_bias:
        return np.ascontiguousarray(x, np.float32)
    query = np.ones(len(x) + 1, np.float32)
    query[:-1] = x
    return query
