"""The steering table of the page about Klenitskiy et al. 2025."""

from __future__ import annotations

from typing import Any

from offline.evaluate.html import Cell, Column, figure, label, paragraph, section, table
from offline.reproduce.bars import PROMOTION
from offline.reproduce.figures import Drawing
from offline.reproduce.klenitskiy_page import of_kind
from offline.reproduce.pieces import details, heading
from offline.reproduce.summary import at, cell, over
from offline.reproduce.ways import NAMES


def steering(document: dict[str, Any], drawn: dict[str, Drawing]) -> str:
    """The steering table."""
    own = of_kind(document, "sequential")
    parts = [
        figure(drawing.on_page(), drawing.caption) for name, drawing in drawn.items() if name.startswith("steering")
    ]
    names = [part["concept"] for part in own[0]["steered"]]
    for n, name in enumerate(names):
        runs = [setting["steered"][n] for setting in own]
        reached = _reached(runs, "promote") + _reached(runs, "suppress")
        columns = [
            Column("goal", text=True),
            Column("way", text=True),
            Column("share"),
            Column("NDCG"),
            Column("coverage"),
            Column("diversity"),
            Column("overlap with unsteered"),
            Column("dose"),
        ]
        base = runs[0]["base"]
        parts.append(heading(name))
        parts.append(
            table(
                f"{runs[0]['users']:,} users; unsteered: share {base['share']:.3f}, coverage {base['coverage']:.3f}, "
                f"diversity {base['diversity']:.3f}. A dash where no dose reaches the share.",
                columns,
                reached,
            )
        )
        parts.append(details(f"{name}: every dose", _doses(runs)))
    return section(
        "steering",
        "The steering table",
        paragraph(
            "Share of the genre in the top 10, NDCG against the held-out item, share of the catalogue that anybody "
            "is shown, and diversity within a list (in item tags). After block 0 is the paper's way: the genre's "
            "best latent raised at every position, residual dropped. The others act on the final state or on item "
            "scores.",
            "soft",
        ),
        *parts,
    )


def _reached(runs: list[dict[str, Any]], direction: str) -> list[list[Cell]]:
    rows = []
    for target, ways in runs[0][f"{direction}_reached"].items():
        published = PROMOTION.get(target) if direction == "promote" and runs[0]["concept"] == "Sci-Fi" else None
        goal = f"promote to {float(target):.3f}" if direction == "promote" else "suppress to 10 % of its share"
        if published is not None:
            rows.append(
                [
                    label(goal),
                    label("published"),
                    Cell(target, float(target)),
                    Cell(f"{published:.1%}", published),
                    *(Cell("–", None) for _ in range(4)),
                ]
            )
        for way in ways:
            found = [run[f"{direction}_reached"][target][way] for run in runs]
            rows.append(
                [
                    label(goal),
                    label(NAMES[way]),
                    cell(over(found, at("share"))),
                    cell(over(found, lambda row: row["ndcg_kept"] - 1), 1, percent=True),
                    *(cell(over(found, at(key))) for key in ("coverage", "diversity", "overlap")),
                    cell(over(found, at("dose")), 2),
                ]
            )
    return rows


def _doses(runs: list[dict[str, Any]]) -> str:
    rows = []
    for direction in ("promote", "suppress"):
        for way, doses in runs[0][direction].items():
            for n, row in enumerate(doses):
                found = [run[direction][way][n] for run in runs]
                rows.append(
                    [
                        label(direction),
                        label(NAMES[way]),
                        Cell(f"{row['dose']:g}", row["dose"]),
                        cell(over(found, at("share"))),
                        cell(over(found, lambda part: part["ndcg_kept"] - 1), 1, percent=True),
                        *(cell(over(found, at(key))) for key in ("coverage", "diversity", "popularity")),
                    ]
                )
    columns = [
        Column("", text=True),
        Column("way", text=True),
        Column("dose"),
        Column("share"),
        Column("NDCG"),
        Column("coverage"),
        Column("diversity"),
        Column("popularity percentile"),
    ]
    return table("Doses in each way's own unit.", columns, rows)
