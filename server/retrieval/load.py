"""index.faiss as the retriever its manifest declares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np

from bundle import Bundle, HnswParams, IndexEntry, IndexParams, IvfParams, search_vectors
from bundle.errors import BundleCorrupt, BundleError
from server.retrieval.approximate import ApproximateRetriever
from server.retrieval.flat import FlatRetriever
from server.retrieval.network import Network, NetworkRetriever, ProxyRetriever
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
    """What a bundle is searched by: its index, checked to be over this bundle's vectors, or its scorer network.

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
    contents, manifest = bundle.contents, bundle.manifest
    if contents.proxy is not None and entry is not None:
        vectors = np.asarray(contents.proxy.vectors, np.float32)
        index = read_index(bundle.path / "index.faiss", manifest.dims.items, vectors.shape[1], entry)
        proxies = make_retriever(index, entry.settings, vectors)
        return ProxyRetriever(Network(bundle), contents.proxy, proxies, entry.rescored)
    index = read_index(
        bundle.path / "index.faiss", manifest.dims.items, manifest.dims.embedding + manifest.item_bias, entry
    )
    if manifest.scorer == "network":
        return NetworkRetriever(Network(bundle))
    if vectors is None:
        vectors = search_vectors(contents.item_vectors, contents.item_bias, contents.metric)
    return FlatRetriever(index) if entry is None else make_retriever(index, entry.settings, vectors)


def make_retriever(index: faiss.Index, params: IndexParams, vectors: FloatArray) -> Retriever:
    """An index that was built with ``params`` (bundle.index) over ``vectors`` [N, D'], behind the protocol."""
    if isinstance(params, HnswParams):
        return ApproximateRetriever(HnswSearcher(index, params), vectors)
    if isinstance(params, IvfParams):
        return ApproximateRetriever(IvfSearcher(index, params), vectors)
    return FlatRetriever(index)


def read_index(path: Path, items: int, dim: int, entry: IndexEntry | None) -> faiss.Index:
    """The FAISS index in a file, its class, metric, and size [items, dim] checked."""
    hint = "Export the bundle again."
    # A flat index is read where it lies: several workers then share its pages. FAISS before 1.11 copies it.
    mapped = getattr(faiss, "IO_FLAG_MMAP_IFC", 0) if entry is None or entry.kind == "flat" else 0
    try:
        index = faiss.read_index(str(path), mapped)
    except RuntimeError as error:
        raise BundleCorrupt(f"{path}", found=str(error).splitlines()[0], hint=hint) from error
    wanted = CLASSES[entry.kind if entry is not None else "flat"]
    if not isinstance(index, wanted):
        raise BundleCorrupt(f"{path}: index", found=type(index).__name__, expected=wanted.__name__, hint=hint)
    shape = (items, dim, faiss.METRIC_INNER_PRODUCT)
    if entry is not None and entry.params.get("euclidean"):  # points of offline.index.euclidean
        shape = (items, dim + 1, faiss.METRIC_L2)
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
