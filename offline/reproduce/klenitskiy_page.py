"""Sections and figures of the page about Klenitskiy et al. 2025."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from offline.evaluate.html import Cell, Column, figure, label, paragraph, percent, section, table
from offline.reproduce.figures import Drawing
from offline.reproduce.pieces import details
from offline.reproduce.states import LAYER_NAMES
from offline.reproduce.summary import at, cell, over

KINDS = {"raw": "raw dimensions", "rotated": "raw, as many candidates (rotated)", "probe": "linear probe"}
MEASURES = (("|Pearson|", "pearson"), ("ROC-AUC", "auc"))


def of_kind(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Settings of a kind: sequential | nested."""
    return [setting for setting in document["settings"] if setting["kind"] == kind]


def recommender(document: dict[str, Any]) -> str:
    """SASRec beside popularity."""
    own = of_kind(document, "sequential")
    rows = [
        [
            label(title),
            *(cell(over(own, at("ranking", key, name)), 4) for name in ("ndcg@10", "recall@10")),
        ]
        for key, title in (("recommender", "SASRec"), ("popularity", "popularity"))
    ]
    seconds = sum(setting["model"]["seconds"] for setting in own) / len(own)
    epochs = own[0]["model"]["facts"].get("epochs")
    return section(
        "recommender",
        "The recommender",
        paragraph(
            "SASRec on ML-1M: a causal transformer with tied item embeddings. The last item of every user is left "
            f"out, the whole catalogue is ranked, items already taken are masked. {epochs} epochs, {seconds:,.0f} s.",
            "soft",
        ),
        table("All users.", [Column("", text=True), Column("NDCG@10"), Column("Recall@10")], rows),
    )


def autoencoders(document: dict[str, Any]) -> str:
    """Reconstruction, L0, dead share and cost of every SAE of states."""
    rows = []
    own = of_kind(document, "sequential")
    for n, layer in enumerate(own[0]["layers"]):
        for m, sae in enumerate(layer["saes"]):
            found = [setting["layers"][n]["saes"][m] for setting in own]
            rows.append(
                [
                    label(LAYER_NAMES[layer["layer"]]),
                    Cell(str(sae["k"]), sae["k"]),
                    Cell(str(sae["latents"]), sae["latents"]),
                    cell(over(found, at("explained_variance"))),
                    cell(over(found, at("l0")), 1),
                    cell(over(found, at("dead_share")), 1, percent=True),
                    cell(over(found, lambda part: part["ndcg_kept"] - 1), 1, percent=True),
                ]
            )
    columns = [
        Column("read at", text=True),
        Column("k"),
        Column("latents"),
        Column("explained variance"),
        Column("L0"),
        Column("dead"),
        Column("NDCG@10 when states are replaced"),
    ]
    users = own[0]["layers"][0]["saes"][0]["users"]
    return section(
        "saes",
        "Autoencoders of its states",
        paragraph(
            "TopK SAEs with eight latents per dimension. After block 0 the states of every position are replaced "
            "and the rest of the transformer reads what is left; at the end only the user's own state is. Tiller "
            "serves neither: it adds the decoded difference to the state, so a request without a rule costs "
            "nothing.",
            "soft",
        ),
        table(
            f"Cost on {users:,} users. Published: L0 88 of 512, 34 % of 4,128 latents dead, NDCG -3 % at k = 32 to "
            "-0.5 % at k = 128.",
            columns,
            rows,
        ),
    )


def interpretability(document: dict[str, Any], drawn: dict[str, Drawing]) -> str:
    """Latents against raw dimensions and the probe."""
    own = of_kind(document, "sequential")
    rows, parts = [], []
    for n, layer in enumerate(own[0]["layers"]):
        for title, count, runs in kinds_at(own, n):
            rows.append(
                [
                    label(LAYER_NAMES[layer["layer"]]),
                    label(title),
                    Cell("–" if count is None else str(count), count),
                    *(
                        cell(over(runs, partial(_mean, key)))
                        for _, measure in MEASURES
                        for key in (measure, f"{measure}_held_out")
                    ),
                ]
            )
        parts.append(details(f"Every genre: {LAYER_NAMES[layer['layer']]}", _genres(own, n)))
    columns = [
        Column("states of", text=True),
        Column("candidates", text=True),
        Column("how many"),
        *(Column(name, title) for title, _ in MEASURES for name in ("all", "held out")),
    ]
    return section(
        "interpretability",
        "Latents, raw dimensions and the probe",
        paragraph(
            "Per genre the candidate direction that goes with it best, mean over genres: |Pearson| and ROC-AUC "
            "against the genres of the item at the position. The best of many is lucky, so raw dimensions are "
            "rotated at random until they are as many as the latents, and held out means chosen on the states of "
            "one half of the items and scored on the other. The probe is a logistic regression on the whole state: "
            "the most that is in it.",
            "soft",
        ),
        table("Mean over the genres.", columns, rows),
        *(figure(drawing.on_page(), drawing.caption) for name, drawing in drawn.items() if name.startswith("genres")),
        *parts,
    )


def hierarchy(document: dict[str, Any], drawn: dict[str, Drawing]) -> str:
    """Nested SAEs on Last.FM."""
    own = of_kind(document, "nested")
    rows, family = [], []
    for n, sae in enumerate(own[0]["saes"]):
        runs = [setting["saes"][n] for setting in own]
        for m, level in enumerate(sae["levels"]):
            parts = [run["levels"][m] for run in runs]
            rows.append(
                [
                    label("nested (Matryoshka)" if sae["form"] == "matryoshka" else "not nested (BatchTopK)"),
                    Cell(f"{level['from']} to {level['to'] - 1}", level["from"]),
                    cell(over(parts, at("active")), 0),
                    cell(over(parts, at("support")), 1, percent=True),
                    cell(over(parts, at("tag_share")), 1, percent=True),
                    cell(over(parts, at("purity")), 2),
                    cell(over(runs, at("variance", m)), 2),
                ]
            )
    for parent in own[0]["saes"][0]["children"]:
        told = ", ".join(f"{child['tag']} ({child['lift']:.1f} x)" for child in parent["children"])
        family.append(
            [
                label(parent["tag"]),
                Cell(f"latent {parent['latent']}", parent["latent"]),
                percent(parent["support"]),
                label(told),
            ]
        )
    trend = [
        f"{'nested' if sae['form'] == 'matryoshka' else 'not nested'} {sae['trend']['support']:+.2f} for support and "
        f"{sae['trend']['tag_share']:+.2f} for the size of the tag"
        for sae in own[0]["saes"]
    ]
    columns = [
        Column("SAE", text=True),
        Column("latents"),
        Column("active"),
        Column("median support"),
        Column("median size of the tag"),
        Column("median purity@20"),
        Column("variance up to here"),
    ]
    return section(
        "hierarchy",
        "Hierarchy of nested latents",
        paragraph(
            "A Matryoshka SAE must reconstruct from its first latents alone, so these become general and later "
            "ones fine. Support: share of the artists that activate a latent; its tag: the Last.FM tag it goes "
            "with best. Spearman correlation of a latent's level with these (below 0 is a hierarchy): "
            f"{'; '.join(trend)}.",
            "soft",
        ),
        table("Last.FM HetRec, MF; levels are the prefixes of the nested SAE.", columns, rows),
        figure(drawn["hierarchy"].on_page(), drawn["hierarchy"].caption),
        table(
            "General latents of the first level, and later latents whose artists they hold more often than chance.",
            [
                Column("tag", text=True),
                Column("neuron", text=True),
                Column("support"),
                Column("children (times chance)", text=True),
            ],
            family,
        ),
    )


def _mean(key: str, run: dict[str, list[float]]) -> float:
    return float(np.mean(run[key]))


def kinds_at(own: list[dict[str, Any]], n: int) -> list[tuple[str, int | None, list[dict[str, Any]]]]:
    """Kinds of candidate at a layer: title, how many, figures per seed."""
    layers = [setting["layers"][n] for setting in own]
    out: list[tuple[str, int | None, list[dict[str, Any]]]] = []
    for m, sae in enumerate(layers[0]["saes"]):
        runs = [layer["saes"][m]["figures"]["latents"] for layer in layers]
        out.append((f"latents, k = {sae['k']}", sae["candidates"]["latents"], runs))
    if "tiller" in layers[0]:
        runs = [layer["tiller"]["figures"]["latents"] for layer in layers]
        out.append(("latents of Tiller's SAE", layers[0]["tiller"]["candidates"]["latents"], runs))
    for kind, title in KINDS.items():
        count = layers[0]["raw"]["candidates"].get(kind)
        out.append((title, count, [layer["raw"]["figures"][kind] for layer in layers]))
    return out


def _genres(own: list[dict[str, Any]], n: int) -> str:
    names = own[0]["layers"][n]["raw"]["genres"]
    kinds = kinds_at(own, n)
    columns = [Column("genre"), *(Column(title, "ROC-AUC, held out") for title, _, _ in kinds)]
    rows = [
        [label(name), *(cell(over(runs, at("auc_held_out", g))) for _, _, runs in kinds)]
        for g, name in enumerate(names)
    ]
    return table("Genres with at least 30 items.", columns, rows)
