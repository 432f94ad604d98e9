"""The ways to steer a concept that are compared, all as one form: steered score = base + dose x unit_u x column_v.

Item channel: the column is a read-out of the item in [0, 1], the unit the user's concept gap by that read-out
(bundle.dose), as the server does; a promotion floors the column at 0.1, a demotion does not.
Query channel: the user moves by ``dose x unit / effect`` along ``a @ W_dec``, so the column is
``v . (a @ W_dec) / effect`` (the server multiplies and divides by the row's input scale, which cancels).
The papers' way: one latent is set to a value and the residual is dropped, ``x^ = decode(z with z_j = value)``; the base
is the reconstruction with the latent at 0, the unit the user's input scale times the users' 90th percentile of the
latent, so that a dose is the value in those percentiles.
A network's score is no sum of a base and a dose: under one, the ways that move the user have no line here and are
measured where they are scored anew at every dose (offline.reproduce).

Legend: U users, N items, L latents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bundle import Concept
from offline.evaluate.doses import Base
from offline.evaluate.latents import best_latent, halves
from offline.evaluate.panel import BoolArray, FloatArray, Panel
from offline.evaluate.subject import POSTING_FLOOR, HeldOutScores, Subject
from offline.recommenders.base import NetworkEmbeddings

Direction = Literal["suppress", "promote"]
DIRECTIONS: tuple[Direction, ...] = ("suppress", "promote")

METHODS: dict[str, str] = {
    "item": "item channel, as served: max(label, read-out)",
    "item_label": "item channel, label",
    "item_logistic": "item channel, logistic on all codes",
    "item_logistic_32": "item channel, logistic on 32 latents",
    "item_probe": "item channel, linear probe (control)",
    "item_latent": "item channel, one latent",
    "query": "query channel, read-out direction, as served",
    "query_latent": "query channel, one latent",
    "papers": "papers: negative value, residual dropped",
    "papers_zero": "papers: set to zero, residual dropped",
}
"""Every method with its name in tables."""

SERVED = ("item", "query")
"""The two channels of the server."""


@dataclass(frozen=True)
class Line:
    """Scores [U, N] at dose 0, and what a dose of 1 adds: ``unit`` [U] (negative: demotion) times ``column`` [N]."""

    scores: FloatArray
    column: FloatArray
    unit: FloatArray


class Methods:
    """Lines of every method for one panel; ``of`` answers None where a method does not exist for a concept."""

    def __init__(self, subject: Subject, panel: Panel, base: Base, held_out: HeldOutScores | None, seed: int) -> None:
        self.subject, self.panel, self.base = subject, panel, base
        self._held_out, self._seed = held_out, seed
        self._query = subject.queries(panel.users)
        self._scale = subject.weights.scale(self._query)
        self._code = subject.weights.encode(self._query, "user")

    def of(self, concept: Concept, wanted: tuple[str, ...]) -> dict[str, Callable[[Direction], Line | None]]:
        """The wanted methods that this subject can measure, each a function of the direction."""
        labels = self.subject.labels(concept)
        arrays, row = self.subject.arrays, concept.row
        out: dict[str, Callable[[Direction], Line | None]] = {}
        if "item" in wanted:
            out["item"] = self._item(np.asarray(arrays.gains[row]))
        if "item_label" in wanted:
            out["item_label"] = self._item(labels.astype(np.float32))
        for kind, scores in self._read_outs(concept, labels, wanted).items():
            out[f"item_{kind}"] = self._item(bounded(scores, labels))
        if "item_latent" in wanted:
            out["item_latent"] = self._item(self._crossed_latent(labels))
        if isinstance(self.subject.embeddings, NetworkEmbeddings):
            return out
        if "query" in wanted:
            direction = arrays.direction[row] @ self.subject.weights.user.w_dec
            gain = np.asarray(arrays.gains[row])
            out["query"] = self._moved(direction, float(arrays.direction_effect[row]), gain)
        if "query_latent" in wanted:
            latent = best_latent(self.subject.codes, labels)
            out["query_latent"] = self._moved(
                self.subject.weights.user.w_dec[latent],
                float(arrays.latent_effect[latent]),
                self.subject.latent_gain(latent),
            )
        if "papers" in wanted:
            out["papers"] = self._papers(best_latent(self.subject.codes, labels))
        return out

    def _read_outs(
        self, concept: Concept, labels: BoolArray, wanted: tuple[str, ...]
    ) -> dict[str, npt.NDArray[np.floating]]:
        if self._held_out is None or not any(f"item_{kind}" in wanted for kind in ("logistic", "logistic_32", "probe")):
            return {}
        scores = self._held_out(concept, labels)
        return {kind: value for kind, value in scores.items() if f"item_{kind}" in wanted}

    def _item(self, gain: FloatArray) -> Callable[[Direction], Line | None]:
        def line(direction: Direction) -> Line:
            if direction == "suppress":
                return Line(self.base.scores, gain, -self.base.demote_units(gain))
            floored = np.where(gain >= POSTING_FLOOR, gain, np.float32(0))
            return Line(self.base.scores, floored, self.base.promote_units(gain))

        return line

    def _moved(self, direction: FloatArray, effect: float, gain: FloatArray) -> Callable[[Direction], Line | None]:
        def line(way: Direction) -> Line | None:
            if effect <= 0:
                return None
            column = (self.subject.item_vectors @ direction / np.float32(effect)).astype(np.float32)
            unit = -self.base.demote_units(gain) if way == "suppress" else self.base.promote_units(gain)
            return Line(self.base.scores, column, unit)

        return line

    def _papers(self, latent: int) -> Callable[[Direction], Line | None]:
        weights, vectors = self.subject.weights, self.subject.item_vectors
        code = self._code.copy()
        active = code[:, latent][code[:, latent] > 0]
        value = float(np.quantile(active, 0.9)) if len(active) else float(self.subject.latent_scale[latent])
        code[:, latent] = 0
        scores = weights.decode(code, self._scale, "user") @ vectors.T
        if self.subject.embeddings.item_bias is not None:
            scores = scores + self.subject.embeddings.item_bias
        scores = self.panel.masked(np.asarray(scores, np.float32))
        column = (vectors @ weights.user.w_dec[latent]).astype(np.float32)
        unit = self._scale[:, 0] * np.float32(value)
        return lambda direction: Line(scores, column, -unit if direction == "suppress" else unit)

    def _crossed_latent(self, labels: BoolArray) -> FloatArray:
        gain = np.zeros(len(labels), np.float32)
        first, second = halves(labels, self._seed)
        for chosen_on, scored_on in ((first, second), (second, first)):
            latent = best_latent(self.subject.codes, labels, chosen_on)
            gain[scored_on] = self.subject.latent_gain(latent)[scored_on]
        return gain


def bounded(scores: npt.NDArray[np.floating], labels: BoolArray) -> FloatArray:
    """A read-out [N] as a gain: 1.0 at the 90th percentile of the members, within [0, 1]."""
    scale = max(float(np.quantile(scores[labels], 0.9)), 1e-6) if labels.any() else 1.0
    return np.asarray(np.clip(scores / scale, 0, 1), np.float32)
