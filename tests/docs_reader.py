"""Reads the documentation as the tests need it: links, headings, and the commands of fenced blocks."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and text."""

    language: str
    text: str


def pages() -> list[Path]:
    """Every page of the project: the top-level ones and everything under docs/."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")])


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(language, text) for language, text in FENCE.findall(page.read_text())]


def links(page: Path) -> list[str]:
    """Targets of the links outside code."""
    prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text()))
    return LINK.findall(prose)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    prose = FENCE.sub("", page.read_text())
    made = set()
    for heading in HEADING.findall(prose):
        plain = re.sub(r"[^\w\- ]", "", heading.lower().replace("`", ""))
        made.add(plain.replace(" ", "-"))
    return made


def commands(page: Path) -> list[str]:
    """The lines of a page's console and bash blocks, continued lines joined, comments left out."""
    return [line for block in blocks(page) if block.language in {"console", "bash", "sh"} for line in lines(block.text)]


def lines(text: str) -> list[str]:
    """The commands of a block, continued lines joined, comments left out."""
    bare = [line.removeprefix("$ ").strip() for line in re.sub(r"\\\n\s*", "", text).splitlines()]
    return [line for line in bare if line and not line.startswith("#")]


def words(command: str) -> list[str]:
    """A command's words, without a trailing comment."""
    return shlex.split(command, comments=True)
