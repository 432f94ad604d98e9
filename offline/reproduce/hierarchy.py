"""Is a nested SAE a hierarchy? Early latents general, late ones fine (Bussmann et al. 2025, arXiv 2503.17547).

Latents are divided at the prefixes of the nested reconstruction. Of every latent: its *support*, the share of the items
that activate it; its *tag*, the concept of largest ROC-AUC, and the share of the items that carry it; its purity@20 for
that tag. A hierarchy shows as supports and tags that shrink from level to level. Children of a general latent: latents
of later levels most of whose items are also the parent's, more than chance would have it. Legend: N items, L latents,
C concepts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from bundle import SaeWeights, SparseCodes
from offline.evaluate.latents import latent_auc
from offline.label.purity import top_items

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]

DEPTH = 20


def prefix_variance(weights: SaeWeights, items: FloatArray, prefixes: Sequence[int]) -> list[float]:
    """Explained variance of the items [N, D] when only the first m latents of each code are decoded, per prefix m."""
    code, scale = weights.encode(items, "item"), weights.scale(items)
    spread = float(np.square(items - items.mean(0, dtype=np.float64)).sum())
    out = []
    for prefix in prefixes:
        part = code.copy()
        part[:, prefix:] = 0
        error = float(np.square(items - weights.decode(part, scale, "item"), dtype=np.float64).sum())
        out.append(1 - error / spread if spread else 0.0)
    return out


def describe(codes: SparseCodes, members: BoolArray, names: Sequence[str]) -> list[dict[str, Any]]:
    """Per latent that is active: ``latent``, ``support``, ``tag``, ``tag_share``, ``auc``, ``purity``."""
    area = np.array([latent_auc(codes, part) for part in members])
    top = top_items(codes, DEPTH)
    uses = np.bincount(codes.indices, minlength=codes.latents)
    rows = []
    for latent in np.flatnonzero(uses):
        tag = int(area[:, latent].argmax())
        own = top[latent]
        rows.append(
            {
                "latent": int(latent),
                "support": float(uses[latent] / len(codes)),
                "tag": names[tag],
                "tag_share": float(members[tag].mean()),
                "auc": float(area[tag, latent]),
                "purity": float((members[tag][np.maximum(own, 0)] & (own >= 0)).sum() / DEPTH),
            }
        )
    return rows


def levels(rows: Sequence[dict[str, Any]], prefixes: Sequence[int]) -> list[dict[str, Any]]:
    """Per level (latents from one prefix to the next): medians of support, tag share and purity."""
    out = []
    for start, end in zip([0, *prefixes[:-1]], prefixes, strict=True):
        own = [row for row in rows if start <= row["latent"] < end]
        out.append(
            {"from": start, "to": end, "active": len(own)}
            | {
                key: float(np.median([row[key] for row in own])) if own else None
                for key in ("support", "tag_share", "purity", "auc")
            }
        )
    return out


def trend(rows: Sequence[dict[str, Any]], prefixes: Sequence[int]) -> dict[str, float]:
    """Spearman correlation of a latent's level with its support and with the share of its tag; below 0: a "
    "hierarchy.
    """
    level = np.searchsorted(np.asarray(prefixes), [row["latent"] for row in rows], side="right")
    found = {}
    for key in ("support", "tag_share"):
        values = np.array([row[key] for row in rows])
        varied = len(np.unique(level)) > 1 and len(np.unique(values)) > 1
        found[key] = float(spearmanr(level, values).statistic) if varied else 0.0
    return found


def children(
    codes: SparseCodes, rows: Sequence[dict[str, Any]], prefixes: Sequence[int], *, parents: int, each: int
) -> list[dict[str, Any]]:
    """The purest latents of the first level with the later latents that their items hold most of.

    A child's ``inside`` is the share of its items that activate the parent, ``lift`` that share over the parent's
    support; children have at least 10 items and a tag of their own.
    """
    first = sorted((row for row in rows if row["latent"] < prefixes[0]), key=lambda row: -row["purity"])
    out = []
    for parent in first[:parents]:
        own = np.zeros(len(codes), np.bool_)
        own[codes.posting(parent["latent"])[0]] = True
        found = []
        for row in rows:
            if row["latent"] < prefixes[0] or row["tag"] == parent["tag"]:
                continue
            items = codes.posting(row["latent"])[0]
            if len(items) >= 10:
                inside = float(own[items].mean())
                found.append(row | {"inside": inside, "lift": inside / parent["support"]})
        found.sort(key=lambda row: -row["lift"])
        out.append(parent | {"children": _different(found, each)})
    return out


def _different(rows: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The first rows with different tags."""
    seen: set[str] = set()
    kept: list[dict[str, Any]] = []
    for row in rows:
        if row["tag"] not in seen and len(kept) < count:
            seen.add(row["tag"])
            kept.append(row)
    return kept
