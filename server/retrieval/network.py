"""Top k by a scorer network: every item of a small catalogue, candidates of a large one.

The network is asked in blocks of one size, so that an item's score does not depend on who is scored with it. With a
proxy in the bundle (bundle.proxy) an index over the proxies proposes candidates and the network ranks them: what that
costs in recall is measured when the proxy is made and stands in the manifest. Legend: N items, D embedding, n items
asked for, R numbers of a proxy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bundle import Bundle, Proxy
from bundle.errors import BundleCorrupt
from server import bits
from server.bits import BitArray
from server.graphs import HINT, open_graph
from server.retrieval.gains import Gain, best_of, total_gain
from server.retrieval.merge import steered_search
from server.retrieval.protocol import Retriever
from server.retrieval.scored import Scored
from server.types import FloatArray, IntArray, Ranking

BLOCK = 1024
"""Items per call of the network: of an MLP 64-32-16 an item costs 0.12 to 0.2 us in such a block and 10 us alone."""


class Network:
    """scorer.onnx over the items' embeddings [N, D]."""

    def __init__(self, bundle: Bundle) -> None:
        contents = bundle.contents
        path = bundle.path / "scorer.onnx" if contents.scorer_onnx is None else contents.scorer_onnx
        dim = bundle.manifest.dims.embedding
        self._session = open_graph(path, {"user": dim, "items": dim}, ("scores",))
        self._items = np.ascontiguousarray(contents.item_vectors, np.float32)
        found = self.all(self._items[0]) if len(self._items) else np.empty(0, np.float32)
        if found.shape != (len(self._items),) or not np.isfinite(found).all():
            expected = f"{len(self._items)} finite numbers"
            raise BundleCorrupt(f"{path}: scores", found=f"shape {found.shape}", expected=expected, hint=HINT)

    def __len__(self) -> int:
        return len(self._items)

    def all(self, x: FloatArray) -> FloatArray:
        """Scores of every item for an embedding [D], [N]."""
        return self._blocks(x, self._items)

    def of(self, x: FloatArray, rows: IntArray) -> FloatArray:
        """Scores of some items, [len(rows)]."""
        return self._blocks(x, self._items.take(rows, axis=0))

    def elsewhere(self, x: FloatArray, rows: IntArray, deltas: FloatArray) -> FloatArray:
        """Scores of some items moved by ``deltas`` [len(rows), D], [len(rows)]."""
        return self._blocks(x, self._items.take(rows, axis=0) + deltas)

    def _blocks(self, x: FloatArray, items: FloatArray) -> FloatArray:
        user = x[None]
        parts = []
        for start in range(0, len(items), BLOCK):
            block = items[start : start + BLOCK]
            used = len(block)
            if used < BLOCK and len(self._items) >= BLOCK:  # a catalogue smaller than a block is always asked whole
                block = np.concatenate([block, np.zeros((BLOCK - used, block.shape[1]), np.float32)])
            parts.append(self._session.run(("scores",), {"user": user, "items": block})[0][0][:used])
        return np.concatenate(parts) if parts else np.empty(0, np.float32)


class NetworkRetriever:
    """Every item scored by the network: exact."""

    exact = True

    def __init__(self, network: Network) -> None:
        self.network = network

    def __len__(self) -> int:
        return len(self.network)

    def search(self, query: FloatArray, n: int, allowed: BitArray | None = None) -> Ranking:
        """The best ``n`` items of an embedding [D], best first; see Retriever."""
        return Scored(self.network.all(query)).search(n, allowed)


class ProxyRetriever:
    """Candidates from an index over the proxies, ranked by the network. ``depth``: candidates of an ordinary search."""

    exact = False

    def __init__(self, network: Network, proxy: Proxy, index: Retriever, depth: int) -> None:
        self.network = network
        self.proxy = proxy
        self.depth = depth
        self._index = index

    def __len__(self) -> int:
        return len(self.network)

    def query(self, x: FloatArray) -> FloatArray:
        """An embedding [D] as the proxies are asked, [R]."""
        return self.proxy.query(self.network.of(x, self.proxy.anchors))

    def search(self, query: FloatArray, n: int, allowed: BitArray | None = None) -> Ranking:
        """Most of the best ``n`` items of an embedding [D], with the network's own scores; see Retriever.

        As long as ``n`` is at most half the depth, a shorter list is the head of a longer one.
        """
        return self.steered(query, self.query(query), n, (), allowed)

    def steered(
        self, x: FloatArray, query: FloatArray, n: int, gains: Sequence[Gain], allowed: BitArray | None
    ) -> Ranking:
        """The same under soft rules: candidates by proxy score plus gains, then the network's score plus gains.

        ``query``: what ``query(x)`` gave. Postings in ``gains`` carry proxy scores.
        """
        wanted = self.depth
        while wanted < 2 * n:
            wanted *= 2
        wanted = min(wanted, len(self))
        if gains:
            found = steered_search(self._index, query, wanted, gains, allowed).items
        else:
            found = self._index.search(query, wanted, allowed).items
        if allowed is not None:
            found = found[bits.has_each(allowed, found)]
        rows = np.sort(found)
        scores = self.network.of(x, rows)
        return best_of(rows, scores + total_gain(gains, rows) if gains else scores, n)
