"""One answer of a server as tables: lists side by side, what became of the rules, and why items have their scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import tables
from cli.console import Signs, signs
from cli.refuse import UsageRefused
from cli.rules import told
from client import Item, ItemConcept, Recommendation, RuleOutcome, TillerClient

ACTING = {"applied", "shadow"}


@dataclass(frozen=True)
class Asker:
    """Who asks, as the command line says it, and what must not come back."""

    name: str
    arguments: dict[str, Any]

    @classmethod
    def of(
        cls, user: str | None, history: str | None, *, exclude: Sequence[str] = (), exclude_history: bool = False
    ) -> Asker:
        """From ``--user``, ``--history``, ``--exclude`` and ``--exclude-history``.

        Raises:
            UsageRefused: both or neither, or ``--exclude-history`` without a history.
        """
        if (user is None) == (history is None):
            raise UsageRefused(
                "who is asking", found="neither" if user is None else "both", expected="--user or --history"
            )
        if history is None:
            if exclude_history:
                raise UsageRefused("--exclude-history", found="without --history", hint="Name items with --exclude.")
            return cls(f"User {user}", {"user_id": user, "exclude": exclude})
        ids = [item_id.strip() for item_id in history.split(",") if item_id.strip()]
        told = "1 item" if len(ids) == 1 else f"{len(ids)} items"
        arguments = {"history": ids, "exclude": exclude, "exclude_history": exclude_history}
        return cls(f"A history of {told}", arguments)


@dataclass(frozen=True)
class Compared:
    """A steered answer, and the unsteered list of the same user with the concepts its items carry."""

    steered: Recommendation
    unsteered: tuple[Item, ...]


def compare(client: TillerClient, steered: Recommendation, asker: Asker, k: int) -> Compared:
    """Ask for the unsteered list with its items' concepts, which a baseline does not carry.

    Rules of strength 0 are exactly off, and tell the server which concepts to look for in the items.
    """
    named = {o.rule.concept: o.rule for o in steered.rules if o.status != "unknown_concept"}
    off = [
        replace(rule, action="promote", strength=0.0, channel=None, membership=None, share=None)
        for rule in named.values()
    ]
    plain = client.recommend(**asker.arguments, k=k, rules=off, ignore_policies=True, explain=True)
    return Compared(steered, plain.items)


def print_answer(compared: Compared, asker: Asker, console: Console, *, explain: bool = False) -> None:
    """The lists, the rules and, when asked for, the explanations."""
    terminal = signs(console)
    answer = compared.steered
    marked = _marked(answer.rules)
    was = {item.item_id: rank for rank, item in enumerate(compared.unsteered, 1)}
    steered = tables.Listing("steered", tuple(_place(item, was) for item in answer.items))
    before = tables.Listing("unsteered", tuple(_place(item, was) for item in compared.unsteered), moves=False)
    listings = [before, steered] if answer.rules else [before]
    console.print(Text.assemble((asker.name, "bold"), f", bundle {answer.bundle_id}, policies ",
                                f"{answer.policy_revision}"))  # fmt: skip
    console.print(tables.side_by_side(listings, marked, terminal, console.width))
    console.print(tables.legend(marked, listings, terminal))
    if answer.shortfall is not None:
        console.print(f"Short: {answer.shortfall.reason}.", style="yellow")
    if answer.history is not None and answer.history.unknown:
        console.print(f"{answer.history.unknown} of the history's ids not in the catalogue.", style="yellow")
    if answer.unknown_excluded:
        console.print(f"{answer.unknown_excluded} of the excluded ids are not in the catalogue.", style="yellow")
    if answer.rules:
        console.print()
        console.print(rules_table(answer.rules, terminal))
        if answer.overlap is not None:
            console.print(f"{answer.overlap:.0%} of the unsteered list is still there.", style="dim")
    if explain:
        console.print()
        console.print(_explanations(answer.items))


def _marked(rules: Iterable[RuleOutcome]) -> list[tables.Marked]:
    """The concepts of the rules that act, each once; the list's own colours follow the first of them."""
    acting = {o.rule.concept: o.rule.action for o in reversed(tuple(rules)) if o.status in ACTING}
    return [tables.Marked(concept, action) for concept, action in reversed(acting.items())]


def _place(item: Item, was: dict[str, int]) -> tables.Place:
    why = item.explanation
    if why is None:
        return tables.Place(item.item_id, item.title, frozenset(), was.get(item.item_id, 0))
    carries = frozenset(c.concept for c in why.concepts if _carried(c))
    return tables.Place(item.item_id, item.title, carries, was.get(item.item_id, why.base_rank))


def _carried(concept: ItemConcept) -> bool:
    """Latents have no labels: activating one is carrying it. Nor has what is like an example: half as alike is."""
    by_likeness = concept.concept.startswith(("like ", "custom:"))
    return concept.labelled or concept.concept.startswith("latent:") or (by_likeness and concept.value >= 0.5)


def rules_table(rules: Sequence[RuleOutcome], terminal: Signs) -> Table:
    """What became of each rule."""
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    table.add_column("rule", no_wrap=True)
    table.add_column("from", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("dose", justify="right", no_wrap=True)
    table.add_column("share", no_wrap=True)
    table.add_column("note")
    for outcome in rules:
        share = ""
        if outcome.share_before is not None and outcome.share_after is not None:
            share = f"{outcome.share_before:.0%} {terminal.arrow} {outcome.share_after:.0%}"
        dose = f"{outcome.dose:+.3g}" if outcome.rule.action != "filter" and outcome.status == "applied" else ""
        table.add_row(told(outcome.rule), outcome.source, outcome.status, dose, share, outcome.note)
    return table


def _explanations(items: Sequence[Item]) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    table.add_column("", justify="right")
    table.add_column("item", no_wrap=True, overflow="ellipsis", max_width=36)
    table.add_column("score", justify="right")
    table.add_column("= base", justify="right")
    table.add_column("+ rules", no_wrap=True)
    table.add_column("carries (read-out)")
    for rank, item in enumerate(items, 1):
        why = item.explanation
        if why is None:
            continue
        parts = "  ".join(f"{part.value:+.3g} {part.concept}" for part in why.contributions if part.value)
        concepts = "  ".join(f"{c.concept} {c.value:.2f}{'' if c.labelled else '?'}" for c in why.concepts)
        table.add_row(
            str(rank), item.title or item.item_id, f"{item.score:.4g}", f"{why.base_score:.4g}", parts, concepts
        )
    table.caption = "? the read-out says so, the metadata does not"
    table.caption_justify = "left"
    return table
