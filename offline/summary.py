"""What a finished run tells: quality beside popularity, the SAE, every concept found or not, and what to type next.

Everything is read from the bundle, so the table shows what was written, not what was meant.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bundle import Bundle, Concept

MOST_CONCEPTS = 30
MOST_REASONS = 5


def print_summary(console: Console, bundle: Bundle, seconds: float) -> None:
    """Tables and next steps for a bundle that was just made."""
    provenance = bundle.manifest.provenance
    console.print()
    if provenance["ranking"]:
        console.print(ranking_table(provenance["ranking"]))
    console.print(sae_line(provenance["sae"], bundle.manifest.dims.latents))
    for line in evaluation_lines(bundle.path / "evaluation.json"):
        console.print(line, markup=False)
    concepts = bundle.contents.concepts.concepts
    offered = [concept for concept in concepts if concept.offered]
    console.print(f"Concepts: {len(offered)} offered, {len(concepts) - len(offered)} looked for and not offered")
    if offered:
        console.print(concept_table(offered))
    for line in reasons([concept for concept in concepts if not concept.offered]):
        console.print(line, markup=False)
    console.print()
    for line in closing(bundle, seconds):
        console.print(line, markup=False, soft_wrap=True)


def ranking_table(ranking: dict[str, Any]) -> Table:
    """The recommender beside popularity."""
    table = Table(title=None, box=None, pad_edge=False)
    table.add_column("ranking of held-out interactions")
    for column in ("NDCG@10", "Recall@10"):
        table.add_column(column, justify="right")
    for name in ("recommender", "popularity", "item_knn"):
        if name not in ranking:
            continue
        table.add_row(name.replace("_", "-"), *(f"{ranking[name][key]:.4f}" for key in ("ndcg@10", "recall@10")))
    return table


def sae_line(sae: dict[str, Any], latents: int) -> str:
    """Explained variance, L0 and dead share in one line."""
    figures = sae["metrics"]
    return (
        f"SAE: {latents} latents, explained variance {figures['explained_variance_items']:.3f} of items and "
        f"{figures['explained_variance_users']:.3f} of users, L0 {figures['l0_items']:.1f} and "
        f"{figures['l0_users']:.1f}, dead {figures['dead_share']:.1%}, trained in {figures['seconds']:.0f} s"
    )


def evaluation_lines(file: Path) -> list[str]:
    """The figures that head evaluation.html, one line each; none where nothing was evaluated."""
    if not file.is_file():
        return []
    from offline.evaluate.report import headline

    document = json.loads(file.read_text())
    figures = headline(document)
    # The first figure is the ranking, where there is one: it has a table of its own above.
    return [f"  {figure}  {words}" for figure, words in (figures if document["recommender"] is None else figures[1:])]


def concept_table(offered: list[Concept]) -> Table:
    """The largest concepts of every family in turn, with their held-out figures."""
    table = Table(box=None, pad_edge=False)
    table.add_column("concept (held-out figures)", no_wrap=True)
    for column in ("items", "AUC", "precision", "recall", "purity@10"):
        table.add_column(column, justify="right")
    shown = offered[:MOST_CONCEPTS]
    for concept in shown:
        quality = concept.quality
        if quality is None:
            continue
        purity = {p.k: p.value for p in quality.purity}.get(10)
        table.add_row(
            concept.id,
            f"{concept.items:,}",
            f"{quality.auc:.3f}",
            f"{quality.precision:.2f}",
            f"{quality.recall:.2f}",
            "" if purity is None else f"{purity:.2f}",
        )
    if len(offered) > len(shown):
        table.add_row(f"... and {len(offered) - len(shown)} more")
    return table


def reasons(refused: list[Concept]) -> list[str]:
    """Why the first few were not offered."""
    lines = [f"  not offered: {concept.id}: {concept.not_offered_reason}" for concept in refused[:MOST_REASONS]]
    if len(refused) > MOST_REASONS:
        lines.append(f"  ... and {len(refused) - MOST_REASONS} more, each with its reason in concepts.json")
    return lines


def closing(bundle: Bundle, seconds: float) -> list[str]:
    """What was made, and three commands to go on with."""
    manifest, contents = bundle.manifest, bundle.contents
    example = next((c.id for c in contents.concepts.concepts if c.offered), "latent:0")
    user = f"--user {contents.user_ids[0]}" if contents.user_ids else "--user ID"
    lines = [
        f"Bundle {manifest.bundle_id} ({manifest.name}) in {bundle.path}: {_size(bundle.path)}, "
        f"{manifest.dims.items:,} items, {manifest.dims.users:,} users, verified; {seconds:.0f} s in all."
    ]
    if "evaluation.html" in manifest.files:
        lines.append(f"Report: {bundle.path / 'evaluation.html'}")
    return [
        *lines,
        "Next:",
        f"  tiller concepts list --bundle {bundle.path}",
        f"  tiller serve --bundle {bundle.path} --port 50051",
        f"  tiller recommend {user} --promote {example} --k 10",
    ]


def _size(path: Path) -> str:
    total = sum(file.stat().st_size for file in path.iterdir())
    return f"{total / 1e6:.1f} MB"
