"""Sections of the page about the model: recommender, SAE, concepts, fidelity, training, provenance."""

from __future__ import annotations

import json
from typing import Any

from offline.evaluate import figures
from offline.evaluate.html import (
    DASH,
    Cell,
    Column,
    count,
    figure,
    label,
    number,
    paragraph,
    percent,
    section,
    table,
    text,
)

VARIANTS = {
    "both": "users and items reconstructed",
    "user": "users reconstructed",
    "error_preserving": "error-preserving edit without a rule (what is served)",
}


def recommender(evaluation: dict[str, Any]) -> str:
    """The recommender beside popularity."""
    ranking = evaluation["recommender"]
    if ranking is None:
        return section(
            "recommender",
            "The recommender",
            paragraph("No interactions were held out, so the recommender itself could not be ranked."),
        )
    names = list(ranking["recommender"])
    columns = [Column("", text=True), *(Column(_metric(name)) for name in names)]
    rows = [
        [label(title), *(number(ranking[key][name], 4) for name in names)]
        for key, title in (("recommender", "recommender"), ("popularity", "popularity"), ("item_knn", "item-kNN"))
        if key in ranking
    ]
    lift = [Cell("recommender / popularity", None)]
    for name in names:
        base = ranking["popularity"][name]
        lift.append(number(ranking["recommender"][name] / base if base else None, 2))
    protocol = f"{ranking.get('protocol', '')}.".capitalize()
    return section(
        "recommender",
        "The recommender",
        paragraph("It stays frozen. Steering can only be as good as what it ranks.", "soft"),
        table(protocol, columns, rows, lift),
    )


def autoencoder(evaluation: dict[str, Any]) -> str:
    """Reconstruction figures of the SAE."""
    sae = evaluation["sae"]
    rows = [
        [label("explained variance"), number(sae["explained_variance_users"]), number(sae["explained_variance_items"])],
        [label("active latents per row (L0)"), number(sae["l0_users"], 1), number(sae["l0_items"], 1)],
    ]
    agreeing = (
        "No latent is active on any item."
        if sae["latents_agreeing"] is None
        else f"{sae['latents_agreeing']:.1%} of the latents mean the same in both towers: adding the latent to a "
        f"user raises the items that have it (median {sae['agreement_median']:.2f} standard deviations over an average "
        "item)."
    )
    return section(
        "sae",
        "The sparse autoencoder",
        paragraph(
            f"{sae['latents']} latents for embeddings of {sae['dim']} dimensions; "
            f"{sae['dead_share']:.1%} of them are dead. {agreeing}"
        ),
        table("Served form, all users and all items.", [Column("", text=True), Column("users"), Column("items")], rows),
    )


def concepts(evaluation: dict[str, Any]) -> str:
    """Quality of every offered concept, and the ones that are not offered."""
    part = evaluation["concepts"]
    depths = [entry["k"] for entry in part["means"]["purity"]]
    columns = [
        Column("concept"),
        Column("items"),
        Column("base rate"),
        *(Column(name, "read-out, held-out items") for name in ("AUC", "precision", "recall")),
        *(
            Column(name, f"purity@{k} of the best latent")
            for k in depths
            for name in ("held out / attainable", "all items")
        ),
        Column("read-out", text=True),
        Column("latents", text=True),
    ]
    rows = [_concept(concept, depths) for concept in part["offered"]]
    mean = part["means"]
    last = [
        Cell("mean", None),
        Cell(DASH, None),
        percent(mean["base_rate"]),
        *(number(mean[name]) for name in ("auc", "precision", "recall")),
        *(cell for entry in mean["purity"] for cell in _purity(entry)),
        Cell("", None),
        Cell("", None),
    ]
    body = [
        paragraph(
            "A concept is a read-out of the item's code, fitted on half of the items and scored on the other. Chance "
            "gives AUC 0.5 and the base rate as precision. Purity is the share of a latent's most activating items "
            "that carry the concept, beside the most that so many members allow; chosen and scored on the same items "
            "it flatters.",
            "soft",
        )
    ]
    body.append(table(f"{len(rows)} concepts can be steered by name.", columns, rows, last if rows else ()))
    if part["not_offered"]:
        refused = [
            [label(entry["id"]), count(entry["items"]), number(entry["auc"]), label(entry["reason"])]
            for entry in part["not_offered"]
        ]
        body.append(
            table(
                f"Looked for and not offered: {len(refused)}.",
                [Column("concept"), Column("items"), Column("AUC"), Column("reason", text=True)],
                refused,
            )
        )
    return section("concepts", "Concepts", *body)


def fidelity(evaluation: dict[str, Any]) -> str:
    """What is left of the lists when embeddings pass through the SAE."""
    part = evaluation["fidelity"]
    columns = [
        Column("", text=True),
        Column("truncated", "RBO"),
        Column("extrapolated", "RBO"),
        Column("Kendall tau-b"),
        Column("same items"),
        Column("NDCG kept"),
        Column("Recall kept"),
    ]
    keys = ("rbo_truncated", "rbo_extrapolated", "kendall_tau", "same_items", "ndcg_kept", "recall_kept")
    rows = [
        [label(VARIANTS[name]), *(number(values[key]) for key in keys)] for name, values in part["variants"].items()
    ]
    depth = part["depth"]
    identical = 1 - evaluation["config"]["persistence"] ** depth
    return section(
        "fidelity",
        "Fidelity",
        paragraph(
            f"The top {depth} of the reconstructed recommender beside the original. Truncated rank-biased overlap of "
            f"identical lists is {identical:.3f}, everything else is 1. What is served keeps the residual, so a "
            "request without a rule pays nothing.",
            "soft",
        ),
        table(f"{part['users']:,} sampled users; NDCG and Recall at {part['k']}.", columns, rows),
    )


def training(evaluation: dict[str, Any]) -> str:
    """Training curves."""
    history = evaluation["history"]
    if not history:
        return ""
    return section(
        "training",
        "Training",
        figure(figures.training(history), "Dotted lines divide the stages; the loss of a stage has its own terms."),
    )


def provenance(evaluation: dict[str, Any]) -> str:
    """How this was measured and made."""
    data, seconds = evaluation["data"], evaluation["seconds"]
    facts = {
        "items": f"{data['items']:,}",
        "users": f"{data['users']:,}",
        "interactions, train": DASH if data["interactions_train"] is None else f"{data['interactions_train']:,}",
        "interactions, test": DASH if data["interactions_test"] is None else f"{data['interactions_test']:,}",
        "score": data["metric"] + (" + item bias" if data["item_bias"] else ""),
        "Tiller": evaluation["tiller_version"],
        "evaluation took": ", ".join(f"{part} {value:.1f} s" for part, value in seconds.items()),
    }
    made = evaluation["provenance"]
    if made.get("command"):
        facts["command"] = " ".join(map(str, made["command"]))
    terms = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in facts.items())
    documents = [("Evaluation settings", evaluation["config"])]
    if made:
        documents.append(("Provenance of the bundle", made))
    return section(
        "provenance",
        "How this was made",
        f"<dl>{terms}</dl>",
        *(
            f"<details><summary>{text(title)}</summary><pre>{text(json.dumps(document, indent=2, default=str))}</pre>"
            "</details>"
            for title, document in documents
        ),
    )


def _concept(concept: dict[str, Any], depths: list[int]) -> list[Cell]:
    quality = concept["quality"]
    purity = {entry["k"]: entry for entry in quality["purity"]}
    latents = ", ".join(str(entry["latent"]) for entry in concept["latents"][:5])
    return [
        label(concept["id"]),
        count(concept["items"]),
        percent(quality["base_rate"]),
        *(number(quality[name]) for name in ("auc", "precision", "recall")),
        *(cell for k in depths for cell in _purity(purity.get(k))),
        label(concept["readout"]),
        label(latents),
    ]


def _purity(entry: dict[str, Any] | None) -> tuple[Cell, Cell]:
    if entry is None:
        return Cell(DASH, None), Cell(DASH, None)
    shown = f"{entry['value']:.2f} / {entry['attainable']:.2f}"
    return Cell(shown, entry["value"]), number(entry["all_items"], 2)


def _metric(name: str) -> str:
    return name.replace("ndcg", "NDCG").replace("recall", "Recall")
