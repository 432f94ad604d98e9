"""index.faiss as the retriever its manifest declares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss

from bundle import Bundle, HnswParams, IndexEntry, IndexParams, IvfParams, Manifest, search_vectors
from bundle.errors import BundleCorrupt, BundleError
from server.retrieval.approximate import ApproximateRetriever
from server.retrieval.flat import FlatRetriever
from server.retrieval.protocol import Retriever
from server.retrieval.searchers import HnswSearcher, IvfSearcher
from server.types import FloatArray

CLASSES: dict[str, type[Any]] = {
    "flat": faiss.IndexFlat,
    "hnsw": faiss.IndexHNSWFlat,
    "hnsw-sq8": faiss.IndexHNSWSQ,
    "ivf": faiss.IndexIVFFlat,
    "ivf-sq8": faiss.IndexIVFScalarQuantizer,
    "ivf-pq": faiss.IndexIVFPQ,
}


def open_retriever(bundle: Bundle, vectors: FloatArray | None = None) -> Retriever:
    """Read a bundle's index, check that it is over this bundle's vectors, and put it behind the protocol.

    Args:
        bundle: a loaded bundle.
        vectors: its search vectors [N, D'], if they are in memory already.

    Raises:
        BundleCorrupt: not a FAISS index, or not the one that the manifest declares.
        BundleError: its recorded recall is under its gate.
    """
    entry = bundle.manifest.index
    if entry is not None:
        _refuse_under_gate(bundle.path, entry)
    index = read_index(bundle.path / "index.faiss", bundle.manifest, entry)
    if entry is None or entry.kind == "flat":
        return FlatRetriever(index)
    if vectors is None:
        contents = bundle.contents
        vectors = search_vectors(contents.item_vectors, contents.item_bias, contents.metric)
    return make_retriever(index, entry.settings, vectors)


def make_retriever(index: faiss.Index, params: IndexParams, vectors: FloatArray) -> Retriever:
    """An index that was built with ``params`` (bundle.index) over ``vectors`` [N, D'], behind the protocol."""
    if isinstance(params, HnswParams):
        return ApproximateRetriever(HnswSearcher(index, params), vectors)
    if isinstance(params, IvfParams):
        return ApproximateRetriever(IvfSearcher(index, params), vectors)
    return FlatRetriever(index)


def read_index(path: Path, manifest: Manifest, entry: IndexEntry | None) -> faiss.Index:
    """The FAISS index in a file, its class, size, dimension and metric checked."""
    hint = "Export the bundle again."
    try:
        index = faiss.read_index(str(path))
    except RuntimeError as error:
        raise BundleCorrupt(f"{path}", found=str(error).splitlines()[0], hint=hint) from error
    wanted = CLASSES[entry.kind if entry is not None else "flat"]
    if not isinstance(index, wanted):
        raise BundleCorrupt(f"{path}: index", found=type(index).__name__, expected=wanted.__name__, hint=hint)
    shape = (manifest.dims.items, manifest.dims.embedding + manifest.item_bias, faiss.METRIC_INNER_PRODUCT)
    found = (index.ntotal, index.d, index.metric_type)
    if found != shape:
        raise BundleCorrupt(f"{path}: items, dimension, metric", found=found, expected=shape, hint=hint)
    return index


def _refuse_under_gate(path: Path, entry: IndexEntry) -> None:
    worst = entry.worst
    if worst is None or entry.passed:
        return
    raise BundleError(
        f"{path}: the {entry.kind} index is under its gate ({worst.query}): recall",
        found=f"{worst.lowest:.3f}",
        expected=f"{entry.gate:g} or more",
        hint=f"Build it again: tiller bundle index {path} --replace",
    )
