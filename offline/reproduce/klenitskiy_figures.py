"""Figures of the page about Klenitskiy et al. 2025."""

from __future__ import annotations

from typing import Any

from offline.reproduce.bars import PROMOTION
from offline.reproduce.figures import Drawing, dots, paths, scatter
from offline.reproduce.klenitskiy_page import KINDS, kinds_at, of_kind
from offline.reproduce.states import LAYER_NAMES
from offline.reproduce.summary import at, over
from offline.reproduce.ways import NAMES


def drawings(document: dict[str, Any]) -> dict[str, Drawing]:
    """Every figure of the page by name."""
    own = of_kind(document, "sequential")
    found = [_genre_figure(own)]
    found += [_steering_figure(part) for part in own[0]["steered"][:3]]
    found.append(_hierarchy_figure(of_kind(document, "nested")[0]))
    return {drawing.name: drawing for drawing in found}


def _genre_figure(own: list[dict[str, Any]]) -> Drawing:
    columns, series = [], ["latents", "raw, as many candidates", "probe"]
    names = own[0]["layers"][0]["raw"]["genres"]
    for n, layer in enumerate(own[0]["layers"]):
        kinds = {title: runs for title, _, runs in kinds_at(own, n)}
        best = f"latents, k = {layer['saes'][-1]['k']}"
        content = []
        for title in (best, KINDS["rotated"], KINDS["probe"]):
            found = [over(kinds[title], at("auc_held_out", g)) for g in range(len(names))]
            content.append([None if part is None else part.mean for part in found])
        columns.append((LAYER_NAMES[layer["layer"]].capitalize(), content))
    return Drawing(
        "genres",
        "ROC-AUC of the best direction per genre, held out; latents of the SAE with k = "
        f"{own[0]['layers'][0]['saes'][-1]['k']}.",
        lambda: dots(names, columns, series, "ROC-AUC, held out"),
    )


def _steering_figure(part: dict[str, Any]) -> Drawing:
    promote = part["promote"]
    panels = [
        (
            title,
            [(NAMES[way], [row["share"] for row in rows], [row[key] for row in rows]) for way, rows in promote.items()],
        )
        for title, key in (("NDCG kept", "ndcg_kept"), ("Coverage", "coverage"), ("Diversity in a list", "diversity"))
    ]
    slug = "".join(letter for letter in part["concept"].lower() if letter.isalnum())
    published = [(float(share), 1 + cost) for share, cost in PROMOTION.items()] if part["concept"] == "Sci-Fi" else []
    told = " Stars: published (NDCG, with another base share)." if published else ""
    return Drawing(
        f"steering-{slug}",
        f"Promoting {part['concept']}: what it does to NDCG, coverage and diversity at the share reached.{told}",
        lambda: paths(panels, f"share of {part['concept']} in the top 10", "", points=published, points_in=(0,)),
    )


def _hierarchy_figure(setting: dict[str, Any]) -> Drawing:
    panels = [
        (
            "Nested (Matryoshka)" if sae["form"] == "matryoshka" else "Not nested (BatchTopK)",
            [row["latent"] for row in sae["latents"]],
            [row["support"] for row in sae["latents"]],
        )
        for sae in setting["saes"]
    ]
    edges = setting["saes"][0]["prefixes"]
    return Drawing(
        "hierarchy",
        "Share of the artists that activate each latent, in the order of the latents; dotted lines divide the levels.",
        lambda: scatter(panels, edges, "share of the artists"),
    )
