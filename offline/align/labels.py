"""What a person gives to a bundle: names, thresholds and concepts of their own, from a YAML file.

    concepts:
      genre:horror:
        display_name: Horror and slasher
        threshold: 0.4
      custom:heist:
        display_name: Heist films
        items: ["858", "2194", ...]
      custom:slow-cinema:
        latent: 113

Every one is marked in the bundle as a person's (``by_hand``), so that offline.align.carry knows what to carry over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from rapidfuzz.process import extractOne
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bundle import CONCEPT_ID, LATENT_FAMILY, Bundle, Concept, ConceptArrays, ConceptFile
from bundle.errors import DataError
from offline.align.carry import label_config
from offline.align.entry import Change, Entry, Refused, with_concepts
from offline.align.fit import fit_members, name_latent
from offline.align.threshold import at_threshold, read
from offline.label import Candidate, LabelConfig

Text = Annotated[str, Field(strict=True, min_length=1, max_length=200)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LabelEntry(_Frozen):
    """One concept of the file: a new one has ``items`` or ``latent``, one of the bundle has neither."""

    display_name: Text | None = Field(default=None, description="how answers and reports call it")
    threshold: float | None = Field(default=None, gt=0, le=1, description="read-out at or above it: a member")
    items: tuple[Text, ...] | None = Field(default=None, min_length=1, description="ids of its members, all of them")
    latent: int | None = Field(default=None, ge=0, strict=True, description="the latent that it is")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.items is not None and self.latent is not None:
            raise ValueError("items and latent: a concept is one of the two")
        if all(value is None for value in (self.items, self.latent, self.display_name, self.threshold)):
            raise ValueError("nothing is said: give display_name, threshold, items or latent")
        return self


class LabelFile(_Frozen):
    """The file."""

    concepts: dict[str, LabelEntry] = Field(min_length=1, description="concept id -> what is given")


@dataclass(frozen=True)
class Labelled:
    """What the bundle can steer with the labels put in, and the concepts that were touched."""

    concepts: ConceptFile
    arrays: ConceptArrays
    touched: tuple[Concept, ...]


def read_labels(file: Path) -> LabelFile:
    """Read and check a labels file.

    Raises:
        DataError: it cannot be read, is not YAML, or says what it must not.
    """
    try:
        document = YAML(typ="safe", pure=True).load(file.read_text())
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise DataError(f"{file}", found=" ".join(str(error).split()), expected="a readable YAML file") from error
    try:
        return LabelFile.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{file}: {where or 'document'}: {first['msg'].removeprefix('Value error, ')}") from error


def put_labels(bundle: Bundle, labels: LabelFile) -> Labelled:
    """Put the labels into a bundle's concepts; the bundle itself is not changed.

    Raises:
        DataError: an id, item or latent that cannot be, or a concept that its own items do not make.
    """
    config = label_config(bundle)
    known = {concept.id: concept for concept in bundle.contents.concepts.concepts}
    entries: list[Entry] = []
    changes: dict[str, Change] = {}
    for concept_id, given in labels.concepts.items():
        concept = known.get(concept_id)
        if given.items is None and given.latent is None:
            changes[concept_id] = _changed(_offered(concept_id, known), given, bundle, config)
        else:
            if concept is not None and concept.offered:
                raise DataError(
                    f"{concept_id}: items or latent", found="a concept that the bundle offers already",
                    expected="a new id", hint="Choose an id of your own, as custom:heist.",
                )  # fmt: skip
            entries.append(_made(concept_id, given, bundle, config))
    concepts, arrays = with_concepts(bundle.contents, entries, changes)
    return Labelled(concepts, arrays, tuple(c for c in concepts.concepts if c.id in labels.concepts))


def _offered(concept_id: str, known: dict[str, Concept]) -> Concept:
    concept = known.get(concept_id)
    if concept is not None and concept.offered:
        return concept
    if concept is not None:
        raise DataError(f"{concept_id} is not offered by the bundle: {concept.not_offered_reason}")
    nearest = extractOne(concept_id, known.keys())
    hint = f"Nearest: {nearest[0]}. A concept of your own needs items or a latent." if nearest else None
    raise DataError(f"{concept_id}", found="no such concept in the bundle", hint=hint)


def _changed(concept: Concept, given: LabelEntry, bundle: Bundle, config: LabelConfig) -> Change:
    changes: dict[str, Any] = {}
    if given.display_name is not None:
        changes = {"display_name": given.display_name, "by_hand": _marked(concept, "display_name")}
    changed = concept.model_copy(update=changes)
    if given.threshold is None:
        return Change(changed)
    graded = at_threshold(read(concept, bundle.contents, config), given.threshold)
    return Change(graded.put(changed), graded.readouts)


def _marked(concept: Concept, what: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*concept.by_hand, what)))


def _made(concept_id: str, given: LabelEntry, bundle: Bundle, config: LabelConfig) -> Entry:
    family = concept_id.partition(":")[0]
    if not CONCEPT_ID.match(concept_id) or family == LATENT_FAMILY:
        raise DataError(
            "concept id", found=repr(concept_id), expected="family:name in lower case, as custom:heist, not a latent:"
        )
    display_name = given.display_name or concept_id.partition(":")[2]
    contents = bundle.contents
    if given.latent is not None:
        if given.latent >= contents.sae.latents or not len(contents.item_codes.posting(given.latent)[0]):
            raise DataError(
                f"{concept_id}: latent", found=given.latent,
                expected=f"one of 0 to {contents.sae.latents - 1} that an item activates",
            )  # fmt: skip
        entry = name_latent(concept_id, display_name, given.latent, contents)
    else:
        ids = contents.items["item_id"].to_pylist()
        rows = {item_id: row for row, item_id in enumerate(ids)}
        unknown = [item for item in given.items or () if item not in rows]
        if unknown:
            raise DataError(
                f"{concept_id}: items", found=f"{len(unknown)} that the bundle does not have, like {unknown[0]!r}",
                expected="item_ids of the bundle",
            )  # fmt: skip
        members = np.zeros(len(ids), np.bool_)
        members[[rows[item] for item in given.items or ()]] = True
        made = fit_members(Candidate(concept_id, family, display_name, members), np.arange(len(ids)), contents, config)
        if isinstance(made, Refused):
            raise DataError(f"{concept_id} cannot be offered: {made.reason}")
        entry = made
    if given.threshold is None:
        return entry
    graded = at_threshold(entry.readings, given.threshold)
    return replace(entry, concept=graded.put(entry.concept), readouts=graded.readouts)
