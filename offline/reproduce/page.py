"""evaluation.html of a reproduction: one page that needs nothing but a browser."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from offline.evaluate.html import DASH, Cell, Column, label, paragraph, section, table, text, tiles
from offline.reproduce import (
    arviv_figures,
    arviv_page,
    arviv_steering,
    bars,
    klenitskiy_figures,
    klenitskiy_page,
    klenitskiy_steering,
)
from offline.reproduce.config import TITLES
from offline.reproduce.figures import Drawing
from offline.reproduce.pieces import details

FAST_NOTE = (
    "A fast run: training is cut short and few users and concepts are measured, so figures lie below those of the "
    "whole run and vary more. It shows that everything works, not how well it can."
)

NAVIGATION = (
    ("bars", "Bar by bar"),
    ("recommenders", "Recommenders"),
    ("recommender", "Recommender"),
    ("beta", "Fidelity and beta"),
    ("purity", "Purity"),
    ("neurons", "Neurons"),
    ("saes", "Autoencoders"),
    ("interpretability", "Interpretability"),
    ("promotion", "Item promotion"),
    ("steering", "Steering"),
    ("hierarchy", "Hierarchy"),
    ("provenance", "How this was made"),
)


def drawings(document: dict[str, Any]) -> dict[str, Drawing]:
    """Every figure of a document by name."""
    if document["paper"] == "klenitskiy2025":
        return klenitskiy_figures.drawings(document)
    return arviv_figures.drawings(document)


def render(document: dict[str, Any], drawn: dict[str, Drawing]) -> str:
    """The page with the figures ``drawn`` from the same document; same document, same bytes."""
    if document["paper"] == "klenitskiy2025":
        parts = [
            klenitskiy_page.recommender(document),
            klenitskiy_page.autoencoders(document),
            klenitskiy_page.interpretability(document, drawn),
            klenitskiy_steering.steering(document, drawn),
            klenitskiy_page.hierarchy(document, drawn),
        ]
    else:
        parts = [
            arviv_page.recommenders(document),
            arviv_page.fidelity(document, drawn),
            arviv_page.purity(document, drawn),
            arviv_page.neurons(document, drawn),
            arviv_steering.promotion(document, drawn),
            arviv_steering.steering(document, drawn),
        ]
    body = "".join([bar_by_bar(document), *parts, provenance(document)])
    links = "".join(f'<a href="#{a}">{text(name)}</a>' for a, name in NAVIGATION if f'<section id="{a}"' in body)
    here = files("offline.evaluate")
    style, script = ((here / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    title = TITLES[document["paper"]]
    note = f'<div class="note">{paragraph(FAST_NOTE)}</div>' if document["fast"] else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{style}{STYLE}</style></head><body><header><h1>{text(title)}</h1>"
        f"{paragraph(lead(document))}{tiles(headline(document))}{note}<nav>{links}</nav></header>"
        f"<main>{body}</main><footer>Made by Tiller {text(document['tiller_version'])}. Every figure is in "
        "evaluation.json beside this page; docs/reproduce.md says what each one means.</footer>"
        f"<script>{script}</script></body></html>\n"
    )


STYLE = """
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--accent); }
td.text { min-width: 0; max-width: 36rem; } td.yes { color: var(--c3); font-weight: 600; } td.no { color: var(--warn); }
"""


def lead(document: dict[str, Any]) -> str:
    """What was run, in a sentence."""
    seeds = ", ".join(map(str, document["seeds"]))
    minutes = document["seconds"] / 60
    return (
        f"Seed{'s' if len(document['seeds']) > 1 else ''} {seeds}; {document['units']} units of work, "
        f"{minutes:,.1f} minutes of computing on {document['device']}. What the paper does is done again, with its "
        "own form of SAE and with Tiller's, beside what was published and a bar to reach."
    )


def headline(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Figures to see first: the bars, and the rows that carry most."""
    hit, known = bars.reached(document["bars"])
    out = [(f"{hit} of {known}", "bars reached" + (" in this fast run" if document["fast"] else ""))]
    wanted = (
        ("RBO", "RBO of the reconstructed lists"),
        ("purity@10, mean of the genres, held out", "purity@10, held out"),
        ("NDCG@10, leave last out", "NDCG@10 of the recommender"),
        ("L0, after block 0", "L0 after block 0"),
        ("NDCG cost of Sci-Fi at 0.533, item channel", "NDCG cost of Sci-Fi in half of the list"),
    )
    for metric, words in wanted:
        row = next((row for row in document["bars"] if row["metric"] == metric and row["ours"] is not None), None)
        if row is not None:
            published = f"; published {row['published']}" if row["published"] else ""
            out.append((_value(row), f"{words} ({row['on']}{published})"))
    return out


def bar_by_bar(document: dict[str, Any]) -> str:
    """Ours, theirs, bar, reached or not; and why figures differ."""
    rows = []
    for row in document["bars"]:
        if row["reached"] is None:
            answer = Cell("not measured", None)
        else:
            answer = Cell(
                "reached" if row["reached"] else "not reached", int(row["reached"]), "yes" if row["reached"] else "no"
            )
        rows.append(
            [
                label(row["on"]),
                label(row["metric"]),
                Cell(row["published"] or DASH, row["published"] or None),
                Cell(row["bar"], row["bar"]),
                Cell(_value(row), row["ours"]),
                answer,
            ]
        )
    columns = [
        Column("on", text=True),
        Column("figure", text=True),
        Column("published", text=True),
        Column("bar", text=True),
        Column("ours"),
        Column("", text=True),
    ]
    why = "".join(f"<li>{text(words)}</li>" for words in bars.DIFFERENCES[document["paper"]])
    return section(
        "bars",
        "Bar by bar",
        paragraph(
            "Ours is Tiller's default SAE unless the row says otherwise; the paper's own form stands beside it below.",
            "soft",
        ),
        table("Published, bar, and this run.", columns, rows),
        details("Why figures differ", f"<ul>{why}</ul>"),
    )


def provenance(document: dict[str, Any]) -> str:
    """Command, sizes and data."""
    facts = {
        "command": document["command"],
        "Tiller": document["tiller_version"],
        "seeds": ", ".join(map(str, document["seeds"])),
        "device": document["device"],
        "computing": f"{document['seconds']:,.0f} s in {document['units']} units",
    }
    terms = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in facts.items())
    plan = f"<pre>{text(json.dumps(document['plan'], indent=2))}</pre>"
    return section("provenance", "How this was made", f"<dl>{terms}</dl>", details("Sizes of the work", plan))


def _value(row: dict[str, Any]) -> str:
    if row["ours"] is None:
        return DASH
    factor, unit = (100, " %") if row["percent"] else (1, "")
    digits = 1 if row["percent"] else row["digits"]
    spread = "" if row["spread"] is None else f" ± {row['spread'] * factor:.{digits}f}"
    return f"{row['ours'] * factor:.{digits}f}{spread}{unit}"
