"""Sections and figures of the page about Arviv et al. 2025."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from offline.evaluate.html import DASH, Cell, Column, count, figure, label, number, paragraph, percent, section, table
from offline.reproduce.bars import FIDELITY as FIDELITY_PUBLISHED
from offline.reproduce.bars import MONOSEMANTICITY
from offline.reproduce.config import BETAS, DEPTHS
from offline.reproduce.figures import Drawing
from offline.reproduce.pieces import details, heading
from offline.reproduce.summary import at, cell, first_protocol, groups, over, saes

Settings = list[dict[str, Any]]

FORM_NAMES = {"paper": "paper's SAE", "tiller": "Tiller's SAE"}
SHOWN: tuple[tuple[str, float | None], ...] = (("paper", 1.0), ("tiller", None))

FIDELITY = (("RBO", "rbo"), ("tau", "tau"), ("NDCG kept", "ndcg_kept"))


def recommenders(document: dict[str, Any]) -> str:
    """NDCG of every recommender beside popularity."""
    rows = [
        [
            label(title),
            cell(over(own, at("ranking", "recommender", "ndcg@10")), 4),
            cell(over(own, at("ranking", "popularity", "ndcg@10")), 4),
            cell(over(own, at("ranking", "recommender", "recall@10")), 4),
            cell(over(own, at("ranking", "popularity", "recall@10")), 4),
            cell(over(own, at("model", "seconds")), 0),
        ]
        for title, own in groups(document)
    ]
    columns = [
        Column("", text=True),
        Column("recommender", "NDCG@10"),
        Column("popularity", "NDCG@10"),
        Column("recommender", "Recall@10"),
        Column("popularity", "Recall@10"),
        Column("seconds to train"),
    ]
    return section(
        "recommenders",
        "The recommenders",
        paragraph("Frozen from here on. The whole catalogue is ranked, items already taken are masked.", "soft"),
        table("All users.", columns, rows),
    )


def fidelity(document: dict[str, Any], drawn: dict[str, Drawing]) -> str:
    """RBO, tau and monosemanticity against beta."""
    parts = []
    for title, own in groups(document):
        rows = []
        for form, beta in [*(("paper", beta) for beta in BETAS), ("tiller", None)]:
            found = saes(own, form, beta)
            if not found:
                continue
            name = FORM_NAMES[form] + ("" if beta is None else f", β = {beta:g}")
            both = [sae["measured"]["fidelity"]["both"] for sae in found]
            users = [sae["measured"]["fidelity"]["user"] for sae in found]
            about = [sae["measured"]["sae"] for sae in found]
            mono = [sae["measured"]["monosemanticity"] for sae in found]
            purity = [sae["measured"]["purity"]["mean"]["10"] for sae in found]
            rows.append(
                [
                    label(name),
                    *(cell(over(both, at(key))) for _, key in FIDELITY),
                    cell(over(users, at("rbo"))),
                    cell(over(mono, at("independent"))),
                    cell(over(mono, at("circular"))),
                    cell(over(purity, at("all_items")), 2),
                    cell(over(purity, at("held_out")), 2),
                    cell(over(about, at("explained_variance_items")), 2),
                    cell(over(about, at("l0_items")), 1),
                    cell(over(about, at("l0_users")), 1),
                    cell(over(about, at("dead_share")), 1, percent=True),
                ]
            )
        rows.append(_published(own[0]["dataset"], own[0]["recommender"]))
        chance = saes(own, "tiller")[0]["measured"]["monosemanticity"]
        columns = [
            Column("", text=True),
            *(Column(name, "users and items reconstructed") for name, _ in FIDELITY),
            Column("RBO", "users only"),
            Column("item tags", "monosemanticity"),
            Column("own space, top 30", "monosemanticity"),
            Column("all items", "purity@10"),
            Column("held out", "purity@10"),
            Column("explained variance"),
            Column("L0 items"),
            Column("L0 users"),
            Column("dead"),
        ]
        parts.append(
            table(
                f"{title}. A latent that fires on everything has monosemanticity {chance['chance']:.3f} in item "
                f"tags and {chance['circular_chance']:.3f} in the recommender's own space.",
                columns,
                rows,
            )
        )
    return section(
        "beta",
        "Fidelity, monosemanticity and beta",
        paragraph(
            "Beta weighs the prediction-aware term of the paper's loss: how well scores, not embeddings, are "
            "reconstructed. RBO is truncated (identical lists give .958); what Tiller serves keeps the residual, "
            "so a request without a rule has RBO 1 whatever stands here.",
            "soft",
        ),
        figure(drawn["beta"].on_page(), drawn["beta"].caption),
        *parts,
    )


def purity(document: dict[str, Any], drawn: dict[str, Drawing]) -> str:
    """Purity of every genre and tag."""
    parts = []
    for title, own in groups(document):
        for form, beta in shown_forms(own):
            found = saes(own, form, beta)
            parts.append(
                _purity_table(f"{title}, {form_name(form, beta)}", [sae["measured"]["purity"] for sae in found])
            )
    means = [
        [
            label(f"{title}, {form_name(form, beta)}"),
            *_mean_cells([sae["measured"]["purity"] for sae in saes(own, form, beta)]),
        ]
        for title, own in groups(document)
        for form, beta in shown_forms(own)
    ]
    shown = [figure(drawing.on_page(), drawing.caption) for name, drawing in drawn.items() if name.startswith("purity")]
    columns = [Column("", text=True)]
    columns += [Column(name, f"purity@{k}") for k in DEPTHS for name in ("all items", "held out", "attainable")]
    return section(
        "purity",
        "Purity of every genre and tag",
        paragraph(
            "Of the items that activate a latent most, the share that carries the concept; per concept its best "
            "latent. All items: chosen and scored on all items, as the paper does. Held out: chosen on half A, "
            "scored on half B, both ways, over random halvings. Attainable: what a perfect latent reaches on all "
            "items.",
            "soft",
        ),
        table("Means over the concepts.", columns, means),
        *shown,
        heading("Every concept"),
        *parts,
    )


def neurons(document: dict[str, Any], drawn: dict[str, Drawing]) -> str:
    """Popularity, decades, mean activations."""
    rows = []
    for title, own in first_protocol(document):
        for form, beta in shown_forms(own):
            parts = [sae["measured"]["popularity"] for sae in saes(own, form, beta)]
            for end in ("popular", "niche"):
                cells = []
                for k in DEPTHS:
                    chosen = [row for part in parts for row in part if (row["k"], row["end"]) == (k, end)]
                    cells += [cell(over(chosen, at("all_items")), 2), cell(over(chosen, at("held_out")), 2)]
                rows.append([label(f"{title}, {form_name(form, beta)}"), label(end), *cells])
    columns = [Column("", text=True), Column("neuron", text=True)]
    columns += [Column(name, f"percentile of the top {k}") for k in DEPTHS for name in ("all items", "held out")]
    decades = [
        details(
            f"Purity of decades: {title}, {form_name(form, beta)}",
            _purity_table(
                "Decades with at least 20 items.",
                [sae["measured"]["decades"] for sae in saes(own, form, beta)],
                bare=True,
            ),
        )
        for title, own in first_protocol(document)
        for form, beta in shown_forms(own)
        if any(sae["measured"]["decades"]["concepts"] for sae in saes(own, form, beta))
    ]
    strongest = []
    for title, own in first_protocol(document):
        for neuron in saes(own[:1], "tiller")[0]["pictured"]["neurons"]:
            strongest.append(
                [
                    label(f"{title}: {neuron['named']}"),
                    label(f"latent {neuron['latent']}"),
                    label("; ".join(neuron["items"][:6])),
                ]
            )
    return section(
        "neurons",
        "What neurons stand for",
        table("Popularity neurons: mean popularity percentile of the strongest items (chance .50).", columns, rows),
        *(
            figure(drawing.on_page(), drawing.caption)
            for name, drawing in drawn.items()
            if name.startswith(("mean", "decades"))
        ),
        *decades,
        table(
            "Strongest items of two neurons each, Tiller's SAE.",
            [Column("", text=True), Column("neuron", text=True), Column("items", text=True)],
            strongest,
        ),
    )


def _published(dataset: str, name: str) -> list[Cell]:
    """The published row of a fidelity table."""
    fidelity = FIDELITY_PUBLISHED.get((dataset, name), {})
    known: dict[int, float | None] = {n: fidelity[key][0] for n, key in ((0, "rbo"), (1, "tau")) if key in fidelity}
    if dataset == "ml-1m":
        known[5] = MONOSEMANTICITY[name][0]
        known[6] = 0.75 if name == "ncf" else None
    return [label("published"), *(number(known.get(n), 2 if n == 6 else 3) for n in range(12))]


def _purity_table(title: str, parts: list[dict[str, Any]], *, bare: bool = False) -> str:
    columns = [Column("concept"), Column("items"), Column("base rate")]
    columns += [Column(name, f"purity@{k}") for k in DEPTHS for name in ("all items", "held out", "attainable")]
    rows = []
    for n, concept in enumerate(parts[0]["concepts"]):
        cells = [label(concept["name"]), count(concept["items"]), percent(concept["base_rate"])]
        for k in DEPTHS:
            own = [part["concepts"][n]["at"][str(k)] for part in parts]
            cells += [cell(over(own, at(key)), 2) for key in ("all_items", "held_out")]
            cells.append(number(concept["at"][str(k)]["attainable"], 2))
        rows.append(cells)
    mean = [Cell("mean", None), Cell(DASH, None), Cell(DASH, None), *_mean_cells(parts)]
    made = table(title if bare else f"{len(rows)} concepts.", columns, rows, mean if rows else ())
    return made if bare else details(title, made)


def _mean_cells(parts: list[dict[str, Any]]) -> list[Cell]:
    keys = ("all_items", "held_out", "attainable")
    return [cell(over(parts, at("mean", str(k), key))) for k in DEPTHS for key in keys]


def shown_forms(own: Sequence[dict[str, Any]]) -> list[tuple[str, float | None]]:
    """Those of ``SHOWN`` that these settings have."""
    return [(form, beta) for form, beta in SHOWN if saes(own, form, beta)]


def form_name(form: str, beta: float | None) -> str:
    """An SAE in words."""
    return FORM_NAMES[form] + ("" if beta is None else f", β = {beta:g}")
