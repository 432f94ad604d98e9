"""Cases: what a team expects of its policies, in YAML, for its CI. Read as strictly as the policies themselves.

A case names a request (``given``) and what must hold for it (``expect``); docs/policies.md shows a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from bundle import CONCEPT_ID
from server.errors import PolicyError, Problem
from server.policy.conditions import MAX_TEXT, Frozen, Text, Values, refusal
from server.policy.diagnose import CHOICES, Form, problems_of
from server.policy.load import parse, read_folder, to_rule
from server.policy.naming import some
from server.policy.schema import EXPECTED, POLICY_NAME, RuleEntry
from server.types import Rule

MAX_CASES = 1000
MAX_USERS = 5_000
EXPECTED_OF_CASES = {
    **EXPECTED,
    "cases": f"a list of 1 to {MAX_CASES} cases",
    "name": f"text of 1 to {MAX_TEXT} characters",
    "given": "a mapping with what the request is: attributes, user, users, at, rules, ignore_policies, k",
    "attributes": "a mapping of request attributes, such as surface: kids",
    "user": "a user id",
    "users": f"a whole number from 1 to {MAX_USERS}: how many of the bundle's users",
    "at": "a moment with its offset, such as 2026-12-24T20:00:00+01:00",
    "ignore_policies": "true or false",
    "k": "a whole number of at least 1",
    "expect": "a mapping with at least one of fires, fires_only, shadows, silent, reach, absent, share, overlap, short",
    "fires": "a list of policy names",
    "fires_only": "a list of policy names",
    "shadows": "a list of policy names",
    "silent": "a list of policy names",
    "reach": "policy name -> min and max, parts of the users",
    "absent": "a list of concepts, or concept -> label, activation or either",
    "share": "concept -> min and max, parts of the list",
    "overlap": "min and max, parts of the unsteered list",
    "short": "true or false",
    "min": "a number from 0 to 1",
    "max": "a number from 0 to 1",
}

Name = Annotated[str, Field(strict=True, pattern=POLICY_NAME)]
ConceptName = Annotated[str, Field(strict=True, pattern=CONCEPT_ID.pattern, max_length=MAX_TEXT)]
Part = Annotated[float, Field(strict=True, ge=0, le=1)]


class RangeEntry(Frozen):
    """A part of the list or of the users; the ends are inside."""

    min: Part | None = Field(default=None, description="at least")
    max: Part | None = Field(default=None, description="at most")

    @model_validator(mode="after")
    def _ends(self) -> RangeEntry:
        if self.min is None and self.max is None:
            raise refusal("no end", expected="min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise refusal("never true", expected="a min of at most its max", at=("max",))
        return self


def _moment(value: object) -> object:
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d[T ]", value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            return moment
        if moment is not None:
            raise refusal("no offset", hint=f"Say which: {value}Z is UTC, {value}+01:00 an hour ahead of it.")
    raise refusal("not a moment")


class GivenEntry(Frozen):
    """The request; without ``user`` and ``users`` 50 users are asked where a list is looked at."""

    attributes: dict[Text, Text] = Field(default={}, description="the request's attributes")
    user: Text | None = Field(default=None, description="this user")
    users: Annotated[int, Field(strict=True, ge=1, le=MAX_USERS)] | None = Field(
        default=None, description="so many of the bundle's users, always the same"
    )
    at: Annotated[datetime, BeforeValidator(_moment, json_schema_input_type=str)] | None = Field(
        default=None, description="the instant; left out: now"
    )
    rules: tuple[RuleEntry, ...] = Field(default=(), description="the request's own rules")
    ignore_policies: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="the request switches the policies off"
    )
    k: Annotated[int, Field(strict=True, ge=1)] = Field(default=10, description="length of the lists")

    @field_validator("rules")
    @classmethod
    def _of_a_request(cls, rules: tuple[RuleEntry, ...]) -> tuple[RuleEntry, ...]:
        for index, rule in enumerate(rules):
            if rule.fallback != "short":
                raise refusal("not taken by a request", at=(index, "fallback"), hint="Only policies have a fallback.")
        return rules

    @field_validator("users")
    @classmethod
    def _one_of(cls, users: int | None, info: object) -> int | None:
        if users is not None and getattr(info, "data", {}).get("user") is not None:
            raise refusal("both user and users", expected="one of the two")
        return users


_Memberships = dict[ConceptName, Literal["label", "activation", "either"]]
_Absent = Annotated[
    Annotated[Values, Tag("<texts>")] | Annotated[_Memberships, Tag("<memberships>")],
    Discriminator(lambda value: "<memberships>" if isinstance(value, dict) else "<texts>"),
]


class ExpectEntry(Frozen):
    """What must hold; everything that is given."""

    fires: tuple[Name, ...] = Field(default=(), description="these policies reach every user that is asked")
    fires_only: tuple[Name, ...] | None = Field(default=None, description="these reach every user, and no other does")
    shadows: tuple[Name, ...] = Field(default=(), description="these reach every user, in shadow mode")
    silent: tuple[Name, ...] = Field(default=(), description="these policies reach nobody that is asked")
    reach: dict[Name, RangeEntry] = Field(default={}, description="part of the users that a policy reaches")
    absent: _Absent | None = Field(default=None, description="no item of these concepts in any list")
    share: dict[ConceptName, RangeEntry] = Field(default={}, description="mean part of the lists that is the concept's")
    overlap: RangeEntry | None = Field(default=None, description="mean part of the unsteered lists that is kept")
    short: Annotated[bool, Field(strict=True)] | None = Field(
        default=None, description="whether fewer than k items pass, for every user"
    )

    @model_validator(mode="after")
    def _some(self) -> ExpectEntry:
        if not self.model_fields_set:
            raise refusal("nothing expected", expected=EXPECTED_OF_CASES["expect"])
        return self

    @property
    def members(self) -> dict[str, str]:
        """Concept -> who counts as a member, for ``absent``."""
        if self.absent is None or isinstance(self.absent, dict):
            return dict(self.absent or {})
        return dict.fromkeys(self.absent, "label")

    @property
    def looks_at_lists(self) -> bool:
        """Whether a bundle is needed."""
        return bool(self.absent or self.share or self.overlap or self.short is not None)

    @property
    def policies(self) -> tuple[str, ...]:
        """Every policy that is named."""
        return (*self.fires, *(self.fires_only or ()), *self.shadows, *self.silent, *self.reach)


class CaseEntry(Frozen):
    """One case."""

    name: Text = Field(description="what it shows; unique over the files")
    given: GivenEntry = Field(default=GivenEntry(), description="the request")
    expect: ExpectEntry = Field(description="what must hold")


class CaseFile(Frozen):
    """One file."""

    cases: Annotated[tuple[CaseEntry, ...], BeforeValidator(some), Field(max_length=MAX_CASES)] = Field(
        description="the cases"
    )


CASES = Form(
    root=CaseFile,
    top="a mapping with the key cases",
    levels={"cases": CaseEntry, "given": GivenEntry, "expect": ExpectEntry, "rules": RuleEntry, "overlap": RangeEntry},
    expected=EXPECTED_OF_CASES,
    choices={**CHOICES, "absent": CHOICES["membership"]},
    free={
        "attributes": EXPECTED["*"],
        "absent": EXPECTED_OF_CASES["absent"],
        "share": EXPECTED_OF_CASES["share"],
        "reach": EXPECTED_OF_CASES["reach"],
    },
)


@dataclass(frozen=True)
class Case:
    """A case and where it stands. ``rules``: the request's own."""

    entry: CaseEntry
    file: str
    line: int
    rules: tuple[Rule, ...]


def load_cases(places: Iterable[Path]) -> list[Case]:
    """The cases of files, and of the files of folders.

    Raises:
        PolicyError: with every fault of every file; or there are no cases.
    """
    contents: dict[str, bytes] = {}
    problems: list[Problem] = []
    for place in places:
        if place.is_dir():
            found, unread = read_folder(place)
            contents |= {str(place / name): content for name, content in found.items()}
            problems += unread
        else:
            try:
                contents[str(place)] = place.read_bytes()
            except OSError as error:
                problems.append(Problem(str(place), 0, "", "cannot be read", error.strerror))
    cases: list[Case] = []
    taken: dict[str, tuple[str, int, int]] = {}
    for file, content in contents.items():
        document, faults = parse(content, file)
        if document is not None:
            read, refused = problems_of(document, file, CASES)
            faults += refused
            for index, entry in enumerate(read.cases if read is not None else ()):
                line = document.line(("cases", index))
                rules = tuple(to_rule(rule) for rule in entry.given.rules)
                cases.append(Case(entry, file, line, rules))
                other = taken.setdefault(entry.name, (file, line, index))
                if other != (file, line, index):
                    hint = f"{other[0]}:{other[1]} has it already."
                    faults.append(
                        Problem(file, line, f"cases[{index}].name", "name taken", repr(entry.name), None, hint)
                    )
        problems += sorted(faults, key=lambda fault: fault.line)
    if problems:
        raise PolicyError("cases", problems=tuple(problems), outcome="no case was run")
    if not cases:
        raise PolicyError("no cases", expected="a file with the key cases", hint="Write one: docs/policies.md.")
    return cases
