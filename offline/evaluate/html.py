"""Pieces of a page as strings: everything that comes from data goes through ``text``, which escapes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

DASH = "–"


@dataclass(frozen=True)
class Cell:
    """What a table shows in one place, and what it is sorted by (None: nothing there, always last)."""

    shown: str
    value: float | str | None
    kind: str = ""


@dataclass(frozen=True)
class Column:
    """Head of a column; ``group`` puts neighbours under one head; ``text``: left-aligned."""

    head: str
    group: str = ""
    text: bool = False


def text(value: object) -> str:
    """Escaped."""
    return escape(str(value), quote=True)


def number(value: float | None, digits: int = 3) -> Cell:
    """A figure with fixed digits, or a dash."""
    return Cell(DASH, None) if value is None else Cell(f"{value:.{digits}f}", value)


def percent(value: float | None, digits: int = 1) -> Cell:
    """A share in percent, or a dash."""
    return Cell(DASH, None) if value is None else Cell(f"{100 * value:.{digits}f} %", value)


def count(value: int | None) -> Cell:
    """A whole number with separators."""
    return Cell(DASH, None) if value is None else Cell(f"{value:,}", value)


def label(value: str) -> Cell:
    """A name."""
    return Cell(value, value)


def table(caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], mean: Sequence[Cell] = ()) -> str:
    """A table that scrolls on its own and sorts by a click; a row's first cell is its head; ``mean`` stays last."""
    body = "".join(_row(cells, columns) for cells in rows)
    if mean:
        body += _row(mean, columns, "mean")
    return (
        f'<div class="scroll"><table><caption>{text(caption)}</caption><thead>{_groups(columns)}<tr>'
        + "".join(f'<th scope="col"{_text_class(column)}>{text(column.head)}</th>' for column in columns)
        + f"</tr></thead><tbody>{body}</tbody></table></div>"
    )


def tiles(entries: Sequence[tuple[str, str]]) -> str:
    """Large figures with a line each."""
    return (
        '<ul class="tiles">' + "".join(f"<li><b>{text(b)}</b><span>{text(s)}</span></li>" for b, s in entries) + "</ul>"
    )


def paragraph(words: str, kind: str = "") -> str:
    """A paragraph of plain words."""
    return f'<p class="{kind}">{text(words)}</p>' if kind else f"<p>{text(words)}</p>"


def section(anchor: str, title: str, *parts: str) -> str:
    """A section that the navigation can jump to."""
    return f'<section id="{anchor}"><h2>{text(title)}</h2>{"".join(parts)}</section>'


def figure(svg: str, caption: str) -> str:
    """A drawing with its caption."""
    return f'<figure><div class="scroll">{svg}</div><figcaption>{text(caption)}</figcaption></figure>'


def _row(cells: Sequence[Cell], columns: Sequence[Column], kind: str = "") -> str:
    shown = []
    for place, (cell, column) in enumerate(zip(cells, columns, strict=True)):
        value = "" if cell.value is None else text(cell.value)
        if place == 0:
            shown.append(f'<th scope="row" data-value="{value}">{text(cell.shown)}</th>')
        else:
            kinds = " ".join(filter(None, ("text" if column.text else "", cell.kind)))
            css = f' class="{kinds}"' if kinds else ""
            shown.append(f'<td{css} data-value="{value}">{text(cell.shown)}</td>')
    return (f'<tr class="{kind}">' if kind else "<tr>") + "".join(shown) + "</tr>"


def _groups(columns: Sequence[Column]) -> str:
    if not any(column.group for column in columns):
        return ""
    spans: list[tuple[str, int]] = []
    for column in columns:
        if spans and column.group and spans[-1][0] == column.group:
            spans[-1] = (column.group, spans[-1][1] + 1)
        else:
            spans.append((column.group, 1))
    heads = (
        f'<th scope="colgroup" colspan="{width}">{text(name)}</th>' if name else f'<td colspan="{width}"></td>'
        for name, width in spans
    )
    return f"<tr>{''.join(heads)}</tr>"


def _text_class(column: Column) -> str:
    return ' class="text"' if column.text else ""
