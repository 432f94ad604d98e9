"""The terminal: one place that decides about colour, width and signs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_WIDTH = 120
"""Columns where the output is a file or a pipe."""


def make_console() -> Console:
    """Standard output; colours only on a terminal (and never with NO_COLOR), a fixed width where it is none."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=PLAIN_WIDTH)


@dataclass(frozen=True)
class Signs:
    """What marks a concept and a movement: meaning never hangs on colour alone."""

    mark: str
    up: str
    down: str
    same: str
    arrow: str
    blocks: str


UNICODE = Signs(mark="●", up="↑", down="↓", same="=", arrow="→", blocks="█")
ASCII = Signs(mark="*", up="^", down="v", same="=", arrow="->", blocks="#")


def signs(console: Console) -> Signs:
    """Unicode where the terminal's encoding has it, else ASCII."""
    return ASCII if console.options.ascii_only else UNICODE
