"""What `tiller demo` shows once a server answers: one user's lists side by side, shares over many users, next steps."""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyarrow.types import is_floating, is_integer
from rich.console import Console
from rich.text import Text

from bundle import Bundle
from cli import showcase, tables
from cli.console import PLAIN_WIDTH, signs
from cli.showcase import Ask, Clocked, Subject, Titles
from client import Rule, demote, filter_out, promote

K = 10
DEEP = 200
"""How far the unsteered list of the shown user is looked at, to say where a new item came from."""

SURVEYED = 200
CONCEPTS = 3
SHOWN_CONCEPTS = 14
CANDIDATES = 100
"""Users whose unsteered lists are looked at to find one worth showing."""

COLUMNS: dict[str, Callable[[str], list[Rule]]] = {
    "unsteered": lambda concept: [],  # noqa: ARG005 - no rule at all
    "filter": lambda concept: [filter_out(concept)],
    "demote 0.5": lambda concept: [demote(concept, 0.5)],
    "promote 0.5": lambda concept: [promote(concept, 0.5)],
}


@dataclass(frozen=True)
class Facts:
    """What the report shows, as numbers: tests read these."""

    subject: Subject
    before: float
    filtered: float
    promoted: float
    outcome: showcase.Outcome


def print_made(bundle: Bundle, console: Console) -> None:
    """What training has come to: ranking beside popularity, the SAE, the concepts with their held-out figures."""
    from offline.summary import concept_table, ranking_table, sae_line

    manifest, provenance = bundle.manifest, bundle.manifest.provenance
    concepts = bundle.contents.concepts.concepts
    named = [concept for concept in concepts if concept.offered and not _of_numbers(bundle, concept.family)]
    console.print()
    if provenance["ranking"]:
        console.print(ranking_table(provenance["ranking"]))
    console.print(sae_line(provenance["sae"], manifest.dims.latents), soft_wrap=True)
    offered = sum(concept.offered for concept in concepts)
    console.print(f"Concepts: {offered} offered, {len(concepts) - offered} not found. The first of them:")
    console.print(concept_table(named[:SHOWN_CONCEPTS]))
    console.print(
        f"Bundle {manifest.bundle_id} in {bundle.path}: {manifest.dims.items:,} items, {manifest.dims.users:,} users; "
        "every checksum and shape proved.",
        soft_wrap=True,
    )


def _of_numbers(bundle: Bundle, family: str) -> bool:
    """Whether a family is intervals of a number, such as the year."""
    items = bundle.contents.items
    return family in items.column_names and _is_number(items.schema.field(family).type)


def _is_number(kind: object) -> bool:
    return bool(is_integer(kind) or is_floating(kind))


def report(bundle: Bundle, ask: Ask, users: Sequence[str], console: Console, svg: Path | None = None) -> Facts:
    """Ask, print, and hand back what was found. ``users``: ids in a seeded order, at least one."""
    offered = [concept for concept in bundle.contents.concepts.concepts if concept.offered]
    carriers = showcase.labelled(bundle.contents.items, offered)
    clocked = Clocked(ask)
    plain = {user: clocked(user, [], K) for user in users[:CANDIDATES]}
    subject = showcase.choose(plain, carriers, bundle.manifest.dims.items)
    listings = _listings(ask, subject, carriers)
    _print_lists(console, subject, listings, bundle.manifest.dims.items)
    if svg is not None:
        _save_svg(svg, subject, listings, bundle.manifest.dims.items)
    concepts = showcase.also_worth(carriers, subject.concept, CONCEPTS)
    outcome = showcase.survey(clocked, users[:SURVEYED], concepts, carriers, columns=COLUMNS, k=K)
    _print_outcome(console, outcome, clocked)
    before, filtered, promoted = (_share(listing, subject) for listing in listings)
    return Facts(subject, before, filtered, promoted, outcome)


def _listings(ask: Ask, subject: Subject, carriers: Mapping[str, frozenset[str]]) -> list[tables.Listing]:
    deep = ask(subject.user_id, [], DEEP)
    was = {item_id: rank for rank, (item_id, _) in enumerate(deep, 1)}

    def listing(heading: str, answer: Titles, *, moves: bool = True) -> tables.Listing:
        members = carriers[subject.concept]
        return tables.Listing(
            heading,
            tuple(
                tables.Place(item_id, title, frozenset({subject.concept} if item_id in members else ()),
                             was.get(item_id, 0))
                for item_id, title in answer
            ),
            moves,
        )  # fmt: skip

    value = subject.concept.partition(":")[2]
    steered = [filter_out(subject.concept), promote(subject.concept, 0.5)]
    return [
        listing("unsteered", deep[:K], moves=False),
        listing(f"filter {value}", ask(subject.user_id, steered[:1], K)),
        listing(f"promote {value} 0.5", ask(subject.user_id, steered[1:], K)),
    ]


def _share(listing: tables.Listing, subject: Subject) -> float:
    return listing.count(subject.concept) / max(1, len(listing.places))


def _print_lists(console: Console, subject: Subject, listings: Sequence[tables.Listing], items: int) -> None:
    terminal = signs(console)
    marked = [tables.Marked(subject.concept)]
    before, filtered, promoted = (_share(listing, subject) for listing in listings)
    console.print(
        Text.assemble("User ", (subject.user_id, "bold"), f": the best {K} of {items:,} items, without those the user "
                      f"has taken.\nShare of {subject.concept}: {before:.0%} unsteered, {filtered:.0%} with a filter, "
                      f"{promoted:.0%} with a promotion of strength 0.5.")
    )  # fmt: skip
    console.print(tables.side_by_side(listings, marked, terminal, console.width))
    console.print(tables.legend(marked, listings, terminal))


def _save_svg(svg: Path, subject: Subject, listings: Sequence[tables.Listing], items: int) -> None:
    recorder = Console(
        record=True, width=PLAIN_WIDTH, force_terminal=True, file=io.StringIO(), highlight=False, markup=False
    )
    _print_lists(recorder, subject, listings, items)
    svg.parent.mkdir(parents=True, exist_ok=True)
    recorder.save_svg(str(svg), title="tiller demo")


def _print_outcome(console: Console, outcome: showcase.Outcome, clocked: Clocked) -> None:
    terminal = signs(console)
    console.print(f"\nMean share of a concept in the best {K}, over {outcome.users} users:")
    console.print(tables.share_table(list(outcome.shares.items()), list(COLUMNS), terminal))
    console.print(
        f"The promise of the filter: {outcome.forbidden} forbidden items among the {outcome.filtered:,} that filtered "
        f"requests returned."
    )
    console.print(clocked.summary())


def next_steps(bundle: Path, facts: Facts, program: str) -> str:
    """The three commands to go on with, as they can be typed."""
    rule = '{"action": "ACTION_PROMOTE", "concept": "%s", "strength": 0.5}' % facts.subject.concept  # noqa: UP031
    request = f'{{"user_id": "{facts.subject.user_id}", "k": {K}, "rules": [{rule}]}}'
    return "\n".join(
        [
            "Go on with:",
            "  1. serve this bundle",
            f"     {program} serve --bundle {shlex.quote(str(bundle))} --port 50051",
            "  2. ask it, from another terminal, without any proto file",
            f"     grpcurl -plaintext -d {shlex.quote(request)} \\",
            "       127.0.0.1:50051 steering.v1.RecommendService/Recommend",
            "  3. train on your own embeddings",
            f"     {program} train --items items.parquet --users users.parquet --out bundles/mine",
        ]
    )
