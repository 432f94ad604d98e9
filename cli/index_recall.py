"""Recall of a new index on the served path: the same requests to two engines that differ in their retriever alone.

What is asked is what an index is worst at (docs/indexes.md): users that move the query as far as a rule may, lists with
demotions that look deep, and filters, by chance and by region, that leave little. Legend: N items, U requests per row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import faiss
import numpy as np

from bundle import LATENT_FAMILY, Bundle, IndexParams, RecallRow
from server.bits import BitArray
from server.catalogue import Catalogue
from server.encoder import Encoder
from server.retrieval import (
    FlatRetriever,
    Network,
    NetworkRetriever,
    ProxyRetriever,
    Retriever,
    make_retriever,
)
from server.settings import Limits
from server.steer import Engine
from server.steerable import Steerable
from server.types import Action, Channel, FloatArray, Membership, Query, Rule

Step = Callable[[int, int], None]
"""Told (requests done, in all)."""

CONCEPTS = 8
SHARES = {"filter passing 50 %": 0.5, "filter passing 10 %": 0.1, "filter passing 1 %": 0.01}
MASKS = 4
"""Filters per share: half of them pass items by chance, half those nearest in direction to some item."""

STEERED = {
    "promote 1, item channel": (Action.PROMOTE, Channel.ITEM),
    "demote 1, item channel": (Action.DEMOTE, Channel.ITEM),
    "promote 1, query channel": (Action.PROMOTE, Channel.QUERY),
    "demote 1, query channel": (Action.DEMOTE, Channel.QUERY),
}


@dataclass(frozen=True)
class Row:
    """One kind of query; ``requests`` without their k."""

    name: str
    requests: tuple[Query, ...]


class FilterCatalogue(Catalogue):
    """A bundle's catalogue with concepts that exist only to be filtered: their members are what must not pass."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self._filters: dict[str, Steerable] = {}
        self._no_gain = np.zeros(len(self.item_ids), np.float32)

    def add_filter(self, name: str, forbidden: BitArray) -> None:
        """Offer ``name`` as a concept with these members, packed."""
        nowhere = np.zeros(self.latents, np.float32)
        self._filters[name] = Steerable(name, self._no_gain, nowhere, 0.0, forbidden, forbidden, self.vectors)

    def find(self, concept_id: str) -> Steerable:
        """See Catalogue."""
        return self._filters.get(concept_id) or super().find(concept_id)


class Comparison:
    """Two engines over one bundle, exact and approximate, and the requests that both are asked.

    ``whose``: whose vectors ask, stored users, or items where there are none.
    """

    def __init__(self, bundle: Bundle, index: faiss.Index, *, count: int, seed: int, rescored: int = 0) -> None:
        self._catalogue = FilterCatalogue(bundle)
        self._encoder = Encoder(bundle)
        self._index = index
        self._rescored = rescored
        self._network = Network(bundle) if rescored else None
        self._exact = self._engine(self._exact_retriever())
        self._rows, self.whose = make_rows(self._catalogue, count, seed)

    def ask(self, params: IndexParams, step: Step, only: Collection[str] = ()) -> tuple[RecallRow, ...]:
        """Recall and time of every row, or ``only`` of some, on one thread as the server searches."""
        rows = [row for row in self._rows if not only or row.name in only]
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)
        try:
            return tuple(measure(self._exact, self._engine(self._retriever(params)), rows, step))
        finally:
            faiss.omp_set_num_threads(threads)

    def _exact_retriever(self) -> Retriever:
        if self._network is not None:
            return NetworkRetriever(self._network)
        flat = faiss.IndexFlatIP(self._catalogue.vectors.shape[1])
        flat.add(self._catalogue.vectors)
        return FlatRetriever(flat)

    def _retriever(self, params: IndexParams) -> Retriever:
        contents = self._catalogue.bundle.contents
        found = make_retriever(self._index, params, contents.index_vectors)
        if self._network is None or contents.proxy is None:
            return found
        return ProxyRetriever(self._network, contents.proxy, found, self._rescored)

    def _engine(self, retriever: Retriever) -> Engine:
        return Engine(self._catalogue, self._encoder, retriever, None, Limits())


def make_rows(catalogue: FilterCatalogue, count: int, seed: int) -> tuple[list[Row], Literal["users", "items"]]:
    """``count`` requests per row, and whose vectors ask: stored users, or items where there are none."""
    rng = np.random.default_rng(seed)
    contents = catalogue.bundle.contents
    whose: Literal["users", "items"] = "items" if contents.user_vectors is None else "users"
    vectors = contents.item_vectors if contents.user_vectors is None else contents.user_vectors
    able = np.flatnonzero(np.any(np.asarray(vectors) != 0, axis=1))
    askers: FloatArray = np.asarray(vectors[rng.permutation(able)[:count]], np.float32)
    asked = [Query(k=1, embedding=askers[place % len(askers)]) for place in range(count)]
    rows = [Row("unsteered", tuple(asked))]
    for name, (action, channel) in STEERED.items():
        concepts = _sample(catalogue, channel)
        if concepts:
            rules = [Rule(action, concept, 1.0, channel) for concept in concepts]
            rows.append(Row(name, _with(asked, rules)))
    for name, share in SHARES.items():
        rows.append(Row(name, _with(asked, list(_filters(catalogue, name, share, rng)))))
    return rows, whose


def measure(exact: Engine, other: Engine, rows: Sequence[Row], step: Step) -> list[RecallRow]:
    """Ask both engines every request, for 10 and for 100 items."""
    out = []
    total = sum(len(row.requests) for row in rows)
    done = 0
    for row in rows:
        recall: dict[int, list[float]] = {10: [], 100: []}
        clocks: tuple[list[float], list[float]] = ([], [])
        for request in row.requests:
            for k, hits in recall.items():
                wanted, slow = _timed(exact, replace(request, k=k))
                found, fast = _timed(other, replace(request, k=k))
                hits.append(float(np.isin(wanted, found).mean()) if len(wanted) else 1.0)
                if k == 10:
                    clocks[0].append(fast)
                    clocks[1].append(slow)
            done += 1
            step(done, total)
        out.append(
            RecallRow(
                query=row.name,
                queries=len(row.requests),
                recall_at_10=round(float(np.mean(recall[10])), 4),
                recall_at_100=round(float(np.mean(recall[100])), 4),
                milliseconds=round(1e3 * float(np.median(clocks[0])), 3),
                flat_milliseconds=round(1e3 * float(np.median(clocks[1])), 3),
            )
        )
    return out


def _timed(engine: Engine, query: Query) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], float]:
    began = time.perf_counter()
    items = engine.recommend(query).ranking.items
    return items, time.perf_counter() - began


def _with(asked: Sequence[Query], rules: Sequence[Rule]) -> tuple[Query, ...]:
    return tuple(replace(query, rules=(rules[place % len(rules)],)) for place, query in enumerate(asked))


def _sample(catalogue: Catalogue, channel: Channel) -> list[str]:
    """Concepts from the largest to the smallest, then latents that many items activate, CONCEPTS in all."""
    named = sorted((concept.id for concept in catalogue.named), key=catalogue.item_count, reverse=True)
    active = np.bincount(catalogue.bundle.contents.item_codes.indices, minlength=catalogue.latents)
    latents = [f"{LATENT_FAMILY}:{latent}" for latent in np.argsort(-active, kind="stable") if active[latent]]
    able = [name for name in named if channel is Channel.ITEM or catalogue.find(name).effect > 0]
    more = [name for name in latents[:CONCEPTS] if channel is Channel.ITEM or catalogue.find(name).effect > 0]
    spread = sorted(set(np.linspace(0, len(able) - 1, CONCEPTS - 2).round().astype(int))) if able else []
    chosen = [able[place] for place in spread]
    return chosen + more[: CONCEPTS - len(chosen)]


def _filters(catalogue: FilterCatalogue, name: str, share: float, rng: np.random.Generator) -> Iterator[Rule]:
    """Filters that let ``share`` of the catalogue pass."""
    items = len(catalogue.item_ids)
    passing = max(1, round(share * items))
    for place in range(MASKS):
        by_chance = place % 2 == 0
        order = rng.random(items) if by_chance else catalogue.vectors @ catalogue.vectors[rng.integers(items)]
        forbidden = np.ones(items, np.bool_)
        forbidden[np.argpartition(-order, passing - 1)[:passing]] = False
        concept = f"{name}:{place}"
        catalogue.add_filter(concept, np.packbits(forbidden, bitorder="little"))
        yield Rule(Action.FILTER, concept, 1.0, membership=Membership.LABEL)
