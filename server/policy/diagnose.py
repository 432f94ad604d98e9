"""pydantic's errors -> sentences about a file: line, field, what, found, expected, hint with the nearest valid key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from server.errors import Problem
from server.policy.conditions import ATTRIBUTE, KNOWN_ATTRIBUTES, MAX_VALUES, TAGS, RolloutEntry, WindowEntry
from server.policy.document import Document, Loc, path
from server.policy.naming import CustomEntry
from server.policy.schema import EXPECTED, PolicyEntry, PolicyFile, RuleEntry, ShareEntry
from server.policy.words import nearest, show

M = TypeVar("M", bound=BaseModel)

CHOICES = {
    "action": ("filter", "demote", "promote"),
    "channel": ("item", "query"),
    "mode": ("enforce", "shadow"),
    "membership": ("label", "activation", "either"),
    "fallback": ("short", "fill"),
}
_UNDER_WHEN = {
    **dict.fromkeys(("time", "rollout", *KNOWN_ATTRIBUTES), "when"),
    **dict.fromkeys((info.alias or name for name, info in WindowEntry.model_fields.items()), "when.time"),
    **dict.fromkeys(RolloutEntry.model_fields, "when.rollout"),
}
_WHAT = {
    "missing": "missing",
    "extra_forbidden": "unknown key",
    "literal_error": "not a choice",
    "string_pattern_mismatch": "not a valid name",
    "string_too_short": "empty",
    "too_short": "empty",
    "string_too_long": "too long",
    "too_long": "too many",
    "greater_than": "out of range",
    "greater_than_equal": "out of range",
    "less_than_equal": "out of range",
    "finite_number": "out of range",
}


@dataclass(frozen=True)
class Form(Generic[M]):
    """A kind of file: its root model, the models of its named parts, and what each field expects.

    ``free``: fields whose keys are the author's own, with what their values are expected to be.
    """

    root: type[M]
    top: str
    levels: Mapping[str, type[BaseModel]]
    expected: Mapping[str, str]
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    free: Mapping[str, str] = field(default_factory=dict)


POLICIES = Form(
    root=PolicyFile,
    top="a mapping with the key policies, concepts or both",
    levels={
        "policies": PolicyEntry,
        "concepts": CustomEntry,
        "rules": RuleEntry,
        "share": ShareEntry,
        "time": WindowEntry,
        "rollout": RolloutEntry,
    },
    expected=EXPECTED,
    choices=CHOICES,
    free={"when": EXPECTED["*"], "concepts": EXPECTED["weight"]},
)


def problems_of(document: Document, file: str, form: Form[M]) -> tuple[M | None, list[Problem]]:
    """Validate a document; every fault of it becomes one Problem."""
    try:
        return form.root.model_validate(document.data), []
    except ValidationError as error:
        faults = error.errors(include_url=False)
    problems = [_problem(document, file, fault, form) for fault in faults]
    return None, sorted(problems, key=lambda problem: problem.line)


def _problem(document: Document, file: str, fault: Any, form: Form[Any]) -> Problem:
    kind: str = fault["type"]
    context: dict[str, Any] = fault.get("ctx", {}) if kind == "policy" else {}
    loc: Loc = tuple(part for part in fault["loc"] if part not in TAGS and part != "[key]")
    is_key = fault["loc"][-1:] == ("[key]",) or context.get("is_key", False) or _is_own_key(kind, loc, fault)
    loc = (*loc, *context.get("at", ()))
    if loc[-1:] == (0,) and loc not in document.lines:
        loc = loc[:-1]  # a single text, which the schema sees as a list of one
    value = _value(document.data, loc, fault["input"])
    found: str | None = None if kind == "missing" else show(loc[-1] if is_key or kind == "extra_forbidden" else value)
    what = context.get("what") or _WHAT.get(kind, "wrong type")
    expected, hint = context.get("expected"), context.get("hint")
    if kind == "extra_forbidden":
        expected, hint = _keys(loc, form)
    elif is_key and kind != "policy":
        what, expected = (
            "not an attribute name",
            f"letters, digits, '_', '.', '-', a letter first, at most 64 ({ATTRIBUTE})",
        )
    elif expected is None and not is_key:
        expected = _expected(loc, kind, form)
    return Problem(file, document.line(loc), path(loc), what, found, expected, _hint(kind, loc, value, form) or hint)


def _is_own_key(kind: str, loc: Loc, fault: Any) -> bool:
    """Whether the fault is about a key that the author chose: pydantic then gives the key itself as the input."""
    return kind in {"string_pattern_mismatch", "policy"} and bool(loc) and fault["input"] == loc[-1]


def _value(data: Any, loc: Loc, default: object) -> object:
    """What stands at ``loc``; ``default`` where nothing does."""
    for part in loc:
        inside = isinstance(data, dict) and part in data
        inside = inside or (isinstance(data, list) and isinstance(part, int) and part < len(data))
        if not inside:
            return default
        data = data[part]
    return data


def _keys(loc: Loc, form: Form[Any]) -> tuple[str, str | None]:
    names = [part for part in loc[:-1] if isinstance(part, str)]
    level = next((form.levels[name] for name in reversed(names) if name in form.levels), form.root)
    known = tuple(info.alias or name for name, info in level.model_fields.items())
    near = nearest(str(loc[-1]), known)
    hint = f"Did you mean {near[0]!r}?" if near else None
    if level is PolicyEntry and loc[-1] in _UNDER_WHEN:
        hint = f"It is a condition: write it under {_UNDER_WHEN[str(loc[-1])]}."
    return f"one of {', '.join(known)}", hint


def _expected(loc: Loc, kind: str, form: Form[Any]) -> str:
    names = [part for part in loc if isinstance(part, str)]
    if not loc:
        return form.top
    if len(loc) == 2 and loc[0] == "concepts":
        return f"a mapping with the keys {', '.join(form.levels['concepts'].model_fields)}"
    own = next((place for place, name in enumerate(names[:-1]) if name in form.free), None)
    inner = own is not None and len(names) > own + 2 and names[-1] in form.expected
    if own is not None and not inner and names[own + 1] not in form.levels:
        return f"a list of 1 to {MAX_VALUES} texts" if kind == "too_long" else form.free[names[own]]
    last = names[-1]
    if isinstance(loc[-1], int) and last in form.levels:
        keys = (info.alias or name for name, info in form.levels[last].model_fields.items())
        return f"a mapping with the keys {', '.join(keys)}"
    return form.expected[last]


def _hint(kind: str, loc: Loc, value: object, form: Form[Any]) -> str | None:
    if kind == "bool_type" and isinstance(value, str):
        return "YAML 1.2 reads yes, no, on and off as text."
    if kind == "string_type" and isinstance(value, int | float):
        return f"Quote it: '{show(value)}'."
    if kind == "literal_error" and isinstance(value, str):
        known = next((form.choices[str(part)] for part in reversed(loc) if part in form.choices), ())
        near = nearest(value.lower(), known)
        return f"Did you mean {near[0]!r}?" if near else None
    if loc[-1:] == ("strength",) and kind == "greater_than" and value == 0:
        return "To switch a rule off, remove it or set enabled: false."
    if loc[-1:] in {("percent",), ("rollout",)} and isinstance(value, str):
        return "Write a number: 10."
    if loc[-2:-1] == ("when",) and loc[-1] not in form.levels and isinstance(value, int | float | dict):
        near = nearest(str(loc[-1]), ("time", "rollout"))  # numbers and mappings are theirs, never an attribute's
        return f"Did you mean {near[0]!r}?" if near else None
    return None
