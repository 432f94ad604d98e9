"""Worlds the engine's tests run on, one per kind of bundle, made once; and the numpy oracle of a steered list."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from bundle import Activation, BundleContents, Proxy, dose, search_query, search_vectors
from server.retrieval import Network, ProxyRetriever
from server.steer import Engine
from server.types import Action, Channel, Membership, Query, Rule
from tests.network import LENGTH, Mlp, tower_user, with_network, with_tower
from tests.server.retrieval.backends import make
from tests.world import World, make_world, write_world

KINDS = {
    "dot": {},
    "bias": {"bias": True, "norm_power": 0.7, "seed": 1},
    "cosine": {"metric": "cosine", "seed": 2},
    "threshold": {"activation": Activation("threshold", threshold=0.1), "normalise": False, "seed": 3},
    "relu": {"activation": Activation("relu"), "seed": 4, "items": 97},
    "network": {"seed": 5},
    "network-tower": {"seed": 6, "normalise": False, "items": 130},
}
NETWORKS = sorted(kind for kind in KINDS if kind.startswith("network"))

APPROXIMATE = [
    "dot/hnsw-raw",
    "bias/hnsw-sq8-raw",
    "cosine/ivf-raw",
    "threshold/ivf-sq8-raw",
    "relu/ivf-pq-raw",
    "bias/hnsw",
    "dot/ivf-pq",
    "network/proxy",
    "network-tower/proxy-hnsw-raw",
]
"""Kinds with another retriever (tests/server/retrieval/backends.py) in the place of the exact one; of a scorer network
``proxy``: candidates from proxies, searched by the flat index or the one that follows the dash."""

DEPTH = 40
"""Candidates that a proxy's index proposes to the network."""

_FOLDERS: list[TemporaryDirectory[str]] = []  # removed when the interpreter ends


@cache
def engine(kind: str) -> Engine:
    """An engine over a real bundle of the given kind, read back from disk; ``KIND/BACKEND``: with that retriever."""
    kind, _, backend = kind.partition("/")
    if backend:
        exact = engine(kind)
        if kind in NETWORKS:
            return replace(exact, retriever=_proxied(exact, backend))
        return replace(exact, retriever=make(backend, exact.catalogue.vectors))
    folder = TemporaryDirectory(prefix="tiller-world-")
    _FOLDERS.append(folder)
    return Engine.open(write_world(planted(kind, Path(folder.name)), Path(folder.name) / "bundle"))


def planted(kind: str, folder: Path) -> World:
    """The world of a kind; graphs that its bundle copies lie in ``folder``."""
    world = make_world(**KINDS[kind])  # type: ignore[arg-type]
    if kind in NETWORKS:
        world = with_network(world, folder)
    return with_tower(world, folder) if kind.endswith("-tower") else world


def _proxied(exact: Engine, backend: str) -> ProxyRetriever:
    """Rough proxies: sixteen anchors, chosen blindly, fitted on users far apart."""
    contents = exact.catalogue.bundle.contents
    assert contents.user_vectors is not None
    users = np.vstack([contents.user_vectors, contents.item_vectors[::3], 2 * contents.item_vectors[1::3]])
    scores = Mlp.make(contents.sae.dim).scores(users, contents.item_vectors)
    anchors = np.arange(0, len(contents.item_vectors), len(contents.item_vectors) // 16)[:16]
    told = np.column_stack([scores[:, anchors], np.ones(len(users))])
    vectors = np.linalg.lstsq(told, scores, rcond=None)[0].T.astype(np.float32)
    proxy = Proxy(anchors, np.eye(17, dtype=np.float32), np.ascontiguousarray(vectors))
    index = make(backend.partition("-")[2] or "flat", proxy.vectors)
    return ProxyRetriever(Network(exact.catalogue.bundle), proxy, index, DEPTH)


@contextmanager
def opened(**kwargs: object) -> Iterator[Engine]:
    """A throw-away engine over a world of one's own."""
    with TemporaryDirectory(prefix="tiller-world-") as folder:
        yield Engine.open(write_world(make_world(**kwargs), Path(folder) / "bundle"))  # type: ignore[arg-type]


class Oracle:
    """Brute force, written from DESIGN's formulas and not from the engine's code: scores every item, then sorts."""

    def __init__(self, contents: BundleContents) -> None:
        self.c = contents
        self.vectors = search_vectors(contents.item_vectors, contents.item_bias, contents.metric).astype(np.float64)
        self.ids = contents.items["item_id"].to_pylist()
        self.rows = {concept.id: concept.row for concept in contents.concepts.concepts if concept.row is not None}

    def gain(self, concept: str) -> npt.NDArray[np.float64]:
        if concept in self.rows:
            return np.asarray(self.c.arrays.gains[self.rows[concept]], np.float64)
        column = self.c.item_codes.dense()[:, int(concept.split(":")[1])].astype(np.float64)
        return np.clip(column / np.quantile(column[column > 0], 0.9), 0, 1) if (column > 0).any() else column

    def members(self, rule: Rule) -> npt.NDArray[np.bool_]:
        if rule.concept not in self.rows:
            return self.c.item_codes.dense()[:, int(rule.concept.split(":")[1])] > 0
        row, n = self.rows[rule.concept], len(self.ids)
        label = np.unpackbits(self.c.arrays.label_bits[row], count=n, bitorder="little").astype(bool)
        readout = np.unpackbits(self.c.arrays.readout_bits[row], count=n, bitorder="little").astype(bool)
        return {Membership.READOUT: readout, Membership.EITHER: label | readout}.get(rule.membership, label)

    def base(self, x: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """What the recommender alone says of every item, [N]."""
        if self.c.scorer == "network":
            return Mlp.make(self.c.sae.dim).scores(np.asarray(x)[None], self.c.item_vectors)[0]
        q = search_query(np.asarray(x, np.float32), has_bias=self.c.item_bias is not None, metric=self.c.metric)
        return np.asarray(self.vectors @ q.astype(np.float64))

    def user(self, query: Query) -> npt.NDArray[np.float64]:
        """The user's embedding [D], stored or made of a history."""
        if query.history is not None:
            rows = [self.ids.index(item_id) for item_id in query.history if item_id in self.ids]
            return tower_user(self.c.item_vectors, rows, LENGTH)
        assert self.c.user_vectors is not None
        assert self.c.user_ids is not None
        return self.c.user_vectors[self.c.user_ids.index(query.user_id or "")].astype(np.float64)

    def scores(self, query: Query, k: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Steered score of every item [N], and which items may be returned [N]."""
        x = self.user(query)
        base = self.base(x)
        allowed = ~np.isin(self.ids, query.exclude + (query.history or () if query.exclude_history else ()))
        for rule in query.rules:
            if rule.action is Action.FILTER:
                allowed &= ~self.members(rule)
        ranked = np.sort(base[allowed])[::-1]
        doses = []
        for rule in query.rules:
            if rule.action is Action.FILTER or rule.strength == 0 or not len(ranked):
                continue
            inside = np.sort(base[allowed & (self.gain(rule.concept) >= dose.MEMBER_READOUT)])[::-1]
            if rule.action is Action.PROMOTE:
                amount = 2 * rule.strength * dose.promote_unit(ranked, inside, k)
            else:
                amount = -2 * rule.strength**2 * dose.demote_unit(ranked, inside[0] if len(inside) else None, k)
            doses.append((rule, amount))
        return self.steered(x, doses), allowed

    def steered(self, x: npt.NDArray[np.float64], doses: list[tuple[Rule, float]]) -> npt.NDArray[np.float64]:
        """Scores of every item [N] for soft rules with their doses."""
        gains = np.zeros(len(self.ids))
        move = np.zeros(self.c.sae.dim)
        shield = np.ones(len(self.ids))
        for rule, _ in doses:
            if rule.action is Action.DEMOTE:
                shield *= 1 - self.gain(rule.concept)
        for rule, amount in doses:
            if rule.channel is Channel.ITEM:
                gain = self.gain(rule.concept)
                promoted = rule.action is Action.PROMOTE
                gains += amount * (np.where(gain >= 0.1, gain, 0) * shield if promoted else gain)
            else:
                move += self.displacement(rule.concept, amount)
        if self.c.scorer == "network":
            return np.asarray(self.base(x + move) + gains)
        return np.asarray(self.base(x) + self.vectors[:, : self.c.sae.dim] @ move + gains)

    def displacement(self, concept: str, amount: float) -> npt.NDArray[np.float64]:
        """How the query channel moves the user [D]: the direction's decoded effect, scaled to score units."""
        if concept in self.rows:
            row = self.rows[concept]
            direction, effect = self.c.arrays.direction[row], self.c.arrays.direction_effect[row]
        else:
            latent = int(concept.split(":")[1])
            direction, effect = np.eye(self.c.sae.latents)[latent], self.c.arrays.latent_effect[latent]
        return np.asarray(amount / effect * (direction.astype(np.float64) @ self.c.sae.user.w_dec))
