"""One concept with its row of every concept array, and a bundle's concepts with some put in or changed.

Legend: N items, n known items, L latents, C concepts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from bundle import BundleContents, Concept, ConceptArrays, ConceptFile

FloatArray = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class Readings:
    """What a threshold is chosen from and judged on.

    ``values`` [N]: the read-out of every item. ``held_out`` and ``members`` [n]: items whose membership is known, read
    by a model that has not seen them, on the same scale.
    """

    values: Values
    held_out: Values
    members: BoolArray


@dataclass(frozen=True)
class Entry:
    """A concept that a bundle does not hold yet.

    ``gains`` [N]; ``labels``, ``readouts`` bool [N]; ``weight``, ``direction`` [L]; as in bundle.ConceptArrays.
    """

    concept: Concept
    readings: Readings
    gains: FloatArray
    labels: BoolArray
    readouts: BoolArray
    weight: FloatArray
    bias: float
    scale: float
    direction: FloatArray
    effect: float


@dataclass(frozen=True)
class Refused:
    """Why a concept cannot be offered, and its held-out AUC if it came that far."""

    reason: str
    auc: float | None = None


@dataclass(frozen=True)
class Change:
    """What is different about a concept that a bundle holds; ``readouts`` [N] bool where the threshold is."""

    concept: Concept
    readouts: BoolArray | None = None


def labels_of(concept: Concept, contents: BundleContents) -> BoolArray:
    """Items that carry the label, bool [N]; none for a concept that is not offered."""
    return _unpacked(contents.arrays.label_bits, concept, contents)


def readouts_of(concept: Concept, contents: BundleContents) -> BoolArray:
    """Members by read-out, bool [N]; none for a concept that is not offered."""
    return _unpacked(contents.arrays.readout_bits, concept, contents)


def with_concepts(
    contents: BundleContents, entries: Sequence[Entry], changes: Mapping[str, Change]
) -> tuple[ConceptFile, ConceptArrays]:
    """The concepts of ``contents`` with ``changes`` (by id) and, behind them, ``entries``.

    An entry takes the place of a concept of its id, which must not be offered.
    """
    arrays, first = contents.arrays, len(contents.arrays.gains)
    taken = {entry.concept.id for entry in entries}
    concepts, readout_bits = [], np.array(arrays.readout_bits)
    for concept in contents.concepts.concepts:
        if concept.id in taken:
            continue
        change = changes.get(concept.id)
        concepts.append(change.concept if change is not None else concept)
        if change is not None and change.readouts is not None and concept.row is not None:
            readout_bits[concept.row] = np.packbits(change.readouts, bitorder="little")
    for place, entry in enumerate(entries):
        concepts.append(entry.concept.model_copy(update={"row": first + place}))
    file = ConceptFile(concepts=tuple(concepts))
    if not entries:
        return file, replace(arrays, readout_bits=readout_bits)
    return file, ConceptArrays(
        gains=_below(arrays.gains, [entry.gains for entry in entries]),
        label_bits=_below(arrays.label_bits, [np.packbits(entry.labels, bitorder="little") for entry in entries]),
        readout_bits=_below(readout_bits, [np.packbits(entry.readouts, bitorder="little") for entry in entries]),
        readout_weight=_below(arrays.readout_weight, [entry.weight for entry in entries]),
        readout_bias=_below(arrays.readout_bias, [np.float32(entry.bias) for entry in entries]),
        readout_scale=_below(arrays.readout_scale, [np.float32(entry.scale) for entry in entries]),
        direction=_below(arrays.direction, [entry.direction for entry in entries]),
        direction_effect=_below(arrays.direction_effect, [np.float32(entry.effect) for entry in entries]),
        latent_effect=arrays.latent_effect,
    )


def _below(table: npt.NDArray[Number], rows: Sequence[npt.ArrayLike]) -> npt.NDArray[Number]:
    return np.concatenate([table, np.asarray(rows, table.dtype)])


def _unpacked(bits: npt.NDArray[np.uint8], concept: Concept, contents: BundleContents) -> BoolArray:
    count = len(contents.item_codes)
    if concept.row is None:
        return np.zeros(count, np.bool_)
    return np.unpackbits(bits[concept.row], count=count, bitorder="little").view(np.bool_)
