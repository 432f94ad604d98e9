"""The picture of `tiller explain`: per item a waterfall from the base score through every rule to the steered score.

All items share one axis from zero, so lengths compare between them; every bar begins where the one above it ended.
Numbers add up as they are printed (cli.sums). Places are 1-based.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli import sums, tables
from cli.answer import Asker, rules_table
from cli.console import Signs, signs
from client import Explanation, Item, Recommendation

BAR, SMALL, NUMBER, LONGEST = 40, 8, 10, 36
BASE, LACKING = "base", "not explained"


@dataclass(frozen=True)
class Step:
    """One line of a waterfall, in units: a part, and the running sum before and after it."""

    name: str
    colour: str
    part: int
    begin: int

    @property
    def end(self) -> int:
        """The running sum after the part."""
        return self.begin + self.part


@dataclass(frozen=True)
class Waterfall:
    """One item's score and what it is made of, in units of ``10 ** -places``."""

    steps: tuple[Step, ...]
    total: int


def waterfall(item: Item, why: Explanation, places: int) -> Waterfall:
    """The base score, then what each rule adds; rules that add nothing are left out."""
    acting = [part for part in why.contributions if part.value]
    total, parts = sums.rounded(item.score, [why.base_score, *(part.value for part in acting)], places)
    names = [(BASE, tables.NEUTRAL), *((f"{p.action} {p.concept}", tables.COLOURS[p.action]) for p in acting)]
    steps, at = [], 0
    for place, part in enumerate(parts):
        name, colour = names[place] if place < len(names) else (LACKING, "red")
        steps.append(Step(name, colour, part, at))
        at += part
    return Waterfall(tuple(steps), total)


def print_explained(
    answer: Recommendation, asker: Asker, console: Console, *, items: Sequence[tuple[int, Item]], full: bool
) -> None:
    """Who asked, the rules, and each of ``items`` (place, item) as a waterfall; ``full``: every concept it carries."""
    look = signs(console)
    whole = f"bundle {answer.bundle_id}, policies {answer.policy_revision}"
    console.print(Text.assemble((asker.name, "bold"), f", {whole}"))
    if answer.rules:
        console.print()
        console.print(rules_table(answer.rules, look))
    explained = [(rank, item, item.explanation) for rank, item in items if item.explanation is not None]
    figures = [abs(number) for _, item, why in explained
               for number in (item.score, why.base_score, *(part.value for part in why.contributions))]  # fmt: skip
    places = sums.decimals(figures)
    falls = [waterfall(item, why, places) for _, item, why in explained]
    edges = [edge for fall in falls for step in fall.steps for edge in (step.begin, step.end)]
    axis = Axis(min([0, *edges]), max([0, *edges]))
    known = len(answer.baseline) if answer.baseline is not None else 0
    width = min(LONGEST, max((len(step.name) for fall in falls for step in fall.steps), default=0))
    for (rank, item, why), fall in zip(explained, falls, strict=True):
        console.print()
        console.print(_heading(rank, item, why, known, look))
        console.print(Padding(_table(fall, axis, places, look, width), (0, 0, 0, 4)))
        if why.concepts:
            console.print(Padding(_concepts(why, look, full=full), (0, 0, 0, 4)))
    console.print()
    console.print(
        "Bars share one axis with zero on it; each begins where the one above it ended. Digits are rounded so that "
        "they add up. ? = by the read-out only, not by the metadata",
        style="dim",
    )


@dataclass(frozen=True)
class Axis:
    """From the lowest to the highest running sum, in units; zero is always on it."""

    low: int
    high: int

    def bar(self, begin: int, end: int, look: Signs) -> str:
        """A bar between two running sums; what is not zero is at least one block wide."""
        span = max(1, self.high - self.low)
        first, last = sorted((begin, end))
        left = min(BAR - 1, round(BAR * (first - self.low) / span))
        right = min(BAR, max(left + (first != last), round(BAR * (last - self.low) / span)))
        return " " * left + look.blocks * (right - left)


def _heading(rank: int, item: Item, why: Explanation, known: int, look: Signs) -> Text:
    text = Text(f"{rank:>3} ", "dim")
    text.append(item.title or item.item_id, "bold")
    if item.title:
        text.append(f"  {item.item_id}", "dim")
    was = f"base rank {why.base_rank}" if why.base_rank else "not among the best before"
    text.append(f"  {was} {look.arrow} {rank}")
    moved = tables.movement(rank, why.base_rank, known, look)
    return text.append(f"  {moved}", "dim" if moved == look.same else "bold")


def _table(fall: Waterfall, axis: Axis, places: int, look: Signs, width: int) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, overflow="ellipsis", width=width)
    table.add_column(justify="right", no_wrap=True, width=NUMBER)
    table.add_column(no_wrap=True, width=BAR)
    for step in fall.steps:
        number = sums.told(step.part, places, sign=step.name != BASE)
        bar = axis.bar(step.begin, step.end, look)
        table.add_row(Text(step.name, step.colour), number, Text(bar, step.colour))
    if len(fall.steps) > 1:
        score = Text(axis.bar(0, fall.total, look), "bold")
        table.add_row(Text("score", "bold"), Text(sums.told(fall.total, places), "bold"), score)
    return table


def _concepts(why: Explanation, look: Signs, *, full: bool) -> Text:
    text = Text("carries ", "dim")
    shown = why.concepts if full else why.concepts[:3]
    for entry in shown:
        blocks = look.blocks * max(1, round(SMALL * entry.value))
        text.append(f"{entry.concept} {entry.value:.2f}{'' if entry.labelled else '?'} ")
        text.append(blocks + "  ", "dim")
    if len(shown) < len(why.concepts):
        text.append(f"and {len(why.concepts) - len(shown)} more (--full)", "dim")
    text.rstrip()
    return text
