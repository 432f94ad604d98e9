"""pydantic's errors -> sentences about a file: line, field, what, found, expected, hint with the nearest valid key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError
from rapidfuzz import fuzz, process

from server.errors import Problem
from server.policy.document import SHOWN, Document, Loc, path
from server.policy.schema import ATTRIBUTE, EXPECTED, MAX_VALUES, PolicyEntry, PolicyFile, RuleEntry

NEAR = 70.0  # of 100, rapidfuzz ratio: one or two slips in a word of these lengths
_CHOICES = {"action": ("filter", "demote", "promote"), "channel": ("item", "query"), "mode": ("enforce", "shadow")}
_CHOICES["membership"] = ("label", "readout", "either")
_LEVELS: dict[str, type[BaseModel]] = {"policies": PolicyEntry, "rules": RuleEntry}
_WHAT = {
    "missing": "missing",
    "extra_forbidden": "unknown key",
    "literal_error": "not a choice",
    "string_pattern_mismatch": "not a valid name",
    "string_too_short": "empty",
    "string_too_long": "too long",
    "too_long": "too many",
    "greater_than": "out of range",
    "greater_than_equal": "out of range",
    "less_than_equal": "out of range",
    "finite_number": "out of range",
}


def problems_of(document: Document, file: str) -> tuple[PolicyFile | None, list[Problem]]:
    """Validate a document; every fault of it becomes one Problem."""
    try:
        return PolicyFile.model_validate(document.data), []
    except ValidationError as error:
        faults = error.errors(include_url=False)
    problems = [_problem(document, file, fault) for fault in faults]
    return None, sorted(problems, key=lambda problem: problem.line)


def nearest(word: str, known: Iterable[str], *, limit: int = 1) -> tuple[str, ...]:
    """The known words that look most like ``word``, best first; none where nothing is near."""
    found = process.extract(word, sorted(known), scorer=fuzz.ratio, score_cutoff=NEAR, limit=limit)
    return tuple(match for match, _, _ in found)


def show(value: object) -> str:
    """A value as a sentence shows it: text quoted and cut, ``nothing`` for null, words for mappings and lists."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        return repr(value if len(value) <= SHOWN else value[: SHOWN - 3] + "...")
    return str(value)


def _problem(document: Document, file: str, fault: Any) -> Problem:
    kind: str = fault["type"]
    context: dict[str, Any] = fault.get("ctx", {}) if kind == "policy" else {}
    is_key = fault["loc"][-1:] == ("[key]",)
    loc: Loc = fault["loc"][:-1] if is_key else fault["loc"]
    loc = (*loc, *context.get("at", ()))
    if loc[-1:] == (0,) and loc not in document.lines:
        loc = loc[:-1]  # a single text, which the schema sees as a list of one
    value = _value(document.data, loc, fault["input"])
    found: str | None = None if kind == "missing" else show(loc[-1] if is_key or kind == "extra_forbidden" else value)
    what = context.get("what") or _WHAT.get(kind, "wrong type")
    expected, hint = context.get("expected"), context.get("hint")
    if kind == "extra_forbidden":
        expected, hint = _keys(loc)
    elif is_key and kind != "policy":
        what, expected = (
            "not an attribute name",
            f"letters, digits, '_', '.', '-', a letter first, at most 64 ({ATTRIBUTE})",
        )
    elif expected is None and not is_key:
        expected = _expected(loc, kind)
    return Problem(file, document.line(loc), path(loc), what, found, expected, hint or _hint(kind, loc, value))


def _value(data: Any, loc: Loc, default: object) -> object:
    """What stands at ``loc``; ``default`` where nothing does."""
    for part in loc:
        inside = isinstance(data, dict) and part in data
        inside = inside or (isinstance(data, list) and isinstance(part, int) and part < len(data))
        if not inside:
            return default
        data = data[part]
    return data


def _keys(loc: Loc) -> tuple[str, str | None]:
    level = next((_LEVELS[part] for part in reversed(loc[:-1]) if part in _LEVELS), PolicyFile)
    known = tuple(level.model_fields)
    near = nearest(str(loc[-1]), known)
    return f"one of {', '.join(known)}", f"Did you mean {near[0]!r}?" if near else None


def _expected(loc: Loc, kind: str) -> str:
    if "when" in loc and len(loc) - loc.index("when") > 1:
        return f"a list of 1 to {MAX_VALUES} texts" if kind == "too_long" else EXPECTED["*"]
    if not loc:
        return "a mapping with the key policies"
    if isinstance(loc[-1], int):
        return f"a mapping with the keys {', '.join(_LEVELS[str(loc[-2])].model_fields)}"
    return EXPECTED[loc[-1]]


def _hint(kind: str, loc: Loc, value: object) -> str | None:
    if kind == "bool_type" and isinstance(value, str):
        return "YAML 1.2 reads yes, no, on and off as text."
    if kind == "string_type" and isinstance(value, int | float):
        return f"Quote it: '{show(value)}'."
    if kind == "literal_error" and isinstance(value, str):
        near = nearest(value.lower(), _CHOICES[str(loc[-1])])
        return f"Did you mean {near[0]!r}?" if near else None
    if loc[-1:] == ("strength",) and kind == "greater_than" and value == 0:
        return "To switch a rule off, remove it or set enabled: false."
    return None
