"""manifest.json: what a bundle is, how it was made, and a checksum for every other file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bundle.index import IndexEntry
from bundle.profile import UserProfile

FORMAT_VERSION: Literal[1] = 1
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"

Metric = Literal["dot", "cosine"]
ScorerKind = Literal["metric", "network"]

# Every bundle has these. Names are part of the contract: a rename is a new format version.
REQUIRED_FILES = (
    "sae.safetensors",
    "encoder.onnx",
    "decoder.onnx",
    "items.parquet",
    "item_vectors.npy",
    "item_codes.safetensors",
    "concepts.json",
    "concepts.safetensors",
    "concept_gains.npy",
    "calibration.json",
    "index.faiss",
)
SCORER, USER_TOWER = "scorer.onnx", "user_tower.onnx"
PROXY, PROXY_VECTORS = "proxy.safetensors", "proxy_vectors.npy"
OPTIONAL_FILES = (
    "item_bias.npy",
    "users.parquet",
    "user_vectors.npy",
    SCORER,
    USER_TOWER,
    PROXY,
    PROXY_VECTORS,
    "evaluation.json",
    "evaluation.html",
)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FileEntry(_Frozen):
    """One file of the bundle."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: int = Field(ge=0)


class Dims(_Frozen):
    """Sizes every array is checked against."""

    embedding: int = Field(ge=1, description="D")
    latents: int = Field(ge=1, description="L")
    items: int = Field(ge=1, description="N")
    concepts: int = Field(ge=0, description="C, offered concepts")
    users: int = Field(ge=0, description="users whose vectors are stored; 0: none")


class ActivationSpec(_Frozen):
    """Serving form of a tower's activation; see bundle.sae.Activation."""

    kind: Literal["relu", "topk", "threshold"]
    k: int | None = None
    threshold: float | None = None


class Manifest(_Frozen):
    """manifest.json."""

    kind: Literal["tiller.bundle"] = "tiller.bundle"
    format_version: Literal[1] = FORMAT_VERSION
    bundle_id: str = Field(description="first 12 hex digits of the checksum over all files' checksums")
    name: str = Field(min_length=1, description="for people")
    created: str = Field(description="UTC, ISO 8601")
    tiller_version: str
    dims: Dims
    metric: Metric = Field(description="score of an item: inner product, or cosine")
    item_bias: bool = Field(description="a bias per item is added to the inner product (item_bias.npy)")
    scorer: ScorerKind = Field(default="metric", description="what scores an item: the metric, or scorer.onnx")
    history_length: int = Field(default=0, ge=0, description="items that user_tower.onnx reads; 0: there is none")
    normalise: bool = Field(description="the SAE divides rows by a power of their norm")
    norm_power: float = Field(default=1.0, gt=0, le=1, description="that power; 1: rows are read at unit norm")
    user_activation: ActivationSpec
    item_activation: ActivationSpec
    recommender: str = Field(description="what made the embeddings: 'embeddings' (yours), 'mf', ...")
    provenance: dict[str, Any] = Field(
        description="every number needed to rerun: command, config, seeds, versions, data"
    )
    files: dict[str, FileEntry]
    index: IndexEntry | None = Field(default=None, description="index.faiss; left out: the exact one of the export")
    user_profile: UserProfile | None = Field(
        default=None, description="what the training's users look like to the SAE; left out: not known"
    )


def checksum(path: Path) -> FileEntry:
    """Size and SHA-256 of a file."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
            size += len(block)
    return FileEntry(sha256=digest.hexdigest(), bytes=size)


def identify(files: dict[str, FileEntry]) -> str:
    """The bundle's id: 12 hex digits over its files' names and checksums."""
    lines = "".join(f"{name} {entry.sha256}\n" for name, entry in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:12]
