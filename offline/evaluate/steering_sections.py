"""Sections of the page about steering: what it costs at equal effect, what a strength does, concept by concept."""

from __future__ import annotations

from typing import Any

from offline.evaluate import figures
from offline.evaluate.html import Cell, Column, figure, label, number, paragraph, percent, section, table
from offline.evaluate.methods import Direction

CHANNELS = {"item": "item channel", "query": "query channel"}


def steering(evaluation: dict[str, Any]) -> str:
    """Means over the concepts, and a table per direction with every concept."""
    part, config = evaluation["steering"], evaluation["config"]
    if not part["rows"]:
        return section("steering", "Steering", paragraph("No concept is offered, so there is nothing to steer."))
    goals: dict[Direction, str] = {
        "suppress": f"suppress to {config['suppress_left']:.0%} of the base share",
        "promote": f"promote to {config['promote_share']:.0%} of the list",
    }
    measured = (
        f"{part['concepts']} of {part['concepts_offered']} concepts, {part['users']:,} sampled users, top {part['k']}"
    )
    ranked = any(row["ndcg_kept"] is not None for row in part["rows"])
    drawn = ""
    if ranked:
        drawn = figure(
            figures.costs(part["means"], part["methods"]),
            "At equal effect, further up and to the right is better. Means over the concepts where every method "
            "reaches the target.",
        )
        if any(row.get("curve") for row in part["rows"]):
            drawn += figure(
                figures.frontier(part["rows"], part["methods"]),
                "The frontier: what is left of NDCG while the dose grows up to the target. The dashed line shows "
                "the oracle's list to a growing part of the users. Means over the concepts that all lines reach.",
            )
    return section(
        "steering",
        "Steering at equal effect",
        paragraph(
            "Every method gets the dose at which it has the same effect; what differs is the cost. The oracle is a "
            "hard filter by the label, and a re-ranking to the quota by the label. A target that no dose reaches is "
            "said to be missed, and such concepts are left out of that method's means.",
            "soft",
        ),
        *(_means(part, direction, f"{goal.capitalize()}: {measured}.") for direction, goal in goals.items()),
        drawn,
        *(_concepts(part, direction, goal) for direction, goal in goals.items()),
    )


def strengths(evaluation: dict[str, Any]) -> str:
    """What the server's dial does."""
    part = evaluation["steering"]
    if not part["reach"]:
        return ""
    by_concept: dict[str, dict[str, dict[str, Any]]] = {}
    for row in part["reach"]:
        by_concept.setdefault(row["concept"], {})[row["channel"]] = row
    channels = [channel for channel in CHANNELS if any(channel in rows for rows in by_concept.values())]
    keys = [
        (key, title)
        for key, title in (
            ("left_0.5", "left, demote 0.5"),
            ("left_1", "left, demote 1"),
            ("reached_0.5", "share, promote 0.5"),
            ("reached_1", "share, promote 1"),
        )
        if any(key in row for row in part["reach"])
    ]
    columns = [
        Column("concept"),
        Column("base share"),
        *(Column(title, CHANNELS[channel]) for channel in channels for _, title in keys),
        Column("poor reach", text=True),
    ]
    rows = []
    for concept, own in by_concept.items():
        first = next(iter(own.values()))
        cells = [label(concept), percent(first["base_share"])]
        for channel in channels:
            cells += [percent(own.get(channel, {}).get(key), 0) for key, _ in keys]
        poor = "; ".join(
            f"{channel}: {own[channel]['poor']}" for channel in channels if own.get(channel, {}).get("poor")
        )
        rows.append([*cells, Cell(poor, poor or None, "poor")])
    drawn = [
        figure(
            figures.dose_response(part["curve"]),
            "Means over the concepts. The dose follows one curve for all of them (bundle.dose) until it is calibrated.",
        )
    ]
    return section(
        "strength",
        "What a strength does",
        paragraph("What the server does with a rule, for the mean user: the part of the concept's share that a "
                  "demotion leaves, and the share of the list that a promotion reaches.", "soft"),
        *drawn,
        table(f"Top {part['k']}, {part['users']:,} sampled users.", columns, rows),
    )  # fmt: skip


def _means(part: dict[str, Any], direction: Direction, caption: str) -> str:
    own = [row for row in part["means"] if row["direction"] == direction]
    if not own:
        return ""
    columns = [
        Column("method"),
        Column("target reached"),
        Column("share left" if direction == "suppress" else "share"),
        Column("NDCG kept"),
        Column("overlap with oracle"),
        Column("NDCG kept", f"same {own[0]['shared_concepts']} concepts"),
        Column("overlap", f"same {own[0]['shared_concepts']} concepts"),
    ]
    rows = [
        [
            label(part["methods"][row["method"]]),
            percent(row["reached"], 0),
            percent(row["share_left"] if direction == "suppress" else row["share"]),
            number(row["ndcg_kept"]),
            number(row["overlap"]),
            number(row["shared_ndcg_kept"]),
            number(row["shared_overlap"]),
        ]
        for row in own
    ]
    return table(caption, columns, rows)


def _concepts(part: dict[str, Any], direction: Direction, goal: str) -> str:
    own = [row for row in part["rows"] if row["direction"] == direction]
    methods = [name for name in part["methods"] if any(row["method"] == name for row in own)]
    by_concept: dict[str, dict[str, dict[str, Any]]] = {}
    for row in own:
        by_concept.setdefault(row["concept"], {})[row["method"]] = row
    columns = [Column("concept"), Column("base share")]
    for name in methods:
        title = part["methods"][name].split(":")[0]
        if name == "oracle":
            columns.append(Column("NDCG kept", "oracle"))
        else:
            columns += [Column("share", title), Column("NDCG kept", title), Column("overlap", title)]
    rows = []
    for concept, entries in by_concept.items():
        cells = [label(concept), percent(next(iter(entries.values()))["base_share"])]
        for name in methods:
            row = entries.get(name)
            if name == "oracle":
                cells.append(number(row["ndcg_kept"] if row else None))
            elif row is None or not row["reached"]:
                missed = None if row is None else row["share"]
                cells += [Cell(percent(missed).shown, missed, "poor"), Cell("missed", None, "poor"), Cell("–", None)]
            else:
                cells += [percent(row["share"]), number(row["ndcg_kept"]), number(row["overlap"])]
        rows.append(cells)
    return table(f"Concept by concept: {goal}.", columns, rows) if rows else ""
