"""A bundle and what a night makes of it: other items, a rotated embedding space, latents in another order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from bundle import (
    Activation,
    BundleContents,
    Concept,
    ConceptArrays,
    ConceptFile,
    SaeWeights,
    SparseCodes,
    TowerWeights,
)
from tests.world import make_world

ITEMS, GONE, FRESH = 240, 20, 10


@dataclass(frozen=True)
class Night:
    """``old`` and ``new``; latent j of the old one is latent ``order[j]`` of the new one."""

    old: BundleContents
    new: BundleContents
    order: np.ndarray


def make_night(seed: int = 0, noise: float = 0.01) -> Night:
    """The new bundle lacks the last GONE items, has FRESH new ones in front, and keeps the others shuffled."""
    old = make_world(items=ITEMS, seed=seed).contents
    rng = np.random.default_rng(seed + 100)
    dim, latents = old.sae.dim, old.sae.latents
    order = rng.permutation(latents)
    back = np.argsort(order)
    turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0].astype(np.float32)
    rows = rng.permutation(ITEMS - GONE)
    fresh = rng.integers(0, ITEMS - GONE, FRESH)
    source = np.concatenate([fresh, rows])
    shaken = old.item_vectors[source] + rng.normal(scale=noise, size=(len(source), dim)).astype(np.float32)
    vectors = np.ascontiguousarray(shaken @ turn, np.float32)
    ids = [f"new{n}" for n in range(FRESH)] + [old.items["item_id"][int(row)].as_py() for row in rows]

    def tower(weights: TowerWeights) -> TowerWeights:
        return TowerWeights(
            w_enc=np.ascontiguousarray((turn.T @ weights.w_enc)[:, back]),
            b_enc=weights.b_enc[back],
            w_dec=np.ascontiguousarray((weights.w_dec @ turn)[back]),
            input_bias=weights.input_bias @ turn,
            output_bias=weights.output_bias @ turn,
            activation=Activation("topk", k=4),
        )

    sae = SaeWeights(tower(old.sae.user), tower(old.sae.item), old.sae.normalise)
    arrays = old.arrays

    def bits(packed: np.ndarray) -> np.ndarray:
        members = np.unpackbits(packed, axis=1, count=ITEMS, bitorder="little")[:, source]
        members[:, :FRESH] = 0
        return np.packbits(members, axis=1, bitorder="little")

    new = replace(
        old,
        sae=sae,
        items=pa.table({"item_id": ids, "title": [f"Film {n}" for n in ids]}),
        item_vectors=vectors,
        item_codes=SparseCodes.from_dense(sae.encode(vectors, "item")),
        arrays=ConceptArrays(
            gains=np.ascontiguousarray(arrays.gains[:, source]),
            label_bits=bits(arrays.label_bits),
            readout_bits=bits(arrays.readout_bits),
            readout_weight=np.ascontiguousarray(arrays.readout_weight[:, back]),
            readout_bias=arrays.readout_bias,
            readout_scale=arrays.readout_scale,
            direction=np.ascontiguousarray(arrays.direction[:, back]),
            direction_effect=arrays.direction_effect,
            latent_effect=arrays.latent_effect[back],
        ),
        user_ids=None,
        user_vectors=None,
    )
    concepts = tuple(
        concept.model_copy(
            update={"latents": tuple(w.model_copy(update={"latent": int(order[w.latent])}) for w in concept.latents)}
        )
        for concept in old.concepts.concepts
    )
    return Night(old, replace(new, concepts=ConceptFile(concepts=concepts)), order)


def without(contents: BundleContents, *ids: str) -> BundleContents:
    """The contents as if their metadata had never named these concepts."""
    kept = [concept for concept in contents.concepts.concepts if concept.id not in ids]
    rows = [concept.row for concept in kept if concept.row is not None]
    numbered = {row: place for place, row in enumerate(rows)}
    arrays = contents.arrays
    return replace(
        contents,
        concepts=ConceptFile(
            concepts=tuple(c.model_copy(update={"row": None if c.row is None else numbered[c.row]}) for c in kept)
        ),
        arrays=ConceptArrays(
            **{name: value if name == "latent_effect" else value[rows] for name, value in vars(arrays).items()}
        ),
    )


def changed(contents: BundleContents, concept_id: str, **update: object) -> BundleContents:
    """The contents with other fields of one concept."""
    concepts = tuple(c.model_copy(update=update) if c.id == concept_id else c for c in contents.concepts.concepts)
    return replace(contents, concepts=ConceptFile(concepts=concepts))


def named(contents: BundleContents, concept_id: str) -> Concept:
    """One concept."""
    return next(concept for concept in contents.concepts.concepts if concept.id == concept_id)
