"""Options that several `tiller policy` commands take, and how they are read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

USERS = Annotated[int, typer.Option(min=1, max=5000, help="How many of the bundle's users to ask.")]
K = Annotated[int, typer.Option("--k", "-k", min=1, help="Length of the lists.")]
ATTRIBUTE = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="The situation to look at; left out: those that the policies ask for."),
]
AT = Annotated[
    str | None, typer.Option(metavar="TIME", help="The instant, such as 2026-12-24T20:00:00+01:00; left out: now.")
]
EXAMPLES = Annotated[int, typer.Option(min=0, max=3, help="Users whose two lists are shown, the furthest apart.")]
SEED = Annotated[int, typer.Option(min=0, help="Which users are drawn.")]
JSON = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]
BUNDLE = Annotated[Path, typer.Option("--bundle", metavar="DIR", help="The bundle whose users and items are asked.")]


def attributes_of(texts: Sequence[str] | None) -> dict[str, str] | None:
    """``NAME=VALUE`` texts as a mapping; None where there are none."""
    from cli.rules import parse_attribute

    return dict(parse_attribute(text) for text in texts) if texts else None


def moment(text: str | None) -> float | None:
    """A moment with its offset as Unix seconds."""
    if text is None:
        return None
    from cli.refuse import UsageRefused

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise UsageRefused(f"--at {text}", found=repr(text), expected="a moment with its offset",
                           hint="For example 2026-12-24T20:00:00+01:00, or 2026-12-24T19:00:00Z.")  # fmt: skip
    return found.timestamp()
