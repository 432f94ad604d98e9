"""Sections and figures of the page about Arviv et al. 2025."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from offline.evaluate.html import DASH, Cell, Column, count, figure, label, number, paragraph, percent, section, table
from offline.reproduce.config import BETAS, DEPTHS
from offline.reproduce.figures import Drawing, bars, dots, lines, paths
from offline.reproduce.pieces import details, heading
from offline.reproduce.summary import cell, first_protocol, groups, over, saes
from offline.reproduce.ways import NAMES

Settings = list[dict[str, Any]]

FORM_NAMES = {"paper": "paper's SAE", "tiller": "Tiller's SAE"}
SHOWN: tuple[tuple[str, float | None], ...] = (("paper", 1.0), ("tiller", None))

FIDELITY = (("RBO", "rbo"), ("tau", "tau"), ("NDCG kept", "ndcg_kept"))


def recommenders(document: dict[str, Any]) -> str:
    """NDCG of every recommender beside popularity."""
    rows = [
        [
            label(title),
            cell(over(own, lambda s: s["ranking"]["recommender"]["ndcg@10"]), 4),
            cell(over(own, lambda s: s["ranking"]["popularity"]["ndcg@10"]), 4),
            cell(over(own, lambda s: s["ranking"]["recommender"]["recall@10"]), 4),
            cell(over(own, lambda s: s["ranking"]["popularity"]["recall@10"]), 4),
            cell(over(own, lambda s: s["model"]["seconds"]), 0),
        ]
        for title, own in groups(document)
    ]
    columns = [Column("", text=True), Column("recommender", "NDCG@10"), Column("popularity", "NDCG@10"),
               Column("recommender", "Recall@10"), Column("popularity", "Recall@10"), Column("seconds to train")]  # fmt: skip
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
            name = FORM_NAMES[form] + ("" if beta is None else f", β = {beta:g}")
            both = [sae["measured"]["fidelity"]["both"] for sae in found]
            users = [sae["measured"]["fidelity"]["user"] for sae in found]
            about = [sae["measured"]["sae"] for sae in found]
            mono = [sae["measured"]["monosemanticity"] for sae in found]
            purity = [sae["measured"]["purity"]["mean"]["10"] for sae in found]
            rows.append(
                [
                    label(name),
                    *(cell(over(both, lambda part, key=key: part[key])) for _, key in FIDELITY),
                    cell(over(users, lambda part: part["rbo"])),
                    cell(over(mono, lambda part: part["independent"])),
                    cell(over(mono, lambda part: part["circular"])),
                    cell(over(purity, lambda part: part["all_items"]), 2),
                    cell(over(purity, lambda part: part["held_out"]), 2),
                    cell(over(about, lambda part: part["explained_variance_items"]), 2),
                    cell(over(about, lambda part: part["l0_items"]), 1),
                    cell(over(about, lambda part: part["l0_users"]), 1),
                    cell(over(about, lambda part: part["dead_share"]), 1, percent=True),
                ]
            )
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
                f"{title}. A latent that fires on everything has monosemanticity {chance['chance']:.3f} in item tags and "
                f"{chance['circular_chance']:.3f} in the recommender's own space.",
                columns,
                rows,
            )
        )
    return section(
        "beta",
        "Fidelity, monosemanticity and beta",
        paragraph(
            "Beta weighs the prediction-aware term of the paper's loss: how well scores, not embeddings, are "
            "reconstructed. RBO is truncated (identical lists give .958); what Tiller serves keeps the residual, so a "
            "request without a rule has RBO 1 whatever stands here.",
            "soft",
        ),
        figure(drawn["beta"].on_page(), drawn["beta"].caption),
        *parts,
    )


def purity(document: dict[str, Any], drawn: dict[str, Drawing]) -> str:
    """Purity of every genre and tag."""
    parts = []
    for title, own in groups(document):
        for form, beta in SHOWN:
            found = saes(own, form, beta)
            if found:
                parts.append(_purity_table(f"{title}, {_form(form, beta)}", [sae["measured"]["purity"] for sae in found]))
    means = [
        [label(f"{title}, {_form(form, beta)}"), *_mean_cells([sae["measured"]["purity"] for sae in saes(own, form, beta)])]
        for title, own in groups(document)
        for form, beta in SHOWN
    ]
    shown = [figure(drawing.on_page(), drawing.caption) for name, drawing in drawn.items() if name.startswith("purity")]
    columns = [Column("", text=True)]
    columns += [Column(name, f"purity@{k}") for k in DEPTHS for name in ("all items", "held out", "attainable")]
    return section(
        "purity",
        "Purity of every genre and tag",
        paragraph(
            "Of the items that activate a latent most, the share that carries the concept; per concept its best latent. "
            "All items: chosen and scored on all items, as the paper does. Held out: chosen on half A, scored on half B, "
            "both ways, over random halvings. Attainable: what a perfect latent reaches on all items.",
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
        for form, beta in SHOWN:
            parts = [sae["measured"]["popularity"] for sae in saes(own, form, beta)]
            for end in ("popular", "niche"):
                cells = []
                for k in DEPTHS:
                    chosen = [row for part in parts for row in part if (row["k"], row["end"]) == (k, end)]
                    cells += [cell(over(chosen, lambda row: row["all_items"]), 2),
                              cell(over(chosen, lambda row: row["held_out"]), 2)]  # fmt: skip
                rows.append([label(f"{title}, {_form(form, beta)}"), label(end), *cells])
    columns = [Column("", text=True), Column("neuron", text=True)]
    columns += [Column(name, f"percentile of the top {k}") for k in DEPTHS for name in ("all items", "held out")]
    decades = [
        details(
            f"Purity of decades: {title}, {_form(form, beta)}",
            _purity_table("Decades with at least 20 items.", [sae["measured"]["decades"] for sae in saes(own, form, beta)], bare=True),
        )
        for title, own in first_protocol(document)
        for form, beta in SHOWN
        if any(sae["measured"]["decades"]["concepts"] for sae in saes(own, form, beta))
    ]
    strongest = []
    for title, own in first_protocol(document):
        for neuron in saes(own[:1], "tiller")[0]["pictured"]["neurons"]:
            strongest.append([label(f"{title}: {neuron['named']}"), label(f"latent {neuron['latent']}"),
                              label("; ".join(neuron["items"][:6]))])  # fmt: skip
    return section(
        "neurons",
        "What neurons stand for",
        table("Popularity neurons: mean popularity percentile of the strongest items (chance .50).", columns, rows),
        *(figure(drawing.on_page(), drawing.caption) for name, drawing in drawn.items() if name.startswith(("mean", "decades"))),
        *decades,
        table("Strongest items of two neurons each, Tiller's SAE.",
              [Column("", text=True), Column("neuron", text=True), Column("items", text=True)], strongest),
    )  # fmt: skip


def promotion(document: dict[str, Any], drawn: dict[str, Drawing]) -> str:
    """Targeted promotion and its collateral."""
    rows = []
    for title, own in first_protocol(document):
        for form, beta in SHOWN:
            runs = [sae["promoted"] for sae in saes(own, form, beta)]
            for n, toward in enumerate(runs[0]["audiences"]):
                for way, name in (("ours", "residual kept"), ("papers", "residual dropped")):
                    found = [run["directions"][n][way]["at_half"] for run in runs if run["directions"][n]["toward"] == toward]
                    rows.append(
                        [
                            label(f"{title}, {_form(form, beta)}"),
                            label(toward),
                            label(name),
                            *(cell(over(found, lambda row, key=key: row[key]), 1, percent=True) for key in ("target", "other", "rest")),
                            cell(over(found, lambda row: row["rest_ndcg_kept"])),
                            cell(over(found, lambda row: row["dose"]), 1),
                        ]
                    )
    columns = [Column("", text=True), Column("towards", text=True), Column("edit", text=True),
               Column("audience", "share that is shown the item"), Column("other audience", "share that is shown the item"),
               Column("everyone else", "share that is shown the item"), Column("NDCG kept, all but the audience"), Column("dose")]  # fmt: skip
    first = first_protocol(document)[0][1][0]["saes"][-1]["promoted"]
    return section(
        "promotion",
        "Targeted promotion of items",
        paragraph(
            "The latent of a concept is raised in the code of one item, so that the item reaches the users whose history "
            "holds most of that concept. Two audiences without a common user tell whether it stays there; what everyone "
            f"else is shown is the collateral. In the first row {first['users'][0]} and {first['users'][1]} users, "
            f"{first['users'][2]} others, {len(first['items'])} items of middling popularity that carry neither concept.",
            "soft",
        ),
        figure(drawn["promotion"].on_page(), drawn["promotion"].caption),
        table("At the first dose that shows the item to half of its audience; a dash where no dose up to 16 does.", columns, rows),
    )


def steering(document: dict[str, Any], drawn: dict[str, Drawing]) -> str:
    """Dose-response and cost at equal effect."""
    parts = [figure(drawing.on_page(), drawing.caption) for name, drawing in drawn.items() if name.startswith("dose")]
    fans = []
    for title, own in first_protocol(document):
        for form, beta in SHOWN:
            found = saes(own, form, beta)
            parts.append(details(f"At equal effect: {title}, {_form(form, beta)}", _reached(found)))
            for n, part in enumerate(found[0]["steered"]):
                runs = [sae["steered"][n]["fans"] for sae in found]
                fans.append(
                    [
                        label(f"{title}, {_form(form, beta)}"),
                        label(part["concept"]),
                        cell(over(runs, lambda run: run["base_share"]), 1, percent=True),
                        *(
                            cell(over(runs, lambda run, key=key: run[key]["share"]), 1, percent=True)
                            for key in ("zeroed", "served", "served_codes")
                        ),
                        cell(over(runs, lambda run: run["served"]["ndcg_kept"])),
                        cell(over(runs, lambda run: run["nearly_none"]["ndcg_kept"])),
                    ]
                )
    columns = [
        Column("", text=True),
        Column("concept", text=True),
        Column("before", "share of the top 10, users whose history holds most of it"),
        Column("latent at zero (paper)", "share of the top 10, users whose history holds most of it"),
        Column("item channel, -1", "share of the top 10, users whose history holds most of it"),
        Column("the same, codes only", "share of the top 10, users whose history holds most of it"),
        Column("item channel, -1", "NDCG kept"),
        Column("dose that leaves 2 %", "NDCG kept"),
    ]
    return section(
        "steering",
        "Suppression and promotion by dose",
        paragraph(
            "Every way from no effect to much. The item channel adds a bounded read-out to item scores; the user channel "
            "moves the user along one latent; the paper's way sets that latent and drops the residual, which costs NDCG "
            "before anything is steered. Shares are counted by the label in the top 10.",
            "soft",
        ),
        *parts,
        table("Suppression for the fans of a concept.", columns, fans),
    )


def drawings(document: dict[str, Any]) -> dict[str, Drawing]:
    """Every figure of the page by name."""
    found = [_beta(document)]
    for n, (title, own) in enumerate(first_protocol(document)):
        slug = f"{own[0]['dataset']}-{own[0]['recommender']}"
        if n % 2 == 0:
            found.append(_purity_figure(f"purity-{own[0]['dataset']}", first_protocol(document)[n : n + 2]))
        found.append(_mean_figure(f"mean-{slug}", title, saes(own, "tiller")[0]["pictured"]))
        if "decades" in saes(own, "tiller")[0]["pictured"]:
            found.append(_decade_figure(f"decades-{slug}", title, saes(own, "tiller")[0]["pictured"]["decades"]))
        found.append(_dose_figure(f"dose-{slug}", title, saes(own, "tiller")[0]["steered"][0]))
    found.append(_promotion_figure(document))
    return {drawing.name: drawing for drawing in found}


def _beta(document: dict[str, Any]) -> Drawing:
    wanted = (
        ("RBO, users and items reconstructed", lambda sae: sae["measured"]["fidelity"]["both"]["rbo"]),
        ("Kendall tau", lambda sae: sae["measured"]["fidelity"]["both"]["tau"]),
        ("Monosemanticity, item tags", lambda sae: sae["measured"]["monosemanticity"]["independent"]),
        ("Purity@10, held out", lambda sae: sae["measured"]["purity"]["mean"]["10"]["held_out"]),
    )

    def value(settings: Settings, form: str, beta: float | None, read: Any) -> float | None:
        known = over(saes(settings, form, beta), read)
        return None if known is None else known.mean

    own = first_protocol(document)
    panels = [
        (title, [(name, BETAS, [value(settings, "paper", beta, read) for beta in BETAS]) for name, settings in own])
        for title, read in wanted
    ]
    levels = [
        [(value(settings, "tiller", None, read) or 0.0, "Tiller's SAE (dotted, colour as above)", n) for n, (_, settings) in enumerate(own)]
        for _, read in wanted
    ]
    return Drawing(
        "beta",
        "The paper's SAE at every beta, mean over seeds; dotted lines are Tiller's default SAE on the same recommender.",
        lambda look: lines(look, panels, "beta", levels=levels, categorical=True),
    )


def _purity_figure(name: str, pairs: Sequence[tuple[str, Settings]]) -> Drawing:
    first = saes(pairs[0][1], "tiller")[0]["measured"]["purity"]["concepts"]
    shown = sorted(range(len(first)), key=lambda n: -first[n]["items"])[:24]

    def values(settings: Settings, key: str) -> list[float | None]:
        parts = [sae["measured"]["purity"]["concepts"] for sae in saes(settings, "tiller")]
        found = [over(parts, lambda part, n=n: part[n]["base_rate"] if key == "base" else part[n]["at"]["20"][key]) for n in shown]
        return [None if part is None else part.mean for part in found]

    keys = ("all_items", "held_out", "attainable", "base")
    columns = [(title, [values(settings, key) for key in keys]) for title, settings in pairs]
    names = [first[n]["name"] for n in shown]
    kinds = ("all items", "held out", "attainable", "base rate")
    more = f" The {len(shown)} largest of {len(first)} concepts." if len(first) > len(shown) else ""
    return Drawing(
        name,
        f"Purity@20 of each concept's best latent, Tiller's SAE, largest concept first.{more}",
        lambda look: dots(look, names, columns, kinds, "purity@20"),
    )


def _mean_figure(name: str, title: str, part: dict[str, Any]) -> Drawing:
    panels = [
        (f"{genre['concept']}: every neuron", [str(n) for n in range(len(genre["activation"]))], genre["activation"], [genre["latent"]])
        for genre in part["genres"]
    ]
    panels += [
        (f"Neuron {neuron['latent']}: every {'genre' if len(part['concepts']) <= 18 else 'tag'}", part["concepts"], neuron["activation"],
         [part["concepts"].index(neuron["named"])])
        for neuron in part["neurons"]
    ]  # fmt: skip
    return Drawing(
        name,
        f"{title}: mean activation of all neurons over the items of two concepts (highlighted: the concept's best neuron), "
        "and of these two neurons over the items of every concept.",
        lambda look: bars(look, panels),
    )


def _decade_figure(name: str, title: str, part: dict[str, Any]) -> Drawing:
    spans = list(part["catalogue"])
    shown = sorted(part["neurons"], key=lambda n: -(n["years"].get(n["decade"], 0) - part["catalogue"][n["decade"]]))[:3]
    shown.sort(key=lambda neuron: neuron["decade"])
    panels = [("The catalogue", spans, [part["catalogue"][span] for span in spans], list[int]())]
    panels += [
        (f"Neuron {neuron['latent']}, for the {neuron['decade']}", spans, [neuron["years"].get(span, 0.0) for span in spans],
         [spans.index(neuron["decade"])])
        for neuron in shown
    ]  # fmt: skip
    return Drawing(
        name,
        f"{title}: decades of the catalogue, and of the 50 strongest items of the three neurons that lie furthest above it.",
        lambda look: bars(look, panels, percent=True),
    )


def _dose_figure(name: str, title: str, part: dict[str, Any]) -> Drawing:
    panels = []
    for direction in ("suppress", "promote"):
        content = [
            (NAMES[way], [row["share"] for row in rows], [row["ndcg_kept"] for row in rows])
            for way, rows in part[direction].items()
        ]
        panels.append((f"{direction.capitalize()} {part['concept']}", content))
    return Drawing(
        name,
        f"{title}: NDCG kept against the share of {part['concept']} in the top 10, a point per dose; higher is better at "
        "the same share.",
        lambda look: paths(look, panels, "share of the top 10", "NDCG kept"),
    )


def _promotion_figure(document: dict[str, Any]) -> Drawing:
    panels = []
    for title, own in first_protocol(document):
        run = saes(own, "tiller")[0]["promoted"]["directions"][0]
        rows = run["ours"]["rows"]
        doses = [row["dose"] for row in rows]
        names = (("target", "its audience"), ("other", "the other audience"), ("rest", "everyone else"))
        panels.append((f"{title}: towards {run['toward']}", [(name, doses, [row[key] for row in rows]) for key, name in names]))
    return Drawing(
        "promotion",
        "Share of users who are shown a promoted item in their top 10 against the dose, mean over the items; Tiller's SAE, "
        "residual kept.",
        lambda look: lines(look, panels, "dose (90th percentile activations)", categorical=True, percent=True),
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
                            Cell(f"{sum(row is not None for row in own)} of {len(own)}", sum(row is not None for row in own)),
                            *(cell(over(own, lambda row, key=key: row[key])) for key in keys),
                        ]
                    )
    columns = [Column("concept", text=True), Column("goal", text=True), Column("way", text=True), Column("seeds that reach it"),
               *(Column(name) for name in ("share", "NDCG kept", "overlap with unsteered", "coverage", "diversity"))]  # fmt: skip
    users = found[0]["steered"][0]["users"] if found[0]["steered"] else 0
    return table(f"{users:,} users; the smallest dose that reaches the goal.", columns, rows)


def _purity_table(title: str, parts: list[dict[str, Any]], *, bare: bool = False) -> str:
    columns = [Column("concept"), Column("items"), Column("base rate")]
    columns += [Column(name, f"purity@{k}") for k in DEPTHS for name in ("all items", "held out", "attainable")]
    rows = []
    for n, concept in enumerate(parts[0]["concepts"]):
        cells = [label(concept["name"]), count(concept["items"]), percent(concept["base_rate"])]
        for k in DEPTHS:
            own = [part["concepts"][n]["at"][str(k)] for part in parts]
            cells += [cell(over(own, lambda at, key=key: at[key]), 2) for key in ("all_items", "held_out")]
            cells.append(number(concept["at"][str(k)]["attainable"], 2))
        rows.append(cells)
    mean = [Cell("mean", None), Cell(DASH, None), Cell(DASH, None), *_mean_cells(parts)]
    made = table(title if bare else f"{len(rows)} concepts.", columns, rows, mean if rows else ())
    return made if bare else details(title, made)


def _mean_cells(parts: list[dict[str, Any]]) -> list[Cell]:
    keys = ("all_items", "held_out", "attainable")
    return [cell(over(parts, lambda part, k=k, key=key: part["mean"][str(k)][key])) for k in DEPTHS for key in keys]


def _form(form: str, beta: float | None) -> str:
    return FORM_NAMES[form] + ("" if beta is None else f", β = {beta:g}")
