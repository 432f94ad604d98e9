"""A planted catalogue of any size as a real bundle, made in seconds without torch.

Items are sparse non-negative sums of latent directions plus noise, as an SAE that was trained well would find them;
18 latents carry names, from a fourth of the catalogue to a hundredth. What a search costs depends on sizes, not on
taste, so these bundles serve for time and not for quality.

Legend: N items, D embedding, L latents, C concepts, U users.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    read_manifest,
)
from bundle.errors import DataError, TillerError

DIM, LATENTS, ACTIVE, CONCEPTS, USERS = 64, 256, 8, 18, 1_000

BLOCK = 10_000
"""Items made at a time: a million of them at once would need gigabytes."""

RECIPE = 2
"""Of this file: a kept catalogue of another recipe is made anew."""

FloatArray = npt.NDArray[np.float32]


def kept_catalogue(folder: Path, items: int, concepts: int = CONCEPTS, seed: int = 0) -> Path:
    """The bundle of ``write_catalogue`` in ``folder``, made only if it is not there already; its path."""
    path = folder / f"items-{items}-concepts-{concepts}-seed-{seed}"
    try:
        if read_manifest(path).provenance == _provenance(items, concepts, seed):
            return path
    except TillerError:
        pass  # not there, or not of this version: write_catalogue says it if it cannot be replaced
    folder.mkdir(parents=True, exist_ok=True)
    write_catalogue(path, items, seed, concepts)
    return path


def write_catalogue(folder: Path, items: int, seed: int = 0, concepts: int = CONCEPTS) -> None:
    """Export a bundle of ``items`` items of which ``concepts`` sets carry names.

    Raises:
        DataError: the train extra, which writes bundles, is not installed.
    """
    try:
        from offline.export import export_bundle
    except ImportError as error:
        raise DataError(
            "a made catalogue needs the training side", found=f"no module {error.name}",
            hint="pip install 'tiller[train]', or measure a bundle that you have: tiller bench --bundle DIR",
        ) from error  # fmt: skip
    export_bundle(
        folder, _contents(items, seed, concepts), name=f"benchmark, {items} items", recommender="embeddings",
        provenance=_provenance(items, concepts, seed), replace=True,
    )  # fmt: skip


def _provenance(items: int, concepts: int, seed: int) -> dict[str, Any]:
    return {"made_by": "cli.bench.catalogue", "recipe": RECIPE, "items": items, "concepts": concepts, "seed": seed}


def _contents(items: int, seed: int, concepts: int) -> BundleContents:
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(LATENTS, DIM)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    taste = rng.exponential(0.5, (USERS, LATENTS)) * (rng.random((USERS, LATENTS)) < 0.05)
    users = (taste @ directions + rng.normal(scale=0.1, size=(USERS, DIM))).astype(np.float32)

    tower = TowerWeights(
        w_enc=np.ascontiguousarray(directions.T), b_enc=np.zeros(LATENTS, np.float32), w_dec=directions,
        input_bias=np.zeros(DIM, np.float32), output_bias=np.zeros(DIM, np.float32),
        activation=Activation("topk", k=ACTIVE),
    )  # fmt: skip
    sae = SaeWeights(user=tower, item=tower, normalise=True)
    share = np.full(LATENTS, ACTIVE / LATENTS, np.float32)
    share[:concepts] = np.geomspace(0.25, 0.01, concepts)
    vectors, codes = np.empty((items, DIM), np.float32), []
    members = np.empty((concepts, items), bool)
    raised, active = np.zeros(LATENTS), np.zeros(LATENTS)
    for start in range(0, items, BLOCK):
        part = slice(start, min(start + BLOCK, items))
        size = part.stop - start
        truth = (rng.random((size, LATENTS), np.float32) < share) * (0.4 + rng.random((size, LATENTS), np.float32))
        vectors[part] = truth @ directions + rng.normal(scale=0.1, size=(size, DIM))
        members[:, part] = (truth[:, :concepts] > 0).T
        code = sae.encode(vectors[part], "item")
        codes.append(SparseCodes.from_dense(code))
        raised += ((vectors[part] @ directions.T) * (code > 0)).sum(0)
        active += (code > 0).sum(0)
    # By how much a step along each latent raises the items that carry it over the others, [L].
    effect = (raised / np.maximum(active, 1) - directions @ vectors.mean(0)).astype(np.float32)
    table = pa.table({
        "item_id": [f"i{n}" for n in range(items)],
        "title": [f"Item number {n}" for n in range(items)],
    })  # fmt: skip
    return BundleContents(
        sae=sae, metric="dot", items=table, item_vectors=vectors, item_bias=None,
        item_codes=_joined(codes), concepts=_concepts(members),
        arrays=_arrays(members, effect, rng), calibration=Calibration(),
        user_ids=[f"u{n}" for n in range(USERS)], user_vectors=users,
    )  # fmt: skip


def _joined(parts: list[SparseCodes]) -> SparseCodes:
    counts = np.concatenate([np.diff(part.indptr) for part in parts])
    indptr = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=indptr[1:])
    indices = np.concatenate([part.indices for part in parts])
    return SparseCodes(indptr, indices, np.concatenate([part.values for part in parts]), LATENTS)


def _arrays(members: npt.NDArray[np.bool_], effect: FloatArray, rng: np.random.Generator) -> ConceptArrays:
    # A logistic read-out gives every item some number: members near 1, a tail of others near 0.
    gains = np.empty(members.shape, np.float32)
    for row, has in enumerate(members):
        gains[row] = np.where(has, rng.uniform(0.6, 1, has.shape), rng.beta(0.3, 6, has.shape))
    count = len(members)
    return ConceptArrays(
        gains=gains,
        label_bits=np.packbits(members, axis=1, bitorder="little"),
        readout_bits=np.packbits(gains >= 0.5, axis=1, bitorder="little"),
        readout_weight=np.eye(count, LATENTS, dtype=np.float32),
        readout_bias=np.zeros(count, np.float32),
        readout_scale=np.ones(count, np.float32),
        direction=np.eye(count, LATENTS, dtype=np.float32),
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
