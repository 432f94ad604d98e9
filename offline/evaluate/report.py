"""evaluation.html: the whole evaluation on one page that needs nothing but a browser.

No network, no library: style, sorting and figures are in the file. Readable in light and dark, and on a phone.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from offline.evaluate import sections, steering_sections
from offline.evaluate.html import paragraph, text, tiles

NAVIGATION = (
    ("recommender", "Recommender"),
    ("sae", "Autoencoder"),
    ("concepts", "Concepts"),
    ("fidelity", "Fidelity"),
    ("steering", "Steering"),
    ("strength", "Strength"),
    ("training", "Training"),
    ("provenance", "How this was made"),
)


def write_html(evaluation: dict[str, Any], path: Path, *, title: str = "Tiller evaluation") -> None:
    """Write the page of an evaluation made by ``offline.evaluate.evaluate``; same evaluation, same bytes."""
    path.write_text(render(evaluation, title), encoding="utf-8")


def render(evaluation: dict[str, Any], title: str) -> str:
    """The page as a string."""
    body = "".join(
        part(evaluation)
        for part in (
            sections.recommender,
            sections.autoencoder,
            sections.concepts,
            sections.fidelity,
            steering_sections.steering,
            steering_sections.strengths,
            sections.training,
            sections.provenance,
        )
    )
    links = "".join(f'<a href="#{a}">{text(name)}</a>' for a, name in NAVIGATION if f'<section id="{a}"' in body)
    missing = "".join(f'<div class="note">{paragraph(words)}</div>' for words in evaluation["missing"])
    here = files("offline.evaluate")
    style, script = ((here / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{style}</style></head><body><header><h1>{text(title)}</h1>"
        f"{paragraph(lead(evaluation))}{tiles(headline(evaluation))}{missing}<nav>{links}</nav></header>"
        f"<main>{body}</main><footer>Made by Tiller {text(evaluation['tiller_version'])}. Every figure is in "
        "evaluation.json beside this page; docs/evaluation.md says what each one means.</footer>"
        f"<script>{script}</script></body></html>\n"
    )


def lead(evaluation: dict[str, Any]) -> str:
    """The result in two sentences."""
    data, part = evaluation["data"], evaluation["concepts"]
    offered = len(part["offered"])
    looked = offered + len(part["not_offered"])
    poor = {row["concept"] for row in evaluation["steering"]["reach"] if row["channel"] == "item" and row["poor"]}
    weak = (
        f" On {len(poor)} of them a rule of strength 1 on the item channel does little; they are marked."
        if poor
        else ""
    )
    return (
        f"{data['items']:,} items and {data['users']:,} users; {offered} of {looked} concepts that the metadata "
        f"names were found in the codes and can be steered.{weak}"
    )


def headline(evaluation: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures to see first, each with its line."""
    out = []
    ranking = evaluation["recommender"]
    if ranking is not None:
        name = next(iter(ranking["recommender"]))
        out.append(
            (
                f"{ranking['recommender'][name]:.3f}",
                f"{name.upper()} of the recommender; popularity {ranking['popularity'][name]:.3f}",
            )
        )
    auc = evaluation["concepts"]["means"]["auc"]
    if auc is not None:
        out.append((f"{auc:.3f}", "mean AUC of the concepts on held-out items"))
    variants = evaluation["fidelity"]["variants"]
    config = evaluation["config"]
    identical = 1 - config["persistence"] ** config["depth"]
    out.append(
        (
            f"{variants['both']['rbo_truncated']:.3f}",
            f"RBO of the fully reconstructed lists (identical: {identical:.3f})",
        )
    )
    served = variants["error_preserving"]["same_items"]
    out.append((f"{served:.0%}", "of a list is unchanged when there is no rule: the edit keeps the residual"))
    names = {
        "suppress": f"suppressing a concept to {config['suppress_left']:.0%} of its share",
        "promote": f"promoting a concept to {config['promote_share']:.0%} of the list",
    }
    for row in evaluation["steering"]["means"]:
        if row["method"] == "item" and row["ndcg_kept"] is not None:
            out.append(
                (f"{row['ndcg_kept']:.1%}", f"of NDCG@{config['k']} kept when {names[row['direction']]} (item channel)")
            )
    return out
