"""YAML text -> plain data, with the line of every key and item.

Reads the parser's events instead of building objects: duplicate keys, anchors, tags and depth are seen where they
stand, nothing is expanded (so no alias bomb), and no object is ever constructed. Of YAML 1.2 (core schema, 2009/2021)
it takes mappings, lists, text, true/false, null, decimal whole numbers and decimals; anything else stays text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from server.errors import Problem

MAX_DEPTH = 10
SHOWN = 60  # characters of a key or value in a message
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,40}|[0-9]{1,40}(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, bool | None] = {"": None, "~": None}
for _word, _value in (("null", None), ("true", True), ("false", False)):
    _WORDS |= {_word: _value, _word.capitalize(): _value, _word.upper(): _value}

Loc = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A file's ``data`` (dict, list, str, int, float, bool, None) and ``lines``: 1-based line of each place in it."""

    data: object
    lines: dict[Loc, int]

    def line(self, loc: Loc) -> int:
        """Line of the place, or of the nearest place around it."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)


def path(loc: Loc) -> str:
    """``("policies", 0, "rules")`` -> ``policies[0].rules``; a key that is long or has control characters is cut."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{_plain(part)}" for part in loc).removeprefix(".")


def _plain(key: str) -> str:
    return key if key.isprintable() and len(key) <= SHOWN else repr(key[: SHOWN - 3] + "...")


def read_document(text: str, file: str) -> tuple[Document | None, list[Problem]]:
    """Parse one file; ``None`` where it cannot be read at all. A duplicate key is reported and its first value kept."""
    reader = _Reader(file)
    try:
        data = reader.document(YAML(typ="safe", pure=True).parse(text))
    except _Unreadable as fault:
        return None, [*reader.problems, fault.problem]
    except YAMLError as error:
        return None, [*reader.problems, _syntax(error, text, file)]
    except (ValueError, OverflowError):  # chr() inside ruamel's scanner; it knows no line
        what = "not valid YAML: an escape such as \\UFFFFFFFF names no character"
        return None, [*reader.problems, Problem(file, 0, "", what)]
    return Document(data, reader.lines), reader.problems


def _syntax(error: Exception, text: str, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    position = getattr(error, "position", None)
    line = 0 if mark is None else mark.line + 1
    if isinstance(position, int):  # a character that YAML forbids
        line = text.count("\n", 0, position) + 1
    reason = error.problem if isinstance(error, MarkedYAMLError) else str(error).split("\n", 1)[0]
    return Problem(file, line, "", f"not valid YAML: {reason}")


class _Unreadable(Exception):
    """The file cannot be read further."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


@dataclass
class _Reader:
    file: str
    lines: dict[Loc, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def document(self, events: Iterator[Any]) -> object:
        first = _after(events, StreamStartEvent)
        if isinstance(first, StreamEndEvent):
            raise self._stop(
                None, (), "empty file", expected="'policies:' and a list", hint="Delete it if it is not needed."
            )
        if isinstance(first, DocumentStartEvent) and (first.version or first.tags):
            raise self._stop(first, (), "a %YAML or %TAG directive", expected="plain YAML 1.2", hint="Remove it.")
        root = next(events)
        self.lines[()] = root.start_mark.line + 1
        data = self._node(root, (), events)
        after = _after(events, DocumentEndEvent)
        if not isinstance(after, StreamEndEvent):
            hint = "Put all policies of the file into one list, or split the file."
            raise self._stop(after, (), "a second YAML document ('---')", expected="one document", hint=hint)
        return data

    def _node(self, event: Any, loc: Loc, events: Iterator[Any]) -> object:
        if isinstance(event, AliasEvent) or event.anchor is not None:
            mark = "*" if isinstance(event, AliasEvent) else "&"
            hint = "Write the values out: a policy is read by people who look at one place."
            raise self._stop(event, loc, "anchors and aliases are not taken", found=f"{mark}{event.anchor}", hint=hint)
        if event.tag is not None:
            raise self._stop(event, loc, "tags are not taken", found=event.tag, hint="Remove the tag, quote text.")
        if isinstance(event, ScalarEvent):
            return _scalar(event.value) if event.implicit[0] else event.value
        if len(loc) >= MAX_DEPTH:
            raise self._stop(event, loc, "nested too deep", expected=f"at most {MAX_DEPTH} levels")
        return self._mapping(loc, events) if isinstance(event, MappingStartEvent) else self._sequence(loc, events)

    def _sequence(self, loc: Loc, events: Iterator[Any]) -> list[object]:
        items: list[object] = []
        while not isinstance(event := next(events), SequenceEndEvent):
            here = (*loc, len(items))
            self.lines[here] = event.start_mark.line + 1
            items.append(self._node(event, here, events))
        return items

    def _mapping(self, loc: Loc, events: Iterator[Any]) -> dict[str, object]:
        mapping: dict[str, object] = {}
        while not isinstance(event := next(events), MappingEndEvent):
            if isinstance(event, ScalarEvent):
                self._node(event, loc, events)  # refuses an anchor or a tag on the key
            else:
                raise self._stop(event, loc, "a key must be plain text")
            key, here, line = event.value, (*loc, event.value), event.start_mark.line + 1
            if key not in mapping:
                self.lines[here] = line
                mapping[key] = self._node(next(events), here, events)
                continue
            hint = f"It stands on line {self.lines[here]} already; keep one of the two."
            self.problems.append(Problem(self.file, line, path(here), "key given twice", hint=hint))
            kept, self.lines = self.lines, {}
            self._node(next(events), here, events)
            self.lines = kept
        return mapping

    def _stop(self, event: Any, loc: Loc, what: str, **more: str) -> _Unreadable:
        line = event.start_mark.line + 1 if event is not None else 0
        return _Unreadable(Problem(self.file, line, path(loc), what, **more))


def _after(events: Iterator[Any], kind: type) -> Any:
    """The event that follows the next one of ``kind``."""
    while not isinstance(next(events), kind):
        continue
    return next(events)


def _scalar(value: str) -> object:
    if value in _WORDS:
        return _WORDS[value]
    if _INT.fullmatch(value):
        return int(value)
    return float(value) if _FLOAT.fullmatch(value) else value
