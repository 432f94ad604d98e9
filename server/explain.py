"""Why an item has its score, as data: base score, what each rule added, base rank, the concepts it carries.

The parts sum to the score (law 7): a gain adds ``dose x read-out``; a displacement of the query adds ``dx . v`` where
the score is an inner product, and through a scorer network what the score changes when it joins those before it; an
item that is moved gains what its score changes, seen by the moved query.
"""

from __future__ import annotations

from collections.abc import Sequence

from server import bits
from server.asked import Asked
from server.catalogue import Catalogue
from server.edits import Edit
from server.overlaid import rises
from server.steerable import Steerable
from server.types import Contribution, Explanation, IntArray, Ranking, Rule

CONCEPTS_SHOWN = 5
CONCEPT_FLOOR = 0.25
"""Read-outs below it are not shown as concepts an item carries."""


def explain(
    ranking: Ranking,
    asked: Asked,
    base: Ranking,
    edits: Sequence[Edit],
    catalogue: Catalogue,
    *,
    named: Sequence[Rule] = (),
) -> tuple[Explanation, ...]:
    """One explanation per item of ``ranking``; ``asked`` and ``base`` are the unsteered ones.

    ``named``: rules; where an item carries what one of them names, it is never cut off.
    """
    rows = ranking.items
    ranks = {int(row): place + 1 for place, row in enumerate(base.items)}
    different = {rule.concept: rule for rule in named}
    rules = [catalogue.of(rule) for _, rule in sorted(different.items()) if catalogue.offers(rule)]
    base_scores = asked.scores(rows).tolist()
    values = _values(rows, asked, edits)
    return tuple(
        Explanation(
            base_scores[place],
            ranks.get(row, 0),
            tuple(Contribution(edit.rule, value[place]) for edit, value in zip(edits, values, strict=True)),
            _concepts(row, catalogue, rules),
        )
        for place, row in enumerate(rows.tolist())
    )


def _values(rows: IntArray, asked: Asked, edits: Sequence[Edit]) -> list[list[float]]:
    """What each edit adds to each item's score, [edits][len(rows)]."""
    displacements = [edit.displacement for edit in edits if edit.displacement is not None]
    moves = iter(asked.moves(displacements, rows))
    pushes = iter(rises(asked.moved(displacements), [edit.push for edit in edits if edit.push is not None], rows))
    values = []
    for edit in edits:
        if edit.displacement is not None:
            values.append(next(moves).tolist())
            continue
        if edit.push is not None:
            values.append(next(pushes).tolist())
            continue
        values.append((edit.dose * edit.readout(rows)).tolist())
    return values


def _concepts(row: int, catalogue: Catalogue, asked: Sequence[Steerable]) -> tuple[tuple[str, float, bool], ...]:
    carried = [entry for steerable in catalogue.named if (entry := _carries(row, steerable))[1] >= CONCEPT_FLOOR]
    carried.sort(key=lambda entry: (-entry[1], not entry[2], entry[0]))
    shown = carried[:CONCEPTS_SHOWN]
    named = {entry[0] for entry in shown}
    more = (_carries(row, steerable) for steerable in asked if steerable.id not in named)
    return (*shown, *(entry for entry in more if entry[1] > 0))


def _carries(row: int, steerable: Steerable) -> tuple[str, float, bool]:
    labelled = steerable.labels is not None and bits.has(steerable.labels, row)
    return steerable.id, float(steerable.gain[row]), labelled
