"""Every line that the server can log is in docs/monitoring.md with its level and fields, and no other line is."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field, fields

from server.app import Addresses
from tests.docs_reader import ROOT

LEVELS = {"debug", "info", "warning", "error"}
ROW = re.compile(r"^\| (`[^|]+`) \| (debug|info|warning|error) \| [^|]+ \| ([^|]*)\|$", re.MULTILINE)
WHAT = {"": ("policy folder", "bundle path")}
"""What stands in the place of a variable at the beginning of an event: server.reload.watch names these two."""


@dataclass
class Line:
    levels: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)


def _events(node: ast.expr) -> list[str]:
    """The texts that an event's expression can be."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.IfExp):
        return _events(node.body) + _events(node.orelse)
    assert isinstance(node, ast.JoinedStr), ast.unparse(node)
    end = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
    return [what + end for what in WHAT[""]]


def logged() -> dict[str, Line]:
    """Event -> what the source does with it."""
    found: dict[str, Line] = {}
    for path in sorted((ROOT / "server").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS):
                continue
            target = node.func.value
            name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
            if name not in {"log", "_log"}:
                continue
            for event in _events(node.args[0]):
                line = found.setdefault(event, Line())
                line.levels.add(node.func.attr)
                for keyword in node.keywords:
                    name = keyword.arg or ""
                    line.fields |= {"exception"} if name == "exc_info" else {name} if name else _addresses()
    return found


def _addresses() -> set[str]:
    return {one.name for one in fields(Addresses)}


def test_lines_are_documented_with_level_and_fields() -> None:
    documented: dict[str, Line] = {}
    section = (ROOT / "docs" / "monitoring.md").read_text().partition("\n## Logs\n")[2].partition("\n## ")[0]
    for events, level, names in ROW.findall(section):
        for event in re.findall(r"`([^`]+)`", events):
            documented[event] = Line({level}, set(re.findall(r"`(\w+)`", names)))
    assert documented == logged()


def test_lines_of_a_call_carry_its_request_id() -> None:
    lines = logged()
    for event in ("call", "refused", "internal error"):
        assert "request_id" in lines[event].fields
