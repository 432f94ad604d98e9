"""Every number needed to rerun a bundle, for its manifest."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any

from offline.config import PipelineConfig
from offline.datasets.types import Dataset
from offline.label import LabelResult
from offline.recommenders.base import TrainedRecommender
from sae.train import TrainResult

PACKAGES = ("numpy", "torch", "scikit-learn", "scipy", "pyarrow", "onnx", "faiss-cpu", "safetensors")


def make_provenance(
    config: PipelineConfig,
    dataset: Dataset,
    trained: TrainResult,
    labels: LabelResult,
    *,
    ranking: dict[str, Any] | None,
    recommender: TrainedRecommender,
) -> dict[str, Any]:
    """Command, configuration, seeds, versions, data with checksums and figures, as JSON can hold them."""
    offered = sum(concept.offered for concept in labels.concepts.concepts)
    return {
        "command": list(config.command),
        "config": config.model_dump(mode="json", exclude={"command"}),
        "seed": config.seed,
        "data": dataset.provenance,
        "recommender": {"kind": recommender.name, **recommender.facts},
        "ranking": ranking,
        "sae": {"config": trained.config.model_dump(mode="json"), "metrics": trained.metrics},
        "concepts": {
            "offered": offered,
            "not_offered": len(labels.concepts.concepts) - offered,
            "notes": list(labels.notes),
            "held_out": list(labels.report),
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "machine": {
            "system": platform.platform(),
            "cpus": os.cpu_count(),
            "threads": os.environ.get("OMP_NUM_THREADS"),
        },
    }
