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

from bundle import Activation, BundleContents, dose, search_query, search_vectors
from server.steer import Engine
from server.types import Action, Channel, Membership, Query, Rule
from tests.server.retrieval.backends import make
from tests.world import make_world, write_world

KINDS = {
    "dot": {},
    "bias": {"bias": True, "norm_power": 0.7, "seed": 1},
    "cosine": {"metric": "cosine", "seed": 2},
    "threshold": {"activation": Activation("threshold", threshold=0.1), "normalise": False, "seed": 3},
    "relu": {"activation": Activation("relu"), "seed": 4, "items": 97},
}

APPROXIMATE = [
    "dot/hnsw-raw",
    "bias/hnsw-sq8-raw",
    "cosine/ivf-raw",
    "threshold/ivf-sq8-raw",
    "relu/ivf-pq-raw",
    "bias/hnsw",
    "dot/ivf-pq",
]
"""Kinds with another retriever (tests/server/retrieval/backends.py) in the place of the exact one."""

_FOLDERS: list[TemporaryDirectory[str]] = []  # removed when the interpreter ends


@cache
def engine(kind: str) -> Engine:
    """An engine over a real bundle of the given kind, read back from disk; ``KIND/BACKEND``: with that retriever."""
    kind, _, backend = kind.partition("/")
    if backend:
        exact = engine(kind)
        return replace(exact, retriever=make(backend, exact.catalogue.vectors))
    folder = TemporaryDirectory(prefix="tiller-world-")
    _FOLDERS.append(folder)
    return Engine.open(write_world(make_world(**KINDS[kind]), Path(folder.name) / "bundle"))  # type: ignore[arg-type]


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

    def scores(self, query: Query, k: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Steered score of every item [N], and which items may be returned [N]."""
        assert self.c.user_vectors is not None
        assert self.c.user_ids is not None
        x = np.asarray(self.c.user_vectors[self.c.user_ids.index(query.user_id or "")], np.float32)
        q = search_query(x, has_bias=self.c.item_bias is not None, metric=self.c.metric).astype(np.float64)
        base = self.vectors @ q
        allowed = ~np.isin(self.ids, query.exclude)
        for rule in query.rules:
            if rule.action is Action.FILTER:
                allowed &= ~self.members(rule)
        steered = base.copy()
        ranked = np.sort(base[allowed])[::-1]
        for rule in query.rules:
            if rule.action is Action.FILTER or rule.strength == 0 or not len(ranked):
                continue
            gain = self.gain(rule.concept)
            inside = np.sort(base[allowed & (gain >= dose.MEMBER_READOUT)])[::-1]
            if rule.action is Action.PROMOTE:
                amount = 2 * rule.strength * dose.promote_unit(ranked, inside, k)
            else:
                amount = -2 * rule.strength**2 * dose.demote_unit(ranked, inside[0] if len(inside) else None, k)
            if rule.channel is Channel.ITEM:
                steered += amount * (np.where(gain >= 0.1, gain, 0) if amount > 0 else gain)
            else:
                steered += self.moved(rule.concept, amount)
        return steered, allowed

    def moved(self, concept: str, amount: float) -> npt.NDArray[np.float64]:
        """What the query channel adds to every item: the direction's decoded effect, scaled to score units."""
        if concept in self.rows:
            row = self.rows[concept]
            direction, effect = self.c.arrays.direction[row], self.c.arrays.direction_effect[row]
        else:
            latent = int(concept.split(":")[1])
            direction, effect = np.eye(self.c.sae.latents)[latent], self.c.arrays.latent_effect[latent]
        displacement = amount / effect * (direction.astype(np.float64) @ self.c.sae.user.w_dec)
        return self.vectors[:, : self.c.sae.dim] @ displacement
