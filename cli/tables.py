"""Tables of lists, side by side: shared by `tiller demo` and `tiller recommend`.

A concept is marked by a sign as well as by a colour (one concept: a dot; several: letters), and a movement by an arrow
with the number of places, so nothing is lost without colour. Legend: K places in a list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from cli.console import Signs

COLOURS = {"filter": "red", "demote": "yellow", "promote": "green"}
NEUTRAL = "cyan"
MOVE_WIDTH = 7


@dataclass(frozen=True)
class Marked:
    """A concept that a table marks, and what the rules do to it (``action`` may be empty: only marked)."""

    concept: str
    action: str = ""


@dataclass(frozen=True)
class Place:
    """One place of a list. ``carries``: concept ids of the item; ``was``: its unsteered rank, 0 where not known."""

    item_id: str
    title: str
    carries: frozenset[str]
    was: int = 0


@dataclass(frozen=True)
class Listing:
    """One list under its heading, best first. ``moves``: show where each item was before."""

    heading: str
    places: tuple[Place, ...]
    moves: bool = True

    def count(self, concept: str) -> int:
        """Places whose item carries ``concept``."""
        return sum(concept in place.carries for place in self.places)


def sign_of(position: int, of: int, signs: Signs) -> str:
    """A dot for the only concept, else A, B, C, ..."""
    return signs.mark if of == 1 else chr(ord("A") + position % 26)


def style_of(marked: Marked) -> str:
    """Colour of a concept: by what the rules do to it."""
    return COLOURS.get(marked.action, NEUTRAL)


def movement(rank: int, was: int, known: int, signs: Signs) -> str:
    """``=``, an arrow with the number of places, or ``new``, with the former rank where it is known.

    Args:
        rank: 1-based place now.
        was: 1-based place in the unsteered list, 0 where not known.
        known: length of the unsteered list that is shown; an item from below it is new.
        signs: the terminal's signs.
    """
    if was == 0:
        return "new"
    if was > known:
        return f"new {was}"
    if was == rank:
        return signs.same
    return f"{signs.up}{was - rank}" if was > rank else f"{signs.down}{rank - was}"


def side_by_side(listings: Sequence[Listing], concepts: Sequence[Marked], signs: Signs, width: int) -> Table:
    """Lists beside each other in ``width`` columns: the concepts marked, the moves shown, and under each list how many
    of its places carry a concept.
    """
    table = Table(
        box=box.SIMPLE_HEAD, show_footer=bool(concepts), pad_edge=False, padding=(0, 1), collapse_padding=True
    )
    table.add_column("", justify="right", style="dim", no_wrap=True, width=3)
    moving = sum(listing.moves for listing in listings)
    room = (width - 5 - moving * (MOVE_WIDTH + 1)) // len(listings) - 1
    for listing in listings:
        footer = _counts(listing, concepts, signs)
        titles = min(max(room, 12), max([_width(place, concepts) for place in listing.places] + [len(listing.heading)]))
        table.add_column(Text(listing.heading), footer=footer, no_wrap=True, overflow="ellipsis",
                         width=max(titles, len(footer)))  # fmt: skip
        if listing.moves:
            table.add_column("", no_wrap=True, width=MOVE_WIDTH)
    shown = len(listings[0].places)
    for rank in range(1, max(len(listing.places) for listing in listings) + 1):
        cells: list[Text] = [Text(str(rank))]
        for listing in listings:
            place = listing.places[rank - 1] if rank <= len(listing.places) else None
            cells.append(_title(place, concepts, signs) if place else Text())
            if listing.moves:
                moved = movement(rank, place.was, shown, signs) if place else ""
                cells.append(Text(moved, "dim" if moved == signs.same else "bold" if moved.startswith("new") else ""))
        table.add_row(*cells)
    return table


def _width(place: Place, concepts: Sequence[Marked]) -> int:
    return len(concepts) + bool(concepts) + cell_len(place.title or place.item_id)


def legend(concepts: Sequence[Marked], listings: Sequence[Listing], signs: Signs) -> Text:
    """What the signs mean, in one line."""
    text = Text()
    for position, marked in enumerate(concepts):
        text.append(f"{sign_of(position, len(concepts), signs)} {marked.concept}", style_of(marked))
        text.append("   ")
    if not any(listing.moves for listing in listings):
        text.rstrip()
    if any(listing.moves for listing in listings):
        text.append(f"{signs.up}n {signs.down}n moved n places   new n: came from unsteered rank n", "dim")
    return text


def share_table(rows: Sequence[tuple[str, Mapping[str, float]]], columns: Sequence[str], signs: Signs) -> Table:
    """Mean shares of top-k lists: one row per concept, one column per rule, each with a bar of ten blocks."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("concept", no_wrap=True)
    for column in columns:
        table.add_column(column, no_wrap=True)
    for name, shares in rows:
        table.add_row(name, *(_bar(shares[column], column.split()[0], signs) for column in columns))
    return table


def _bar(share: float, action: str, signs: Signs) -> Text:
    text = Text(f"{share:6.1%} ")
    return text.append(signs.blocks * round(10 * share), COLOURS.get(action, NEUTRAL))


def _counts(listing: Listing, concepts: Sequence[Marked], signs: Signs) -> Text:
    """``A 3 of 10  B 0 of 10``."""
    text = Text()
    for position, marked in enumerate(concepts):
        sign = sign_of(position, len(concepts), signs)
        text.append(f"{sign} {listing.count(marked.concept)} of {len(listing.places)}", style_of(marked))
        text.append("  ")
    text.rstrip()
    return text


def _title(place: Place, concepts: Sequence[Marked], signs: Signs) -> Text:
    text = Text()
    for position, marked in enumerate(concepts):
        carried = marked.concept in place.carries
        text.append(sign_of(position, len(concepts), signs) if carried else " ", style_of(marked))
    carries = [marked for marked in concepts if marked.concept in place.carries]
    text.append(" " if concepts else "")
    return text.append(place.title or place.item_id, style_of(carries[0]) if carries else "")
