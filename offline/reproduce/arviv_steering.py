"""Sections of the page about Arviv et al. 2025 that change lists: item promotion, suppression and promotion by dose."""

from __future__ import annotations

from typing import Any

from offline.evaluate.html import DASH, Cell, Column, figure, label, paragraph, section, table
from offline.reproduce.arviv_page import form_name, shown_forms
from offline.reproduce.bars import ZEROING
from offline.reproduce.figures import Drawing
from offline.reproduce.pieces import details
from offline.reproduce.summary import at, cell, first_protocol, over, saes
from offline.reproduce.ways import NAMES


def promotion(document: dict[str, Any], drawn: dict[str, Drawing]) -> str:
    """Targeted promotion and its collateral."""
    rows = []
    for title, own in first_protocol(document):
        for form, beta in shown_forms(own):
            runs = [sae["promoted"] for sae in saes(own, form, beta)]
            for n, toward in enumerate(runs[0]["audiences"]):
                for way, name in (("ours", "residual kept"), ("papers", "residual dropped")):
                    found = [
                        run["directions"][n][way]["at_half"] for run in runs if run["directions"][n]["toward"] == toward
                    ]
                    rows.append(
                        [
                            label(f"{title}, {form_name(form, beta)}"),
                            label(toward),
                            label(name),
                            *(cell(over(found, at(key)), 1, percent=True) for key in ("target", "other", "rest")),
                            cell(over(found, at("rest_ndcg_kept"))),
                            cell(over(found, at("dose")), 1),
                        ]
                    )
    columns = [
        Column("", text=True),
        Column("towards", text=True),
        Column("edit", text=True),
        Column("audience", "share that is shown the item"),
        Column("other audience", "share that is shown the item"),
        Column("everyone else", "share that is shown the item"),
        Column("NDCG kept, all but the audience"),
        Column("dose"),
    ]
    first = first_protocol(document)[0][1][0]["saes"][-1]["promoted"]
    return section(
        "promotion",
        "Targeted promotion of items",
        paragraph(
            "The latent of a concept is raised in the code of one item, so that the item reaches the users whose "
            "history holds most of that concept. Two audiences without a common user tell whether it stays there; "
            f"what everyone else is shown is the collateral. In the first row {first['users'][0]} and "
            f"{first['users'][1]} users, {first['users'][2]} others, {len(first['items'])} items of middling "
            "popularity that carry neither concept.",
            "soft",
        ),
        figure(drawn["promotion"].on_page(), drawn["promotion"].caption),
        table(
            "At the first dose that shows the item to half of its audience; a dash where no dose up to 16 does.",
            columns,
            rows,
        ),
    )


def steering(document: dict[str, Any], drawn: dict[str, Drawing]) -> str:
    """Dose-response and cost at equal effect."""
    parts = [figure(drawing.on_page(), drawing.caption) for name, drawing in drawn.items() if name.startswith("dose")]
    fans = []
    for title, own in first_protocol(document):
        for form, beta in shown_forms(own):
            found = saes(own, form, beta)
            parts.append(details(f"At equal effect: {title}, {form_name(form, beta)}", _reached(found)))
            for n, part in enumerate(found[0]["steered"]):
                runs = [sae["steered"][n]["fans"] for sae in found]
                published = ZEROING.get((own[0]["dataset"], part["concept"]))
                fans.append(
                    [
                        label(f"{title}, {form_name(form, beta)}"),
                        label(part["concept"]),
                        cell(over(runs, at("base_share")), 1, percent=True),
                        *(
                            cell(over(runs, at(key, "share")), 1, percent=True)
                            for key in ("zeroed", "served", "served_codes")
                        ),
                        Cell(DASH if published is None else "{:.2f} → {:.2f}".format(*published), None),
                        cell(over(runs, at("served", "ndcg_kept"))),
                        cell(over(runs, at("nearly_none", "ndcg_kept"))),
                    ]
                )
    columns = [
        Column("", text=True),
        Column("concept", text=True),
        Column("before", "share of the top 10, users whose history holds most of it"),
        Column("latent at zero (paper)", "share of the top 10, users whose history holds most of it"),
        Column("item channel, -1", "share of the top 10, users whose history holds most of it"),
        Column("the same, codes only", "share of the top 10, users whose history holds most of it"),
        Column("published, to zero", "share of the top 10, users whose history holds most of it"),
        Column("item channel, -1", "NDCG kept"),
        Column("dose that leaves 2 %", "NDCG kept"),
    ]
    return section(
        "steering",
        "Suppression and promotion by dose",
        paragraph(
            "Every way from no effect to much. The item channel adds a bounded read-out to item scores; the user "
            "channel moves the user along one latent; the paper's way sets that latent and drops the residual, "
            "which costs NDCG before anything is steered. Shares are counted by the label in the top 10.",
            "soft",
        ),
        *parts,
        table("Suppression for the fans of a concept.", columns, fans),
    )


def _reached(found: list[dict[str, Any]]) -> str:
    rows = []
    for n, part in enumerate(found[0]["steered"]):
        runs = [sae["steered"][n] for sae in found]
        for direction, words in (("suppress", "to 10 % of its share"), ("promote", "to half of the list")):
            for way, name in NAMES.items():
                if way in part[f"{direction}_reached"]:
                    own = [run[f"{direction}_reached"][way] for run in runs]
                    keys = ("share", "ndcg_kept", "overlap", "coverage", "diversity")
                    rows.append(
                        [
                            label(part["concept"]),
                            label(f"{direction} {words}"),
                            label(name),
                            Cell(
                                f"{sum(row is not None for row in own)} of {len(own)}",
                                sum(row is not None for row in own),
                            ),
                            *(cell(over(own, at(key))) for key in keys),
                        ]
                    )
    columns = [
        Column("concept", text=True),
        Column("goal", text=True),
        Column("way", text=True),
        Column("seeds that reach it"),
        *(Column(name) for name in ("share", "NDCG kept", "overlap with unsteered", "coverage", "diversity")),
    ]
    users = found[0]["steered"][0]["users"] if found[0]["steered"] else 0
    return table(f"{users:,} users; the smallest dose that reaches the goal.", columns, rows)
