"""Figures of the page about Arviv et al. 2025."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from offline.reproduce.config import BETAS
from offline.reproduce.figures import Drawing, bars, dots, lines, paths
from offline.reproduce.summary import at, first_protocol, over, saes
from offline.reproduce.ways import NAMES
from offline.reproduce.worlds import FAMILY

Settings = list[dict[str, Any]]


def drawings(document: dict[str, Any]) -> dict[str, Drawing]:
    """Every figure of the page by name."""
    found = [_beta(document)]
    for n, (title, own) in enumerate(first_protocol(document)):
        slug = f"{own[0]['dataset']}-{own[0]['recommender']}"
        if n % 2 == 0:
            found.append(_purity_figure(f"purity-{own[0]['dataset']}", first_protocol(document)[n : n + 2]))
        found.append(_mean_figure(f"mean-{slug}", title, saes(own, "tiller")[0]["pictured"], FAMILY[own[0]["dataset"]]))
        if "decades" in saes(own, "tiller")[0]["pictured"]:
            found.append(_decade_figure(f"decades-{slug}", title, saes(own, "tiller")[0]["pictured"]["decades"]))
        found.append(_dose_figure(f"dose-{slug}", title, saes(own, "tiller")[0]["steered"][0]))
    found.append(_promotion_figure(document))
    return {drawing.name: drawing for drawing in found}


def _beta(document: dict[str, Any]) -> Drawing:
    wanted = (
        ("RBO, users and items reconstructed", at("measured", "fidelity", "both", "rbo")),
        ("Kendall tau", at("measured", "fidelity", "both", "tau")),
        ("NDCG@10 kept", at("measured", "fidelity", "both", "ndcg_kept")),
        ("Purity@10, held out", at("measured", "purity", "mean", "10", "held_out")),
        ("Monosemanticity, item tags", at("measured", "monosemanticity", "independent")),
        ("Monosemanticity, own space, top 30", at("measured", "monosemanticity", "circular")),
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
        [
            (value(settings, "tiller", None, read) or 0.0, "Tiller's SAE (dotted, colour as above)", n)
            for n, (_, settings) in enumerate(own)
        ]
        for _, read in wanted
    ]
    return Drawing(
        "beta",
        "The paper's SAE at every beta, mean over seeds; dotted lines are Tiller's default SAE on the same "
        "recommender.",
        lambda: lines(panels, "beta", levels=levels, categorical=True),
    )


def _purity_figure(name: str, pairs: Sequence[tuple[str, Settings]]) -> Drawing:
    first = saes(pairs[0][1], "tiller")[0]["measured"]["purity"]["concepts"]
    shown = sorted(range(len(first)), key=lambda n: -first[n]["items"])[:24]

    def values(settings: Settings, key: str) -> list[float | None]:
        parts = [sae["measured"]["purity"]["concepts"] for sae in saes(settings, "tiller")]
        found = [over(parts, at(n, "base_rate") if key == "base" else at(n, "at", "20", key)) for n in shown]
        return [None if part is None else part.mean for part in found]

    keys = ("all_items", "held_out", "attainable", "base")
    columns = [(title, [values(settings, key) for key in keys]) for title, settings in pairs]
    names = [first[n]["name"] for n in shown]
    kinds = ("all items", "held out", "attainable", "base rate")
    more = f" The {len(shown)} largest of {len(first)} concepts." if len(first) > len(shown) else ""
    return Drawing(
        name,
        f"Purity@20 of each concept's best latent, Tiller's SAE, largest concept first.{more}",
        lambda: dots(names, columns, kinds, "purity@20"),
    )


def _mean_figure(name: str, title: str, part: dict[str, Any], family: str) -> Drawing:
    panels = [
        (
            f"{genre['concept']}: every neuron",
            [str(n) for n in range(len(genre["activation"]))],
            genre["activation"],
            [genre["latent"]],
        )
        for genre in part["genres"]
    ]
    panels += [
        (
            f"Neuron {neuron['latent']}: every {family}",
            part["concepts"],
            neuron["activation"],
            [part["concepts"].index(neuron["named"])],
        )
        for neuron in part["neurons"]
    ]
    return Drawing(
        name,
        f"{title}: mean activation of all neurons over the items of two concepts (highlighted: the concept's best "
        "neuron), and of these two neurons over the items of every concept.",
        lambda: bars(panels),
    )


def _decade_figure(name: str, title: str, part: dict[str, Any]) -> Drawing:
    spans = list(part["catalogue"])
    shown = sorted(part["neurons"], key=lambda n: -(n["years"].get(n["decade"], 0) - part["catalogue"][n["decade"]]))[
        :3
    ]
    shown.sort(key=itemgetter("decade"))
    panels = [("The catalogue", spans, [part["catalogue"][span] for span in spans], list[int]())]
    panels += [
        (
            f"Neuron {neuron['latent']}, for the {neuron['decade']}",
            spans,
            [neuron["years"].get(span, 0.0) for span in spans],
            [spans.index(neuron["decade"])],
        )
        for neuron in shown
    ]
    return Drawing(
        name,
        f"{title}: decades of the catalogue, and of the 50 strongest items of the three neurons that lie furthest "
        "above it.",
        lambda: bars(panels, percent=True),
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
        f"{title}: NDCG kept against the share of {part['concept']} in the top 10, a point per dose; higher is "
        "better at the same share.",
        lambda: paths(panels, "share of the top 10", "NDCG kept"),
    )


def _promotion_figure(document: dict[str, Any]) -> Drawing:
    panels = []
    for title, own in first_protocol(document):
        run = saes(own, "tiller")[0]["promoted"]["directions"][0]
        rows = run["ours"]["rows"]
        doses = [row["dose"] for row in rows]
        names = (("target", "its audience"), ("other", "the other audience"), ("rest", "everyone else"))
        panels.append(
            (f"{title}: towards {run['toward']}", [(name, doses, [row[key] for row in rows]) for key, name in names])
        )
    return Drawing(
        "promotion",
        "Share of users who are shown a promoted item in their top 10 against the dose, mean over the items; "
        "Tiller's SAE, residual kept.",
        lambda: lines(panels, "dose (90th percentile activations)", categorical=True, percent=True),
    )
