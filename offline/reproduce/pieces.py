"""Pieces of a page that the evaluation's page does not have."""

from __future__ import annotations

from offline.evaluate.html import text


def details(title: str, inside: str) -> str:
    """Folded away until somebody wants it."""
    return f"<details><summary>{text(title)}</summary>{inside}</details>"


def heading(title: str) -> str:
    """A heading within a section."""
    return f"<h3>{text(title)}</h3>"
