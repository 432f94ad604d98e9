"""A planted world small enough to reason about: its concepts, codes and read-outs are known because we made them.

Every item vector is a sparse non-negative sum of concept directions plus noise, and the SAE's decoder rows *are* those
directions, so latent j means concept j. Items carry one to three concepts; some labels are hidden from the metadata,
so label, read-out and truth differ, as they do in real life. Made with numpy alone: no torch, in well under a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bundle import (
    Activation,
    Bundle,
    BundleContents,
    Calibration,
    Concept,
    ConceptArrays,
    ConceptFile,
    LatentWeight,
    Metric,
    Purity,
    Quality,
    SaeWeights,
    SparseCodes,
    TowerWeights,
    load_bundle,
    search_vectors,
)
from offline.export import export_bundle

NAMES = ("Horror", "Comedy", "Documentary", "Western", "Children's", "Film-Noir")


@dataclass(frozen=True)
class World:
    """The planted truth beside the contents that were made from it."""

    contents: BundleContents
    members: npt.NDArray[np.bool_]  # [C, N], true membership
    labels: npt.NDArray[np.bool_]  # [C, N], what the metadata says


def make_world(
    *,
    items: int = 240,
    users: int = 12,
    dim: int = 16,
    latents: int = 24,
    metric: Metric = "dot",
    bias: bool = False,
    normalise: bool = True,
    norm_power: float = 1.0,
    activation: Activation = Activation("topk", k=4),  # noqa: B008 - frozen
    seed: int = 0,
) -> World:
    """Plant ``len(NAMES)`` named concepts (the first latents) and leave the other latents without a name."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(latents, dim)).astype(np.float32)
    if latents <= dim:
        directions = np.linalg.qr(directions.T)[0].T.astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)

    named = len(NAMES)
    popularity = 1 / np.arange(2, named + 2)
    code = np.zeros((items, latents), np.float32)
    for item in range(items):
        own = rng.choice(named, size=rng.integers(1, 4), replace=False, p=popularity / popularity.sum())
        code[item, own] = rng.uniform(0.5, 1.5, len(own))
        code[item, rng.integers(named, latents)] = rng.uniform(0.2, 0.6)
    members = (code[:, :named] > 0).T
    labels = members & (rng.random(members.shape) > 0.1)
    vectors = (code @ directions + rng.normal(scale=0.05, size=(items, dim))).astype(np.float32)
    taste = rng.uniform(0, 1, (users, latents)).astype(np.float32) * (rng.random((users, latents)) < 0.3)
    user_vectors = (taste @ directions + rng.normal(scale=0.1, size=(users, dim))).astype(np.float32)

    tower = TowerWeights(
        w_enc=np.ascontiguousarray(directions.T),
        b_enc=np.full(latents, -0.02, np.float32),
        w_dec=directions,
        input_bias=np.zeros(dim, np.float32),
        output_bias=np.zeros(dim, np.float32),
        activation=activation,
    )
    sae = SaeWeights(user=tower, item=tower, normalise=normalise, norm_power=norm_power)
    codes = sae.encode(vectors, "item")
    arrays = _arrays(sae, codes, search_vectors(vectors, None, metric), labels)
    table = pa.table(
        {
            "item_id": [f"i{n}" for n in range(items)],
            "title": [f"Film {n} ({1950 + n % 70})" for n in range(items)],
            "genre": [[NAMES[c] for c in range(named) if labels[c, n]] for n in range(items)],
        }
    )
    contents = BundleContents(
        sae=sae,
        metric=metric,
        items=table,
        item_vectors=vectors,
        item_bias=rng.normal(scale=0.2, size=items).astype(np.float32) if bias else None,
        item_codes=SparseCodes.from_dense(codes),
        concepts=_concepts(labels),
        arrays=arrays,
        calibration=Calibration(),
        user_ids=[f"u{n}" for n in range(users)],
        user_vectors=user_vectors,
    )
    return World(contents, members, labels)


def write_world(world: World, target: Path) -> Bundle:
    """Export the world as a real bundle and load it back, verified."""
    export_bundle(target, world.contents, name="planted", recommender="embeddings", provenance={"made_by": "tests"})
    return load_bundle(target)


def _arrays(
    sae: SaeWeights, codes: npt.NDArray[np.float32], vectors: npt.NDArray[np.float32], labels: npt.NDArray[np.bool_]
) -> ConceptArrays:
    count, latents = len(labels), sae.latents
    readout = np.zeros(labels.shape, np.float32)
    effect = np.zeros(count, np.float32)
    moved = vectors @ sae.user.w_dec.T
    for c in range(count):
        active = codes[:, c]
        scale = np.quantile(active[active > 0], 0.9)
        readout[c] = np.clip(active / scale, 0, 1)
        effect[c] = moved[labels[c], c].mean() - moved[:, c].mean()
    latent_effect = np.zeros(latents, np.float32)
    for j in range(latents):
        latent_effect[j] = moved[codes[:, j] > 0, j].mean() - moved[:, j].mean() if (codes[:, j] > 0).any() else 0
    return ConceptArrays(
        gains=np.maximum(readout, labels).astype(np.float32),
        label_bits=np.packbits(labels, axis=1, bitorder="little"),
        readout_bits=np.packbits(readout >= 0.5, axis=1, bitorder="little"),
        readout_weight=np.eye(count, latents, dtype=np.float32),
        readout_bias=np.zeros(count, np.float32),
        readout_scale=np.ones(count, np.float32),
        direction=np.eye(count, latents, dtype=np.float32),
        direction_effect=effect,
        latent_effect=latent_effect,
    )


def _concepts(labels: npt.NDArray[np.bool_]) -> ConceptFile:
    offered = [
        Concept(
            id=f"genre:{name.lower()}",
            family="genre",
            display_name=name,
            items=int(labels[c].sum()),
            row=c,
            readout="logistic",
            threshold=0.5,
            quality=Quality(
                auc=0.95,
                precision=0.9,
                recall=0.8,
                base_rate=float(labels[c].mean()),
                purity=(Purity(k=10, value=0.9, all_items=1.0, attainable=1.0),),
            ),
            latents=(LatentWeight(latent=c, weight=1.0),),
        )
        for c, name in enumerate(NAMES)
    ]
    lost = Concept(
        id="genre:musical",
        family="genre",
        display_name="Musical",
        items=3,
        offered=False,
        not_offered_reason="3 items carry it; at least 10 are needed to fit and score a read-out",
    )
    return ConceptFile(concepts=(*offered, lost))
