"""What a policy file may name: concepts, weighted sets, examples, items; and the folder's own concepts."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bundle import CONCEPT_ID, LATENT_FAMILY
from server.policy.conditions import MAX_TEXT, Frozen, Text, refusal
from server.subject import (
    CUSTOM_FAMILY,
    MAX_ITEMS,
    MAX_PARTS,
    MAX_WEIGHT,
    Fault,
    Given,
    Mixture,
    Subject,
    custom_fault,
)

MAX_DESCRIPTION = 2000
MAX_CUSTOM = 200
CUSTOM_EXPECTED = f"{CUSTOM_FAMILY}: and lower-case letters, digits, '-' and '_', such as {CUSTOM_FAMILY}:cosy-crime"
CUSTOM_ID = rf"{CUSTOM_FAMILY}:[a-z0-9][a-z0-9_-]{{0,63}}"
_CUSTOM = re.compile(CUSTOM_ID)
_LATENT = re.compile(rf"{LATENT_FAMILY}:(0|[1-9][0-9]{{0,8}})")

# What a refusal says it expected, by field; see server.policy.schema.
NAMES = {
    "concept": "a concept such as genre:horror, or a latent such as latent:113",
    "concepts": f"1 to {MAX_PARTS} concepts with a weight each, such as genre:horror: 1",
    "like": f"a list of 1 to {MAX_ITEMS} item ids",
    "unlike": f"a list of 1 to {MAX_ITEMS} item ids",
    "items": f"a list of 1 to {MAX_ITEMS} item ids",
    "toward": "a concept such as genre:horror",
    "display_name": f"text of 1 to {MAX_TEXT} characters",
    "weight": f"a weight above 0, at most {MAX_WEIGHT:g}",
}


def some(value: object) -> object:
    """At least one; checked before the items, because pydantic calls a list empty whose items it refused."""
    if value == []:
        raise refusal("empty")
    return value


def _concept_key(concept: str) -> str:
    if not CONCEPT_ID.fullmatch(concept) or len(concept) > MAX_TEXT:
        raise refusal("not a valid name", expected=NAMES["concept"], is_key=True)
    return _latent_number(concept, is_key=True)


def _latent_number(concept: str, *, is_key: bool = False) -> str:
    if concept.startswith(f"{LATENT_FAMILY}:") and not _LATENT.fullmatch(concept):
        raise refusal("not a latent", hint="A latent is named by its number: latent:113.", is_key=is_key)
    return concept


ConceptName = Annotated[
    str, Field(strict=True, pattern=CONCEPT_ID.pattern, max_length=MAX_TEXT), AfterValidator(_latent_number)
]
Weights = Annotated[
    dict[Annotated[str, AfterValidator(_concept_key)], Annotated[float, Field(strict=True, gt=0, le=MAX_WEIGHT)]],
    Field(min_length=1, max_length=MAX_PARTS),
]
Ids = Annotated[tuple[Text, ...], Field(max_length=MAX_ITEMS, json_schema_extra={"minItems": 1}), BeforeValidator(some)]


def refuse(fault: Fault | None) -> None:
    """Refuse what a rule or custom concept says about its subject."""
    if fault is not None:
        at = tuple(int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", fault.field))
        raise refusal(fault.what, expected=fault.expected, hint=fault.hint, at=at)


def is_custom_id(concept: str) -> bool:
    """Whether a custom concept may be called so."""
    return _CUSTOM.fullmatch(concept) is not None


def custom_key(concept: str) -> str:
    """The id of a custom concept, as a key."""
    if not is_custom_id(concept):
        raise refusal("not a valid name", expected=CUSTOM_EXPECTED, is_key=True)
    return concept


class CustomEntry(Frozen):
    """A concept of one's own: made of the bundle's concepts, or of items."""

    display_name: Text | None = Field(default=None, description="how answers and reports call it; left out: its name")
    description: Annotated[str, Field(strict=True, max_length=MAX_DESCRIPTION)] = Field(
        default="", description="what it is for"
    )
    concepts: Weights | None = Field(default=None, description="a weighted set of concepts of the bundle")
    like: Ids | None = Field(default=None, description="item ids as examples: what is like these")
    unlike: Ids | None = Field(default=None, description="and not like these")
    items: Ids | None = Field(default=None, description="these very items")

    @property
    def subject(self) -> Subject:
        """What it is made of."""
        name, subject = self._given.named()
        return Mixture(((name, 1.0),)) if subject is None else subject

    @property
    def _given(self) -> Given:
        return Given("", self.concepts or {}, self.like or (), self.unlike or (), self.items or ())

    @model_validator(mode="after")
    def _made_of_something(self) -> CustomEntry:
        refuse(custom_fault(self._given))
        return self

    @staticmethod
    def lengths() -> dict[str, int]:
        """Most characters of its texts."""
        return {"display_name": MAX_TEXT, "description": MAX_DESCRIPTION}
