"""Sets of items as packed bits, little bit order: byte ``row >> 3``, bit ``row & 7``.

Legend: N items, B = ceil(N / 8).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from server.types import IntArray

BitArray = npt.NDArray[np.uint8]


def has(bits: BitArray, row: int) -> bool:
    """Whether one item is in the set."""
    return bool(bits[row >> 3] >> (row & 7) & 1)


def has_each(bits: BitArray, rows: IntArray) -> npt.NDArray[np.bool_]:
    """Whether each item is in the set, [len(rows)]; rows must be valid."""
    inside: npt.NDArray[np.bool_] = ((bits[rows >> 3] >> (rows & 7).astype(np.uint8)) & 1).astype(np.bool_)
    return inside


def count(bits: BitArray, items: int) -> int:
    """How many of the N items are in the set."""
    return int(np.unpackbits(bits, count=items, bitorder="little").sum())


def of_rows(rows: IntArray, items: int) -> BitArray:
    """The set of the given rows, [B]."""
    mask = np.zeros(items, np.bool_)
    mask[rows] = True
    return np.packbits(mask, bitorder="little")
