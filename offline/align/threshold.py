"""A threshold that a person chose, carried to another scale: the same number of items above it.

Read-outs of two bundles are not on one scale, so the number itself means nothing in the other. What a person chose is
how wide the concept is; that is kept, and precision and recall are measured again where it lands.

Legend: N items, n known items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bundle import BundleContents, Concept
from offline.align.entry import BoolArray, IntArray, Readings, Values, labels_of
from offline.align.fit import LATENT_READOUT
from offline.label import Features, LabelConfig, ReadoutKind, fit
from offline.label.config import LEFT_OUT
from offline.label.decoded import Decoded
from offline.label.fitting import SMALLEST_SCALE
from offline.label.halves import cross_fit, stratified_halves
from offline.label.soft_step import step


@dataclass(frozen=True)
class Graded:
    """A threshold, the members by read-out at it [N], and precision and recall on items the read-out has not seen."""

    threshold: float
    readouts: BoolArray
    precision: float
    recall: float

    def put(self, concept: Concept) -> Concept:
        """The concept with this threshold, which is a person's, and its figures."""
        quality = concept.quality
        if quality is not None:
            quality = quality.model_copy(update={"precision": self.precision, "recall": self.recall})
        by_hand = tuple(dict.fromkeys((*concept.by_hand, "threshold")))
        return concept.model_copy(update={"threshold": self.threshold, "quality": quality, "by_hand": by_hand})


def read(concept: Concept, contents: BundleContents, config: LabelConfig) -> Readings:
    """Readings of a concept that a bundle holds, by the models that labelling fitted (same items, halves and seed)."""
    members = labels_of(concept, contents)
    gains = np.asarray(contents.arrays.gains[concept.row], np.float64)
    if concept.readout in LEFT_OUT:
        values = _left_out(members, gains, contents, config)
        return Readings(values, values, members)  # every item is scored by the others
    if concept.readout == LATENT_READOUT or concept.readout not in get_args(ReadoutKind):
        return Readings(gains, gains, members)
    kind: ReadoutKind = concept.readout  # type: ignore[assignment]
    features = Features.of(contents.item_codes, np.asarray(contents.item_vectors))
    everything = np.arange(len(members))
    halves = stratified_halves(members, everything, np.random.default_rng([config.seed, *concept.id.encode()]))
    held_out = cross_fit(kind, features, members, halves, config).scores
    probability = fit(kind, features, members, everything, config)(features)
    scale = max(float(np.quantile(probability[members], 0.9)), SMALLEST_SCALE)
    return Readings(np.clip(probability / scale, 0, 1), np.clip(held_out / scale, 0, 1), members)


def _left_out(members: BoolArray, gains: Values, contents: BundleContents, config: LabelConfig) -> Values:
    """Read-outs [N] that leave each item out: the shipped ones, and for members, whose gain is 1, made anew.

    A bundle holds no interactions, so members of an `audience` read-out, too, are read from their decoded codes; that
    finds fewer of them, and recall is then a lower bound.
    """
    kernel = Decoded.of(contents.item_codes, contents.sae, config, _popularity(contents))
    made = step(kernel.scores(members[None])[0], members)
    scale = max(float(np.quantile(made[members], 0.9)), SMALLEST_SCALE)
    return np.where(members, np.clip(made / scale, 0, 1), gains)


def _popularity(contents: BundleContents) -> npt.NDArray[np.float64] | None:
    """Interactions of every item, where the item table tells: what labelling weighed the items by."""
    if "popularity" not in contents.items.column_names:
        return None
    column = contents.items["popularity"]
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return None
    counts = np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
    return counts if np.isfinite(counts).all() and (counts >= 0).all() else None


def at_threshold(readings: Readings, threshold: float) -> Graded:
    """Members and held-out figures at a threshold."""
    taken = readings.held_out >= threshold
    hits = int((taken & readings.members).sum())
    return Graded(
        threshold,
        readings.values >= threshold,
        hits / max(1, int(taken.sum())),
        hits / max(1, int(readings.members.sum())),
    )


def at_count(readings: Readings, rows: IntArray, count: int) -> Graded:
    """The threshold that ``count`` of the items ``rows`` reach; halfway to the next lower read-out."""
    ranked = np.sort(readings.values[rows])[::-1]
    if count == 0 or not len(ranked):
        return at_threshold(readings, 1.0)
    lowest = ranked[min(count, len(ranked)) - 1]
    lower = ranked[ranked < lowest]
    below = lower[0] if len(lower) else 0.0
    return at_threshold(readings, float((lowest + below) / 2))
