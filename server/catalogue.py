"""What a bundle lets you steer: items, users, and every concept and latent under one form, ``Steerable``."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from functools import lru_cache
from weakref import WeakValueDictionary

import numpy as np
from rapidfuzz import fuzz, process

from bundle import LATENT_FAMILY, Bundle, Concept, search_vectors
from bundle.strings import to_list
from server import bits
from server.columns import Columns
from server.errors import UnknownConcept, UnknownUser
from server.steerable import Steerable
from server.subject import CUSTOM_FAMILY, Custom
from server.subjects import Subjects
from server.types import FloatArray, Rule
from server.weak import weakly

LATENTS_KEPT = 128
"""Latents whose dense gain column stays in memory; 4 bytes x items each."""


class Catalogue:
    """Names to rows, for one loaded bundle."""

    def __init__(self, bundle: Bundle) -> None:
        contents = bundle.contents
        self.bundle = bundle
        self.item_ids: list[str] = to_list(contents.items["item_id"])
        self.titles: list[str] = to_list(contents.items["title"])
        self.item_rows = {item_id: row for row, item_id in enumerate(self.item_ids)}
        self.latents = contents.sae.latents
        self.dial = contents.calibration.dial
        self.concepts: tuple[Concept, ...] = contents.concepts.concepts
        self.vectors = search_vectors(contents.item_vectors, contents.item_bias, contents.metric)
        vectors = contents.user_vectors
        # A plain view: indexing a memmap costs several times more.
        self._user_vectors = None if vectors is None else np.asarray(vectors)
        self._user_rows = {user_id: row for row, user_id in enumerate(contents.user_ids or ())}
        self._by_id = {concept.id: concept for concept in self.concepts}
        self._named = {concept.id: self._concept(concept) for concept in self.concepts if concept.row is not None}
        self.columns = Columns([steerable.gain for steerable in self._named.values()])
        self._latent_scale = contents.item_codes.latent_scale()
        self._latent = lru_cache(maxsize=LATENTS_KEPT)(weakly(self._make_latent))
        self.subjects = Subjects(contents, weakly(self.find), self.item_rows, self.vectors)
        self.customs: dict[str, Custom] = {}
        self._lost: dict[str, str] = {}
        self._alone: Catalogue | None = None  # without custom concepts; None: this is it
        self._made: WeakValueDictionary[tuple[Custom, ...], Catalogue] = WeakValueDictionary()

    def find(self, concept_id: str) -> Steerable:
        """The concept (``genre:horror``), one's own (``custom:cosy``) or latent (``latent:113``).

        Raises:
            UnknownConcept: no such name, or it was looked for and not found; says why or names the nearest.
        """
        known = self._named.get(concept_id)
        if known is not None:
            return known
        latent = self._latent_number(concept_id)
        if latent is not None:
            return self._latent(latent)
        raise self._unknown(concept_id, concept_id.partition(":")[0])

    def with_customs(self, customs: tuple[Custom, ...]) -> Catalogue:
        """The bundle with concepts of one's own, in the place of any others; an id of the bundle then means the custom.

        What the bundle cannot make is not offered, and says why. As long as somebody holds the result it is not made
        again: so a thread that holds it spares the event loop the work.
        """
        alone = self._alone or self
        if not customs:
            return alone
        made = alone._made.get(customs)
        if made is None:
            made = alone._made[customs] = alone._copied(customs)
        return made

    def _copied(self, customs: tuple[Custom, ...]) -> Catalogue:
        made = copy(self)
        made._alone = self
        made.customs = {custom.id: custom for custom in customs}
        made._by_id = {name: concept for name, concept in self._by_id.items() if name not in made.customs}
        made._named = {name: steerable for name, steerable in self._named.items() if name not in made.customs}
        made._lost = {}
        made.subjects = self.subjects.finding(weakly(made.find))
        for custom in customs:
            try:
                made._named[custom.id] = replace(self.subjects.find(custom.subject), id=custom.id)
            except UnknownConcept as error:
                made._lost[custom.id] = error.sentence()
        return made

    def of(self, rule: Rule) -> Steerable:
        """What a rule names.

        Raises:
            UnknownConcept: see ``find`` and server.subjects.
        """
        return self.find(rule.concept) if rule.subject is None else self.subjects.find(rule.subject)

    def offers(self, rule: Rule) -> bool:
        """Whether ``of`` would succeed."""
        try:
            self.of(rule)
        except UnknownConcept:
            return False
        return True

    @property
    def named(self) -> Iterable[Steerable]:
        """The offered concepts; not the latents."""
        return self._named.values()

    def is_named(self, concept_id: str) -> bool:
        """Whether it is a concept of the bundle or one's own, which stays in memory; no latent."""
        return concept_id in self._named

    def is_offered(self, concept_id: str) -> bool:
        """Whether ``find`` would succeed."""
        try:
            self.find(concept_id)
        except UnknownConcept:
            return False
        return True

    def concept_of(self, concept_id: str) -> Concept | None:
        """The concept's entry in concepts.json, offered or not; None for a latent or an unknown name."""
        return self._by_id.get(concept_id)

    def has_user(self, user_id: str) -> bool:
        """Whether the bundle stores the user."""
        return user_id in self._user_rows

    def user_vector(self, user_id: str) -> FloatArray:
        """The stored embedding of a user, [D].

        Raises:
            UnknownUser: naming the nearest.
        """
        row = self._user_rows.get(user_id)
        vectors = self._user_vectors
        if row is None or vectors is None:
            if not self._user_rows:
                raise UnknownUser(
                    "this bundle stores no users", field="user_id", found=repr(user_id), hint="Send the embedding."
                )
            raise UnknownUser(
                "unknown user", field="user_id", found=repr(user_id), expected=f"one of {len(self._user_rows)} users",
                hint=f"Nearest: {_nearest(user_id, self._user_rows)}. Or send the embedding.",
            )  # fmt: skip
        return np.array(vectors[row], np.float32)

    def top_items(self, concept_id: str, count: int) -> list[tuple[int, float, bool]]:
        """Rows of the strongest items with read-out and label, strongest first; a latent's by its activation.

        Looking at many latents leaves the cache of those that are being steered alone.
        """
        latent = self._latent_number(concept_id)
        if latent is not None:
            items, values = self.bundle.contents.item_codes.posting(latent)
            best = np.argsort(-values, kind="stable")[:count]
            gains = np.clip(values[best] / self._latent_scale[latent], 0, 1)
            return [(int(row), float(gain), False) for row, gain in zip(items[best], gains, strict=True)]
        steerable = self.find(concept_id)
        order = np.argsort(-steerable.gain, kind="stable")[:count]
        labels = steerable.labels
        return [
            (int(row), float(steerable.gain[row]), labels is not None and bits.has(labels, int(row)))
            for row in order
            if steerable.gain[row] > 0
        ]

    def item_count(self, concept_id: str) -> int:
        """Items that carry the label; for a latent, items that activate it."""
        concept = self._by_id.get(concept_id)
        return concept.items if concept is not None else bits.count(self.find(concept_id).members(), len(self.item_ids))

    def search(self, query: str = "", family: str = "", *, include_not_offered: bool = False) -> list[str]:
        """Concept ids whose name, or whose strongest items' titles, contain the words; all when there are none.

        Where none does, the concepts that are more frequent among all items with such a title than in the catalogue,
        most so first. The latents take part only when asked for by ``family='latent'``.
        """
        if family == LATENT_FAMILY:
            ids = [f"{LATENT_FAMILY}:{latent}" for latent in range(self.latents)]
        else:
            listed = (c for c in self.concepts if family in {"", c.family} and c.id not in self.customs)
            ids = [c.id for c in listed if c.offered or include_not_offered]
            own = self.customs if family in {"", CUSTOM_FAMILY} else {}
            ids += [name for name in own if include_not_offered or name in self._named]
        words = query.casefold().split()
        if not words:
            return ids
        found = [concept_id for concept_id in ids if self._matches(concept_id, words)]
        return found or self._by_titles(ids, words)

    def _by_titles(self, ids: list[str], words: list[str]) -> list[str]:
        titled = [row for row, title in enumerate(self.titles) if all(word in title.casefold() for word in words)]
        lift = {}
        for concept_id in ids if titled else ():
            concept = self._by_id.get(concept_id)
            if concept_id in self._lost or (concept is not None and not concept.offered):
                continue
            gain = self.find(concept_id).gain
            lift[concept_id] = float(gain[titled].mean()) / max(float(gain.mean()), 1e-9)
        return sorted((name for name, value in lift.items() if value > 1), key=lambda name: -lift[name])

    def _matches(self, concept_id: str, words: list[str]) -> bool:
        known = self.customs.get(concept_id) or self._by_id.get(concept_id)
        text = [concept_id, known.display_name if known else ""]
        if known is None or known.id in self._named:
            text += [self.titles[row] for row, _, _ in self.top_items(concept_id, 20)]
        joined = " ".join(text).casefold()
        return all(word in joined for word in words)

    def _latent_number(self, concept_id: str) -> int | None:
        latent = _latent_named(concept_id)
        return latent if latent is not None and latent < self.latents else None

    def _concept(self, concept: Concept) -> Steerable:
        arrays, row = self.bundle.contents.arrays, concept.row
        return Steerable(
            id=concept.id,
            gain=np.asarray(arrays.gains[row]),  # a plain view: indexing a memmap costs several times more
            direction=arrays.direction[row],
            effect=float(arrays.direction_effect[row]),
            labels=arrays.label_bits[row],
            readouts=arrays.readout_bits[row],
            vectors=self.vectors,
        )

    def _make_latent(self, latent: int) -> Steerable:
        items, values = self.bundle.contents.item_codes.posting(latent)
        active = np.zeros(len(self.item_ids), np.bool_)
        active[items] = True
        gain = np.zeros(len(self.item_ids), np.float32)
        gain[items] = np.clip(values / self._latent_scale[latent], 0, 1)
        direction = np.zeros(self.latents, np.float32)
        direction[latent] = 1
        return Steerable(
            id=f"{LATENT_FAMILY}:{latent}",
            gain=gain,
            direction=direction,
            effect=float(self.bundle.contents.arrays.latent_effect[latent]),
            labels=None,
            readouts=np.packbits(active, bitorder="little"),
            vectors=self.vectors,
        )

    def _unknown(self, concept_id: str, family: str) -> UnknownConcept:
        concept = self._by_id.get(concept_id)
        if concept is not None:
            return UnknownConcept(
                f"concept {concept_id!r} is not offered by this bundle: {concept.not_offered_reason}",
                hint=f"Nearest: {_nearest(concept_id, self._named)}.",
            )
        if concept_id in self._lost:
            return UnknownConcept(f"concept {concept_id!r} is not offered by this bundle: {self._lost[concept_id]}")
        if family == LATENT_FAMILY:
            return UnknownConcept(
                "unknown latent", found=repr(concept_id), expected=f"latent:0 to latent:{self.latents - 1}"
            )
        return UnknownConcept(
            "unknown concept", found=repr(concept_id), hint=f"Nearest: {_nearest(concept_id, self._named)}."
        )


@lru_cache(maxsize=1024)
def _latent_named(concept_id: str) -> int | None:
    """113 for ``latent:113``; None for anything else, ``latent:0113`` included: one latent has one name."""
    family, _, value = concept_id.partition(":")
    if family != LATENT_FAMILY or not (value.isascii() and value.isdigit()) or str(int(value)) != value:
        return None
    return int(value)


def _nearest(given: str, names: dict[str, object] | dict[str, Steerable] | dict[str, int]) -> str:
    """The three nearest names at most, and only those about as near as the nearest."""
    found = process.extract(given, names.keys(), scorer=fuzz.ratio, limit=3)
    return ", ".join(name for name, score, _ in found if score >= found[0][1] - 10) or "none"
