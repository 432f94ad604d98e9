"""A planted catalogue of any size as a real bundle, made in seconds without torch.

Items are sparse non-negative sums of latent directions plus noise, as an SAE that was trained well would find them;
18 latents carry names, from a fourth of the catalogue to a hundredth. What a search costs depends on sizes, not on
taste, so these bundles serve for time and not for quality.

Legend: N items, D embedding, L latents, C concepts, U users.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bundle import (
    Activation,
    BundleContents,
    Calibration,
    Concept,
    ConceptArrays,
    ConceptFile,
    LatentWeight,
    Quality,
    SaeWeights,
    SparseCodes,
    TowerWeights,
)
from offline.export import export_bundle

DIM, LATENTS, ACTIVE, CONCEPTS, USERS = 64, 256, 8, 18, 1_000

FloatArray = npt.NDArray[np.float32]


def write_catalogue(folder: Path, items: int, seed: int = 0) -> None:
    """Export a bundle of ``items`` items."""
    export_bundle(
        folder, _contents(items, seed), name=f"benchmark, {items} items", recommender="embeddings",
        provenance={"made_by": "benchmarks.catalogue", "items": items, "seed": seed}, replace=True,
    )  # fmt: skip


def _contents(items: int, seed: int) -> BundleContents:
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(LATENTS, DIM)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    share = np.full(LATENTS, ACTIVE / LATENTS)
    share[:CONCEPTS] = np.geomspace(0.25, 0.01, CONCEPTS)
    truth = (rng.random((items, LATENTS), np.float32) < share) * rng.uniform(0.4, 1.4, (items, LATENTS))
    vectors = (truth @ directions + rng.normal(scale=0.1, size=(items, DIM))).astype(np.float32)
    taste = rng.exponential(0.5, (USERS, LATENTS)) * (rng.random((USERS, LATENTS)) < 0.05)
    users = (taste @ directions + rng.normal(scale=0.1, size=(USERS, DIM))).astype(np.float32)

    tower = TowerWeights(
        w_enc=np.ascontiguousarray(directions.T), b_enc=np.zeros(LATENTS, np.float32), w_dec=directions,
        input_bias=np.zeros(DIM, np.float32), output_bias=np.zeros(DIM, np.float32),
        activation=Activation("topk", k=ACTIVE),
    )  # fmt: skip
    sae = SaeWeights(user=tower, item=tower, normalise=True)
    codes = np.concatenate([sae.encode(part, "item") for part in np.array_split(vectors, -(-items // 10_000))])
    members = (truth[:, :CONCEPTS] > 0).T
    effect = _effects(vectors, directions, codes)
    table = pa.table({
        "item_id": [f"i{n}" for n in range(items)],
        "title": [f"Item number {n}" for n in range(items)],
    })  # fmt: skip
    return BundleContents(
        sae=sae, metric="dot", items=table, item_vectors=vectors, item_bias=None,
        item_codes=SparseCodes.from_dense(codes), concepts=_concepts(members),
        arrays=_arrays(members, codes, effect, rng), calibration=Calibration(),
        user_ids=[f"u{n}" for n in range(USERS)], user_vectors=users,
    )  # fmt: skip


def _effects(vectors: FloatArray, directions: FloatArray, codes: FloatArray) -> FloatArray:
    """By how much a step along each latent raises the items that carry it over the others, [L]."""
    moved = vectors @ directions.T
    active = codes > 0
    return np.asarray((moved * active).sum(0) / np.maximum(active.sum(0), 1) - moved.mean(0), np.float32)


def _arrays(
    members: npt.NDArray[np.bool_], codes: FloatArray, effect: FloatArray, rng: np.random.Generator
) -> ConceptArrays:
    # A logistic read-out gives every item some number: members near 1, a tail of others near 0.
    tail = rng.beta(0.3, 6, members.shape)
    gains = np.where(members, rng.uniform(0.6, 1, members.shape), tail).astype(np.float32)
    count, latents = len(members), codes.shape[1]
    return ConceptArrays(
        gains=gains,
        label_bits=np.packbits(members, axis=1, bitorder="little"),
        readout_bits=np.packbits(gains >= 0.5, axis=1, bitorder="little"),
        readout_weight=np.eye(count, latents, dtype=np.float32),
        readout_bias=np.zeros(count, np.float32),
        readout_scale=np.ones(count, np.float32),
        direction=np.eye(count, latents, dtype=np.float32),
        direction_effect=effect[:count],
        latent_effect=effect,
    )


def _concepts(members: npt.NDArray[np.bool_]) -> ConceptFile:
    return ConceptFile(
        concepts=tuple(
            Concept(
                id=f"kind:k{row}",
                family="kind",
                display_name=f"K{row}",
                items=int(has.sum()),
                row=row,
                readout="logistic",
                threshold=0.5,
                latents=(LatentWeight(latent=row, weight=1.0),),
                quality=Quality(auc=0.95, precision=0.9, recall=0.9, base_rate=float(has.mean())),
            )
            for row, has in enumerate(members)
        )
    )
