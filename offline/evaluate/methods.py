"""The ways to steer a concept that are compared, all as one form: steered score = base + dose x unit_u x column_v.

Where a network scores, the query channel is no line: its scores are those of the moved users, ``Line.moved``.

Item channel: the column is a read-out of the item in [0, 1], the unit the user's concept gap by that read-out
(bundle.dose), as the server does; a promotion floors the column at 0.1, a demotion does not.
Query channel: the user moves by ``dose x unit / effect`` along ``a @ W_dec``, so the column is
``v . (a @ W_dec) / effect`` (the server multiplies and divides by the row's input scale, which cancels).
The papers' way: one latent is set to a value and the residual is dropped, ``x^ = decode(z with z_j = value)``; the base
is the reconstruction with the latent at 0, the unit the user's input scale times the users' 90th percentile of the
latent, so that a dose is the value in those percentiles.
Controls: directions that need no SAE (offline.evaluate.directions), a random latent, a random direction, and read-outs
of a raw dimension or of the nearness to the members' centroid, chosen on one half of the items, scored on the other.

Legend: U users, N items, L latents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bundle import Concept
from offline.evaluate.directions import best_dimension, centroid, effect, ridge, taste
from offline.evaluate.doses import Base
from offline.evaluate.latents import best_latent, halves
from offline.evaluate.panel import BoolArray, FloatArray, Panel
from offline.evaluate.subject import POSTING_FLOOR, HeldOutScores, Subject

Direction = Literal["suppress", "promote"]
DIRECTIONS: tuple[Direction, ...] = ("suppress", "promote")

METHODS: dict[str, str] = {
    "item": "item channel, as served: max(label, read-out)",
    "item_constant": "item channel, as served, one dose for all users",
    "item_label": "item channel, label",
    "item_logistic": "item channel, logistic on all codes",
    "item_logistic_32": "item channel, logistic on 32 latents",
    "item_audience": "item channel, kernel on the codes of those who took the item",
    "item_decoded": "item channel, kernel on decoded codes",
    "item_logistic_seen": "item channel, logistic on all codes, fitted on the items it scores",
    "item_probe": "item channel, linear probe (control)",
    "item_probe_seen": "item channel, linear probe, fitted on the items it scores (control)",
    "item_centroid": "item channel, nearness to the members' centroid (control)",
    "item_latent": "item channel, one latent",
    "item_random_latent": "item channel, a random latent (control)",
    "item_dimension": "item channel, raw dimension (control)",
    "query": "query channel, as served",
    "query_latent": "query channel, one latent",
    "query_zero": "query channel, latent set to zero",
    "query_probe": "query channel, linear probe on items (control)",
    "query_users": "query channel, linear probe on users (control)",
    "query_centroid": "query channel, concept centroid (control)",
    "query_random_latent": "query channel, a random latent (control)",
    "query_random": "query channel, a random direction (control)",
    "query_dimension": "query channel, raw dimension (control)",
    "papers": "papers: negative value, residual dropped",
    "papers_zero": "papers: set to zero, residual dropped",
}
"""Every method with its name in tables."""

FIXED = ("query_zero", "papers_zero")
"""Edits without a dose: they do what they do, and only a suppression."""

HELD_OUT_KINDS = ("logistic", "logistic_32", "audience", "decoded", "logistic_seen", "probe", "probe_seen")
"""Read-outs that ``HeldOutScores`` may give, each a method ``item_KIND``; ``seen`` ones are not held out: they are the
design's protocol, fitted on all items and scored on the same."""

SERVED = ("item", "query")
"""The two channels of the server."""


@dataclass(frozen=True)
class Line:
    """Scores [U, N] at dose 0, and what a dose of 1 adds: ``unit`` [U] (negative: demotion) times ``column`` [N].

    ``moved``: the scores [U, N] at a dose where they are not linear in it (a network scores the moved users).
    """

    scores: FloatArray
    column: FloatArray
    unit: FloatArray
    moved: Callable[[float], FloatArray] | None = None


Maker = Callable[[Direction], Line | None]


class Methods:
    """Lines of every method for one panel; ``of`` answers None where a method does not exist for a concept."""

    def __init__(self, subject: Subject, panel: Panel, base: Base, held_out: HeldOutScores | None, seed: int) -> None:
        self.subject, self.panel, self.base = subject, panel, base
        self._held_out, self._seed = held_out, seed
        self._query_rows = subject.queries(panel.users)
        self._scale = subject.weights.scale(self._query_rows)
        self._code = subject.weights.encode(self._query_rows, "user")

    def of(self, concept: Concept, wanted: tuple[str, ...]) -> dict[str, Maker]:
        """The wanted methods that this subject can measure, each a function of the direction."""
        labels = self.subject.labels(concept)
        arrays, row = self.subject.arrays, concept.row
        served = np.asarray(arrays.gains[row])
        decoders = self.subject.weights.user.w_dec
        out: dict[str, Maker] = {}
        if "item" in wanted:
            out["item"] = self._item(served)
        if "item_constant" in wanted:
            out["item_constant"] = self._item(served, constant=True)
        if "item_label" in wanted:
            out["item_label"] = self._item(labels.astype(np.float32))
        for kind, scores in self._read_outs(concept, labels, wanted).items():
            out[f"item_{kind}"] = self._item(bounded(scores, labels))
        for name, crossed in self._chosen_on_halves(concept, labels).items():
            if name in wanted:
                out[name] = self._item(crossed())
        if "query" in wanted:
            direction = arrays.direction[row] @ decoders
            out["query"] = self._query(direction, float(arrays.direction_effect[row]), served)
        if "query_latent" in wanted:
            latent = best_latent(self.subject.codes, labels)
            rise = float(arrays.latent_effect[latent])
            out["query_latent"] = self._query(decoders[latent], rise, self.subject.latent_gain(latent))
        for name, move in self._controls(concept, labels).items():
            if name in wanted:
                out[name] = self._control(move(), labels, served)
        if "query_zero" in wanted:
            latent = best_latent(self.subject.codes, labels)
            unit = -self._scale[:, 0] * self._code[:, latent]
            out["query_zero"] = self._fixed(self._moved(self._query_rows, self.base.scores, decoders[latent], unit))
        if "papers" in wanted:
            out["papers"] = self._papers(best_latent(self.subject.codes, labels))
        return out

    def _read_outs(
        self, concept: Concept, labels: BoolArray, wanted: tuple[str, ...]
    ) -> dict[str, npt.NDArray[np.floating]]:
        if self._held_out is None or not any(f"item_{kind}" in wanted for kind in HELD_OUT_KINDS):
            return {}
        scores = self._held_out(concept, labels)
        return {kind: value for kind, value in scores.items() if f"item_{kind}" in wanted}

    def _chosen_on_halves(self, concept: Concept, labels: BoolArray) -> dict[str, Callable[[], FloatArray]]:
        """Gains [N] of what is chosen on one half of the items and read on the other."""
        vectors = self.subject.item_vectors

        def by_latent(on: BoolArray) -> FloatArray:
            return self.subject.latent_gain(best_latent(self.subject.codes, labels, on))

        def by_dimension(on: BoolArray) -> FloatArray:
            place, sign = best_dimension(vectors[on], labels[on])
            return bounded(np.maximum(np.float32(sign) * vectors[:, place], 0), labels & on)

        def by_centroid(on: BoolArray) -> FloatArray:
            near = vectors @ centroid(vectors[on], labels[on])
            norm = np.linalg.norm(vectors, axis=1)
            return bounded(np.maximum(near / np.where(norm > 0, norm, 1), 0), labels & on)

        def crossed(of: Callable[[BoolArray], FloatArray]) -> FloatArray:
            first, second = halves(labels, self._seed)
            return np.asarray(np.where(first, of(second), of(first)), np.float32)

        return {
            "item_latent": lambda: crossed(by_latent),
            "item_dimension": lambda: crossed(by_dimension),
            "item_centroid": lambda: crossed(by_centroid),
            "item_random_latent": lambda: self.subject.latent_gain(self._random(concept)[0]),
        }

    def _controls(self, concept: Concept, labels: BoolArray) -> dict[str, Callable[[], FloatArray]]:
        """Moves [D] of a query; fitted on all items (or the panel's users), as the served direction is."""
        vectors = self.subject.item_vectors
        width = vectors.shape[1]

        def dimension() -> FloatArray:
            place, sign = best_dimension(vectors, labels)
            return np.asarray(sign * np.eye(width)[place], np.float32)

        def users() -> FloatArray:
            if self.panel.seen is not None:
                return ridge(self._query_rows, taste(self.panel.seen, labels))
            shown = labels[np.maximum(self.base.items, 0)] & (self.base.items >= 0)
            return ridge(self._query_rows, shown.mean(1))

        return {
            "query_probe": lambda: ridge(vectors, labels.astype(np.float64)),
            "query_users": users,
            "query_centroid": lambda: centroid(vectors, labels),
            "query_random_latent": lambda: self.subject.weights.user.w_dec[self._random(concept)[0]],
            "query_random": lambda: self._random(concept)[1],
            "query_dimension": dimension,
        }

    def _random(self, concept: Concept) -> tuple[int, FloatArray]:
        """A latent that some item has, and a direction [D] of length 1: the same for the same concept and seed."""
        rng = np.random.default_rng([self._seed, *concept.id.encode()])
        used = np.unique(self.subject.codes.indices)
        direction = rng.normal(size=self.subject.item_vectors.shape[1])
        latent = int(rng.choice(used)) if len(used) else 0
        return latent, np.asarray(direction / np.linalg.norm(direction), np.float32)

    def _item(self, gain: FloatArray, *, constant: bool = False) -> Maker:
        def line(direction: Direction) -> Line:
            suppress = direction == "suppress"
            unit = -self.base.demote_units(gain) if suppress else self.base.promote_units(gain)
            if constant:
                unit = np.full_like(unit, np.median(unit))
            column = gain if suppress else np.where(gain >= POSTING_FLOOR, gain, np.float32(0))
            return Line(self.base.scores, column, unit)

        return line

    def _query(self, move: FloatArray, rise: float, gain: FloatArray) -> Maker:
        """Users moved along ``move`` [D], of which one unit raises a member by ``rise`` over an average item."""

        def line(direction: Direction) -> Line | None:
            if rise <= 0:
                return None
            unit = -self.base.demote_units(gain) if direction == "suppress" else self.base.promote_units(gain)
            return self._moved(self._query_rows, self.base.scores, move / np.float32(rise), unit)

        return line

    def _control(self, move: FloatArray, labels: BoolArray, gain: FloatArray) -> Maker:
        rise = effect(self.subject, move, labels, self._query_rows)
        return self._query(-move if rise < 0 else move, abs(rise), gain)

    def _moved(self, users: FloatArray, scores: FloatArray, move: FloatArray, unit: FloatArray) -> Line:
        """Users [U, D] of the given scores, moved by ``dose x unit x move``."""
        if not self.subject.is_network:
            return Line(scores, (self.subject.item_vectors @ move).astype(np.float32), unit)

        def moved(dose: float) -> FloatArray:
            at = users + (np.float32(dose) * unit)[:, None] * move
            return self.panel.masked(self.subject.scores(at.astype(np.float32)))

        return Line(scores, np.zeros(0, np.float32), unit, moved)

    def _fixed(self, line: Line) -> Maker:
        return lambda direction: line if direction == "suppress" else None

    def _papers(self, latent: int) -> Maker:
        code = self._code.copy()
        active = code[:, latent][code[:, latent] > 0]
        value = float(np.quantile(active, 0.9)) if len(active) else float(self.subject.latent_scale[latent])
        code[:, latent] = 0
        users = self.subject.weights.decode(code, self._scale, "user")
        scores = self.panel.masked(np.asarray(self.subject.scores(users), np.float32))
        move, unit = self.subject.weights.user.w_dec[latent], self._scale[:, 0] * np.float32(value)
        return lambda direction: self._moved(users, scores, move, -unit if direction == "suppress" else unit)


def bounded(scores: npt.NDArray[np.floating], labels: BoolArray) -> FloatArray:
    """A read-out [N] as a gain: 1.0 at the 90th percentile of the members, within [0, 1]."""
    scale = max(float(np.quantile(scores[labels], 0.9)), 1e-6) if labels.any() else 1.0
    return np.asarray(np.clip(scores / scale, 0, 1), np.float32)
