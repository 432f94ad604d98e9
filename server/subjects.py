"""Whatever a rule can name, under the one form that the engine steers: ``Steerable``.

    concepts by weight   A = min(1, sum w_c A_c), the largest w = 1; a member of any concept is a member
    items                A = 1 on these, 0 elsewhere
    examples             A = clip(l / l*, 0, 1) with l(v) = cos(z_v - m, a), a member at A >= 0.5
                         a = mean z of like - mean z of unlike (without these m), m the catalogue's mean code,
                         l* the median l of ``like``

Examples are read in the space of the codes, from the catalogue's mean: of the ways compared on MovieLens-1M it finds
the other members of a genre best, from one example on (docs/decisions/019). What is in ``like`` has A = 1, what is in
``unlike`` A = 0. Legend: N items, L latents, D embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from bundle import BundleContents, dose
from server import bits
from server.bits import BitArray
from server.errors import UnknownConcept
from server.steerable import Steerable
from server.subject import Examples, Mixture, Subject, Toward
from server.types import FloatArray, IntArray
from server.weak import weakly

KEPT = 32
"""Subjects whose dense gain column stays in memory; 4 bytes x items each."""

Array = npt.NDArray[np.float64]


class Subjects:
    """The subjects of one bundle; those that were asked for last are kept.

    Args:
        contents: of the bundle.
        find: its concepts and latents by name.
        rows: item id -> row.
        vectors: its search vectors [N, D'].
    """

    def __init__(
        self,
        contents: BundleContents,
        find: Callable[[str], Steerable],
        rows: Mapping[str, int],
        vectors: FloatArray,
    ) -> None:
        self._contents = contents
        self._find = find
        self._rows = rows
        self._vectors = vectors
        self._kept = lru_cache(maxsize=KEPT)(weakly(self._made))

    def finding(self, find: Callable[[str], Steerable]) -> Subjects:
        """The same over other names; what was computed about the codes is shared."""
        made = copy(self)
        made._find = find
        made._kept = lru_cache(maxsize=KEPT)(weakly(made._made))
        return made

    def known(self, item_ids: Iterable[str]) -> IntArray:
        """Rows of the ids that the catalogue has, ascending."""
        return np.array(sorted(row for row in map(self._rows.get, item_ids) if row is not None), np.int64)

    def find(self, subject: Subject) -> Steerable:
        """The subject as the engine steers it.

        Raises:
            UnknownConcept: one of its concepts is not offered, none of its items is known, its examples have nothing in
                common, or nobody is its audience.
        """
        made = self._kept(subject)
        if isinstance(made, str):
            raise UnknownConcept(made)
        return made

    def _made(self, subject: Subject) -> Steerable | str:
        """The same, or why not: that is kept too, because a policy may name it with every request."""
        try:
            return self._make(subject)
        except UnknownConcept as error:
            return error.sentence()

    def _make(self, subject: Subject) -> Steerable:
        if isinstance(subject, Mixture):
            return self._mixture(subject)
        if isinstance(subject, Examples):
            return self._examples(subject)
        if isinstance(subject, Toward):
            if not bits.count(self._find(subject.audience).members(), len(self._vectors)):
                raise UnknownConcept(f"{subject.audience} has no item in this bundle, and so no audience")
            if self._contents.user_vectors is None or not len(self._contents.user_vectors):
                raise UnknownConcept(
                    f"nobody is known to be the audience of {subject.audience}: this bundle stores no users",
                    hint="Export it with users, or promote the items to everybody: leave toward out.",
                )  # fmt: skip
        return self._items(str(subject), self._some(subject.item_ids))

    def _mixture(self, subject: Mixture) -> Steerable:
        parts = [(self._find(concept), weight) for concept, weight in subject.parts]
        size = len(self._vectors)
        gain = np.zeros(size, np.float32)
        direction = np.zeros(self._contents.sae.latents, np.float64)
        labels, readouts = bits.of_rows(np.empty(0, np.int64), size), bits.of_rows(np.empty(0, np.int64), size)
        for part, weight in parts:
            gain += np.float32(weight) * part.gain
            direction += weight * part.direction
            labels |= part.members()
            readouts |= part.readouts
        labelled = any(part.labels is not None for part, _ in parts)
        return self._with_direction(
            str(subject), np.minimum(gain, 1), direction, labels if labelled else None, readouts
        )

    def _items(self, name: str, rows: IntArray) -> Steerable:
        gain = np.zeros(len(self._vectors), np.float32)
        gain[rows] = 1
        inside = bits.of_rows(rows, len(gain))
        return Steerable(
            id=name, gain=gain, direction=np.zeros(self._contents.sae.latents, np.float32), effect=0.0, labels=inside,
            readouts=inside, vectors=self._vectors,
        )  # fmt: skip

    def _examples(self, subject: Examples) -> Steerable:
        like, unlike = self._some(subject.like), self.known(subject.unlike)
        away = self.mean_code(unlike) if len(unlike) else self.mean
        axis = self.mean_code(like) - away
        size = float(np.linalg.norm(axis))
        alike = self._alike(axis / size) if size > 0 else np.zeros(len(self._vectors))
        reach = float(np.median(alike[like]))
        if not reach > 0:
            raise UnknownConcept(
                f"nothing tells the items to be like from {'the others' if len(unlike) else 'the average item'}",
                found=str(subject), hint="Give examples that have something in common.",
            )  # fmt: skip
        gain = np.clip(alike / reach, 0, 1).astype(np.float32)
        gain[like], gain[unlike] = 1, 0
        readouts = np.packbits(gain >= dose.MEMBER_READOUT, bitorder="little")
        return self._with_direction(str(subject), gain, axis, None, readouts)

    def _with_direction(
        self, name: str, gain: FloatArray, direction: Array, labels: BitArray | None, readouts: BitArray
    ) -> Steerable:
        """With the direction [L] at unit length, and its effect, as offline.label.effects has it; 0 under a network."""
        size = float(np.linalg.norm(direction))
        unit = np.asarray(direction / size if size > 0 else direction, np.float32)
        effect = 0.0
        if self._contents.scorer == "metric":
            inside = np.unpackbits(readouts if labels is None else labels, count=len(gain), bitorder="little")
            moved = unit.astype(np.float64) @ self._contents.sae.user.w_dec
            effect = float(self._lift(inside.astype(np.bool_)) @ moved)
        return Steerable(
            id=name, gain=gain, direction=unit, effect=effect, labels=labels, readouts=readouts, vectors=self._vectors,
            graded=True,
        )  # fmt: skip

    def _lift(self, inside: npt.NDArray[np.bool_]) -> Array:
        """Mean search vector of the members over that of all items, [D], without a bias."""
        if not inside.any():
            return np.zeros(self._contents.sae.dim)
        dim = self._contents.sae.dim
        return np.asarray(self._vectors[inside, :dim].mean(0, np.float64) - self._mean_vector)

    @cached_property
    def _mean_vector(self) -> Array:
        return np.asarray(self._vectors[:, : self._contents.sae.dim].mean(0, np.float64))

    def _some(self, item_ids: tuple[str, ...]) -> IntArray:
        rows = self.known(item_ids)
        if not len(rows):
            raise UnknownConcept(
                "none of the items is in the catalogue", found=", ".join(map(repr, item_ids[:3])),
                expected=f"ids of the {len(self._rows)} items",
            )  # fmt: skip
        return rows

    def mean_code(self, rows: IntArray) -> Array:
        """Mean code of some items, [L]."""
        codes = self._contents.item_codes
        starts, counts = codes.indptr[rows], codes.indptr[rows + 1] - codes.indptr[rows]
        before = np.concatenate([[0], np.cumsum(counts)[:-1]])
        at = np.arange(int(counts.sum())) + np.repeat(starts - before, counts)
        total = np.bincount(codes.indices[at], codes.values[at].astype(np.float64), minlength=codes.latents)
        return np.asarray(total / len(rows), np.float64)

    @cached_property
    def mean(self) -> Array:
        """The catalogue's mean code, [L]."""
        codes = self._contents.item_codes
        total = np.bincount(codes.indices, codes.values.astype(np.float64), minlength=codes.latents)
        return np.asarray(total / len(codes), np.float64)

    @cached_property
    def _spread(self) -> Array:
        """Every code's distance to the mean code, [N]; 1 where it is the mean."""
        codes, mean = self._contents.item_codes, self.mean
        square = self._per_item(codes.values.astype(np.float64) ** 2) - 2 * self._along(mean) + mean @ mean
        return np.asarray(np.where(square > 1e-12, np.sqrt(np.maximum(square, 0)), 1))

    def _alike(self, axis: Array) -> Array:
        """Cosine of every code, from the mean, with a unit ``axis`` [L]; [N]."""
        return np.asarray((self._along(axis) - self.mean @ axis) / self._spread)

    def _along(self, axis: Array) -> Array:
        codes = self._contents.item_codes
        return self._per_item(codes.values * axis[codes.indices])

    def _per_item(self, values: Array) -> Array:
        """Sums of what lies at every item's active latents, [N]."""
        total = np.concatenate([[0.0], np.cumsum(values)])
        indptr = self._contents.item_codes.indptr
        return np.asarray(total[indptr[1:]] - total[indptr[:-1]])
