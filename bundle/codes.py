"""Sparse item codes: rows are items (CSR), with the transposed view (posting lists per latent) made on demand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bundle.errors import BundleCorrupt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SparseCodes:
    """Codes [N, L], rows compressed: ``indptr`` int64 [N + 1], ``indices`` int32, ``values`` float32 > 0 [nnz].

    Within a row the indices rise, so that no latent counts twice.
    """

    indptr: IntArray
    indices: npt.NDArray[np.int32]
    values: FloatArray
    latents: int

    def __post_init__(self) -> None:
        for name, dtype in (("indptr", np.int64), ("indices", np.int32), ("values", np.float32)):
            array: npt.NDArray[np.generic] = getattr(self, name)
            if array.dtype != dtype or array.ndim != 1:
                raise BundleCorrupt(
                    f"item codes: {name}", found=f"{array.dtype} {array.shape}", expected=f"{np.dtype(dtype)}, one axis"
                )
        nnz = len(self.values)
        if len(self.indptr) < 1 or self.indptr[0] != 0 or self.indptr[-1] != nnz or (np.diff(self.indptr) < 0).any():
            raise BundleCorrupt("item codes: indptr", found="not a rising count from 0 to the number of values")
        if len(self.indices) != nnz or (nnz and not 0 <= self.indices.min() <= self.indices.max() < self.latents):
            raise BundleCorrupt(
                "item codes: indices", found="a latent out of range", expected=f"0 to {self.latents - 1}"
            )
        starts_row = np.zeros(nnz, bool)
        starts_row[self.indptr[:-1][self.indptr[:-1] < nnz]] = True
        if ((np.diff(self.indices) <= 0) & ~starts_row[1:]).any():
            raise BundleCorrupt("item codes: indices", found="not rising within a row", expected="each latent once")
        if not ((self.values > 0) & np.isfinite(self.values)).all():
            raise BundleCorrupt(
                "item codes: values", found="zero, below zero, NaN or infinity", expected="above zero and finite"
            )

    @classmethod
    def from_dense(cls, codes: FloatArray) -> SparseCodes:
        """Codes [N, L] with zeros to compressed rows."""
        rows, indices = np.nonzero(codes)
        indptr = np.zeros(len(codes) + 1, np.int64)
        np.cumsum(np.bincount(rows, minlength=len(codes)), out=indptr[1:])
        return cls(indptr, indices.astype(np.int32), codes[rows, indices].astype(np.float32), codes.shape[1])

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def dense(self) -> FloatArray:
        """Codes [N, L] with zeros."""
        out = np.zeros((len(self), self.latents), np.float32)
        out[np.repeat(np.arange(len(self)), np.diff(self.indptr)), self.indices] = self.values
        return out

    def row(self, item: int) -> tuple[npt.NDArray[np.int32], FloatArray]:
        """Latents and activations of one item."""
        span = slice(int(self.indptr[item]), int(self.indptr[item + 1]))
        return self.indices[span], self.values[span]

    @cached_property
    def _by_latent(self) -> tuple[IntArray, IntArray, FloatArray]:
        order = np.argsort(self.indices, kind="stable")
        items = np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.indptr))[order]
        starts = np.zeros(self.latents + 1, np.int64)
        np.cumsum(np.bincount(self.indices, minlength=self.latents), out=starts[1:])
        return starts, items, self.values[order]

    def posting(self, latent: int) -> tuple[IntArray, FloatArray]:
        """Items (ascending) that activate one latent, with their activations."""
        starts, items, values = self._by_latent
        span = slice(int(starts[latent]), int(starts[latent + 1]))
        return items[span], values[span]

    def latent_scale(self) -> FloatArray:
        """90th percentile of each latent's activations over the items that activate it, [L]; 1 for a dead latent."""
        scale = np.ones(self.latents, np.float32)
        for latent in range(self.latents):
            values = self.posting(latent)[1]
            if len(values):
                scale[latent] = np.quantile(values, 0.9)
        return scale
