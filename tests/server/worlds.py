"""Worlds the engine's tests run on, one per kind of bundle, made once; and the numpy oracle of a steered list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from bundle import Activation, BundleContents, Proxy, dose, search_query, search_vectors
from server.retrieval import Network, ProxyRetriever
from server.settings import Limits
from server.steer import Engine
from server.subject import Examples, Items, Mixture, Toward
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

    def gain_of(self, rule: Rule) -> npt.NDArray[np.float64]:
        """Read-out of what a rule names, [N]; of items that are moved nothing is added to a score."""
        subject, size = rule.subject, len(self.ids)
        if subject is None:
            return self.gain(rule.concept)
        if isinstance(subject, Mixture):
            return np.minimum(sum(weight * self.gain(concept) for concept, weight in subject.parts), 1)
        if isinstance(subject, Items):
            return np.isin(self.ids, subject.item_ids).astype(np.float64)
        assert isinstance(subject, Examples)
        codes = self.c.item_codes.dense().astype(np.float64)
        mean = codes.mean(0)
        like, unlike = (np.isin(self.ids, side) for side in (subject.like, subject.unlike))
        axis = codes[like].mean(0) - (codes[unlike].mean(0) if unlike.any() else mean)
        centred = codes - mean
        length = np.linalg.norm(centred, axis=1) * np.linalg.norm(axis)
        alike = centred @ axis / np.where(length > 0, length, 1)
        out = np.clip(alike / np.median(alike[like]), 0, 1)
        out[like], out[unlike] = 1, 0
        assert size == len(out)
        return out

    def gain(self, concept: str) -> npt.NDArray[np.float64]:
        if concept in self.rows:
            return np.asarray(self.c.arrays.gains[self.rows[concept]], np.float64)
        column = self.c.item_codes.dense()[:, int(concept.split(":")[1])].astype(np.float64)
        return np.clip(column / np.quantile(column[column > 0], 0.9), 0, 1) if (column > 0).any() else column

    def members(self, rule: Rule) -> npt.NDArray[np.bool_]:
        if isinstance(rule.subject, Mixture):
            parts = [Rule(rule.action, concept, membership=rule.membership) for concept in rule.subject.concepts]
            return np.logical_or.reduce([self.members(part) for part in parts])
        if rule.subject is not None:
            return self.gain_of(rule) >= 0.5
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
        doses: list[tuple[Rule, float]] = []
        pushed: list[tuple[Rule, float]] = []
        for rule in query.rules:
            if rule.action is Action.FILTER or rule.strength == 0 or not len(ranked):
                continue
            if isinstance(rule.subject, Toward):
                pushed.append((rule, rule.strength))
                continue
            gain = self.gain_of(rule)
            counted = gain >= dose.MEMBER_READOUT
            inside = np.sort(base[allowed & counted])[::-1]
            if rule.action is Action.PROMOTE:
                amount = 2 * rule.strength * dose.promote_unit(ranked, inside, k)
            else:
                amount = -2 * rule.strength**2 * dose.demote_unit(ranked, inside[0] if len(inside) else None, k)
            graded = isinstance(rule.subject, Mixture | Examples) and counted.any()
            doses.append((rule, amount / gain[counted].mean() if graded else amount))
        part = self.part(x, doses, pushed, ranked) if doses or pushed else 1.0
        doses, pushed = ([(rule, part * amount) for rule, amount in each] for each in (doses, pushed))
        return self.steered(x, doses, pushed), allowed

    def part(
        self,
        x: npt.NDArray[np.float64],
        doses: list[tuple[Rule, float]],
        pushed: list[tuple[Rule, float]],
        ranked: npt.NDArray[np.float64],
    ) -> float:
        """What the server's cap leaves of every dose; of a rule that moves items: of their largest rise."""
        base = self.base(x)
        rises = [np.abs(self.steered(x, [], [push]) - base).max() for push in pushed]
        total = sum(abs(amount) for _, amount in doses) + sum(rises)
        return min(1.0, Limits().max_displacement * dose.gap(ranked) / total) if total else 1.0

    def steered(
        self,
        x: npt.NDArray[np.float64],
        doses: list[tuple[Rule, float]],
        pushed: Sequence[tuple[Rule, float]] = (),
    ) -> npt.NDArray[np.float64]:
        """Scores of every item [N] for soft rules with their doses; ``pushed``: those that move items, and how far."""
        gains = np.zeros(len(self.ids))
        move = np.zeros(self.c.sae.dim)
        shield = np.ones(len(self.ids))
        for rule, _ in doses:
            if rule.action is Action.DEMOTE:
                shield *= 1 - self.gain_of(rule)
        for rule, amount in doses:
            if rule.channel is Channel.ITEM:
                gain = self.gain_of(rule)
                promoted = rule.action is Action.PROMOTE
                gains += amount * (np.where(gain >= 0.1, gain, 0) * shield if promoted else gain)
            else:
                move += self.displacement(rule, amount)
        if self.c.scorer == "network":
            items = self.c.item_vectors + self.deltas(pushed)
            return np.asarray(Mlp.make(self.c.sae.dim).scores((x + move)[None], items)[0] + gains)
        if pushed:
            return np.asarray(self.elsewhere(pushed) @ self.query(x, move) + gains)
        return np.asarray(self.base(x) + self.vectors[:, : self.c.sae.dim] @ move + gains)

    def query(self, x: npt.NDArray[np.float64], move: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        q = search_query(np.asarray(x, np.float32), has_bias=self.c.item_bias is not None, metric=self.c.metric)
        return np.asarray(q + np.pad(move, (0, len(q) - len(move))), np.float64)

    def elsewhere(self, pushed: Sequence[tuple[Rule, float]]) -> npt.NDArray[np.float64]:
        """Search vectors [N, D'] with some items moved."""
        vectors = self.vectors.copy()
        vectors[:, : self.c.sae.dim] += self.deltas(pushed)
        if self.c.metric == "cosine":
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def deltas(self, pushed: Sequence[tuple[Rule, float]]) -> npt.NDArray[np.float64]:
        """How far the items move toward audiences, [N, D]."""
        out = np.zeros((len(self.ids), self.c.sae.dim))
        for rule, amount in pushed:
            assert isinstance(rule.subject, Toward)
            out[np.isin(self.ids, rule.subject.item_ids)] += amount * self.pushes(rule.subject)
        return out

    def pushes(self, subject: Toward) -> npt.NDArray[np.float64]:
        """The way of strength 1 of each item, in the order of the rows, [E, D]: found on a fine grid."""
        assert self.c.user_vectors is not None
        users = self.c.user_vectors.astype(np.float64)
        if self.c.metric == "cosine":
            users /= np.linalg.norm(users, axis=1, keepdims=True)
        inside = self.members(Rule(Action.PROMOTE, subject.audience))
        taste = np.array([self.base(x)[inside].mean() - self.base(x).mean() for x in users])
        mean_user = users[np.argsort(-taste, kind="stable")[: max(1, round(0.1 * len(users)))]].mean(0)
        codes = self.c.item_codes.dense().astype(np.float64)
        axis = (codes[inside].mean(0) - codes.mean(0)) @ self.c.sae.item.w_dec
        size = 1.0 if self.c.metric == "cosine" else float(np.linalg.norm(self.c.item_vectors, axis=1).mean())
        axis *= size / np.linalg.norm(axis)
        goal = np.sort(self.base(mean_user))[::-1][9]
        rows = np.flatnonzero(np.isin(self.ids, subject.item_ids))
        out = np.zeros((len(rows), self.c.sae.dim))
        for place, row in enumerate(rows):
            out[place] = self.way(mean_user, row, axis, goal)
        return out

    def way(
        self, x: npt.NDArray[np.float64], row: int, axis: npt.NDArray[np.float64], goal: float
    ) -> npt.NDArray[np.float64]:
        """To the first doubling at which the score is the goal, then bisected; where it never is, the best doubling."""

        def at(far: float) -> float:
            if self.c.scorer == "network":
                item = self.c.item_vectors[row] + far * axis
                return float(Mlp.make(self.c.sae.dim).scores(x[None], item[None])[0, 0])
            vector = self.vectors[row].copy()
            vector[: len(axis)] += far * axis
            if self.c.metric == "cosine":
                vector /= np.linalg.norm(vector)
            return float(vector @ self.query(x, np.zeros(len(axis))))

        if at(0) >= goal:
            return np.zeros_like(axis)
        steps = [2.0**power for power in range(-6, 7)]
        over = next((far for far in steps if at(far) >= goal), None)
        if over is None:
            best = max([0.0, *steps], key=at)
            return np.asarray(best * axis)
        low, high = (0.0 if over == steps[0] else over / 2), over
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (low, middle) if at(middle) >= goal else (middle, high)
        return np.asarray(high * axis)

    def displacement(self, rule: Rule, amount: float) -> npt.NDArray[np.float64]:
        """How the query channel moves the user [D]: the direction's decoded effect, scaled to score units."""
        if rule.subject is None:
            direction, effect = self.direction(rule.concept)
        else:
            direction = self.direction_of(rule)
            inside = self.members(rule)
            lift = (self.vectors[inside].mean(0) - self.vectors.mean(0))[: self.c.sae.dim]
            effect = float(lift @ (direction @ self.c.sae.user.w_dec))
        return np.asarray(amount / effect * (direction @ self.c.sae.user.w_dec))

    def direction_of(self, rule: Rule) -> npt.NDArray[np.float64]:
        """Unit direction [L] of a set or of examples."""
        if isinstance(rule.subject, Mixture):
            total = sum(weight * self.direction(concept)[0] for concept, weight in rule.subject.parts)
        else:
            assert isinstance(rule.subject, Examples)
            codes = self.c.item_codes.dense().astype(np.float64)
            like, unlike = (np.isin(self.ids, side) for side in (rule.subject.like, rule.subject.unlike))
            total = codes[like].mean(0) - (codes[unlike].mean(0) if unlike.any() else codes.mean(0))
        return np.asarray(total / np.linalg.norm(total))

    def direction(self, concept: str) -> tuple[npt.NDArray[np.float64], float]:
        """Direction [L] and effect of a concept or latent."""
        if concept in self.rows:
            row = self.rows[concept]
            return self.c.arrays.direction[row].astype(np.float64), float(self.c.arrays.direction_effect[row])
        latent = int(concept.split(":")[1])
        return np.eye(self.c.sae.latents)[latent], float(self.c.arrays.latent_effect[latent])
