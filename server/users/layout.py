"""How a user's vector lies in a store.

    key     PREFIX:SPACE:USER_ID    tiller:user:3f2a91c07be4:u17
    value   D float32, little endian, nothing else: 4 x D bytes

SPACE is what a vector can be compared with, by default the first 12 digits of the sha256 of the bundle's item vectors.
A bundle of another training has another space, so its users are looked up under other keys: both can lie there while
one is swapped for the other, and vectors of two trainings never meet.
"""

from __future__ import annotations

import numpy as np

from bundle import Manifest
from server.types import FloatArray

DIGITS = 12


def space_of(manifest: Manifest) -> str:
    """The space of a bundle's vectors."""
    return manifest.files["item_vectors.npy"].sha256[:DIGITS]


def key(prefix: str, space: str, user_id: str) -> str:
    """Where a user's vector lies."""
    return f"{prefix}:{space}:{user_id}"


def encode(vector: FloatArray) -> bytes:
    """A vector [D] as it lies there."""
    return np.ascontiguousarray(vector, "<f4").tobytes()


def decode(value: bytes, dim: int) -> FloatArray | str:
    """The vector [D]; or why the value is none."""
    if len(value) != 4 * dim:
        return f"{len(value)} bytes, not 4 x {dim}"
    vector = np.frombuffer(value, "<f4").astype(np.float32)
    norm = float(np.linalg.norm(vector.astype(np.float64)))
    if not np.isfinite(norm) or norm == 0:
        return "zeros only" if norm == 0 else "a number that is not finite"
    return vector
