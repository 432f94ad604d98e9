"""Pictures of `tiller policy diff` and `preview`: what differs, who is reached, shares as bars, two lists.

Takes server.preview's result and the admin service's message alike: their parts have the same names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.console import Signs, signs
from cli.tables import Listing, Place, side_by_side

BAR = 16
SHOWN = 12
"""Concepts of a situation; what moved least is left out."""

KINDS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


def print_preview(preview: Any, console: Console, *, before: str, after: str, examples: int) -> None:
    """The whole picture; ``before``, ``after``: what the sides are called; ``examples``: users shown, at most."""
    print_changes(preview.changes, console, before=before, after=after)
    if not preview.situations:
        return
    for situation in preview.situations:
        console.print()
        _print_situation(situation, preview.k, examples, console)


def print_changes(changes: Sequence[Any], console: Console, *, before: str, after: str) -> None:
    """The policies that differ, in words."""
    if not changes:
        console.print(f"{before} and {after} say the same.", soft_wrap=True)
        return
    count = f"{len(changes)} {'policy differs' if len(changes) == 1 else 'policies differ'}"
    console.print(Text.assemble((f"{before} -> {after}: {count}", "bold")), soft_wrap=True)
    for change in changes:
        sign, colour = KINDS[change.kind]
        console.print(Text.assemble((f"  {sign} {change.name}", colour), f"  {'; '.join(change.what)}"), soft_wrap=True)


def _print_situation(situation: Any, k: int, examples: int, console: Console) -> None:
    look = signs(console)
    attributes = " ".join(f"{name}={value}" for name, value in sorted(situation.attributes.items()))
    changed, users = situation.changed, situation.users
    head = Text(f"{attributes or 'no attributes'}: ", "bold")
    head.append(f"{changed} of {users} users see another list ({_percent(changed / users)})")
    head.append(f", {situation.overlap * k:.1f} of {k} items stay on average")
    console.print(head, soft_wrap=True)
    for short, side in ((situation.short_before, "before"), (situation.short_after, "after")):
        if short:
            console.print(f"  {short} lists have too few items that pass, {side}", style="yellow")
    reached = [f"{one.policy} {one.before} {look.arrow} {one.after}" for one in situation.fired]
    if reached:
        console.print(f"  users reached: {'; '.join(reached)}", soft_wrap=True)
    else:
        console.print(
            "  no policy reaches anybody: look at its conditions, and at --at and --attribute", style="yellow"
        )
    if situation.shares:
        console.print(_shares(situation.shares, look))
    for example in situation.examples[:examples]:
        console.print(f"  user {example.user_id}: {round(example.overlap * k)} of {k} items stay")
        console.print(_lists(example, look, console.width - 2))


def _shares(shares: Sequence[Any], look: Signs) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=True, padding=(0, 1))
    table.add_column("share of the lists", no_wrap=True)
    table.add_column("before", no_wrap=True, width=BAR + 8)
    table.add_column("after", no_wrap=True, width=BAR + 8)
    table.add_column("points", justify="right", no_wrap=True)
    for share in shares[:SHOWN]:
        moved = share.after - share.before
        colour = "green" if moved > 0.005 else "red" if moved < -0.005 else "dim"
        table.add_row(
            Text(share.concept, "bold" if share.ruled else ""),
            _bar(share.before, "cyan", look),
            _bar(share.after, colour if abs(moved) > 0.005 else "cyan", look),
            Text(f"{100 * moved:+.1f}", colour),
        )
    if len(shares) > SHOWN:
        table.add_row(f"and {len(shares) - SHOWN} more that moved less", "", "", "")
    return table


def _bar(share: float, colour: str, look: Signs) -> Text:
    text = Text(f"{_percent(share):>6} ")
    return text.append(look.blocks * max(round(BAR * share), int(share > 0)), colour)


def _percent(part: float) -> str:
    return f"{100 * part:.1f}%"


def _lists(example: Any, look: Signs, width: int) -> Table:
    ranks = {item.item_id: rank for rank, item in enumerate(example.before, 1)}
    before = Listing("before", _places(example.before, {}), moves=False)
    after = Listing("after", _places(example.after, ranks))
    return side_by_side([before, after], [], look, width)


def _places(items: Iterable[Any], ranks: dict[str, int]) -> tuple[Place, ...]:
    return tuple(Place(item.item_id, item.title, frozenset(), ranks.get(item.item_id, 0)) for item in items)
