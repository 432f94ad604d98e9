"""Items moved toward the audience of a concept: their codes are edited and decoded with their residual.

The audience are the users who score the concept's members highest over an average item, a tenth of a sample of the
bundle's users; its *mean user* stands for it. An item's code moves along what the members' codes have over the
catalogue's, decoded by the item tower (the reconstruction error stays in, as for a user's edit):

    v' = v + s b d      d = (mean z of the members - mean z) @ W_dec, b: where the mean user scores v' as his s(10)

so that at strength s = 1 the mean user of the audience has the item in his ten best, at 0.5 it is half of the way
there, and who is not of the audience sees it rise as far as he shares that taste. Where b is 0 it is there already.
Legend: N items, E items of the rule, L latents, D embedding, U users.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bundle import search_query
from server.asked import Asked, ScoreArray, ask
from server.catalogue import Catalogue
from server.overlaid import Push
from server.retrieval import Retriever
from server.steerable import Steerable
from server.subject import Toward
from server.types import FloatArray, IntArray
from server.weak import weakly

USERS, ITEMS = 512, 256
"""Users, members and other items that an audience is looked for among, at most."""

AUDIENCE = 0.1
"""Part of the users that are a concept's audience."""

RANK = 10
"""Place in the mean user's list that strength 1 brings an item to."""

FAR, STEPS = 64.0, 40
"""How far an item may move, in the catalogue's mean length of an embedding; bisections of the way."""

CHUNK = 65_536
"""Items scored at once."""

ROUNDING = 1e-5
KEPT = 64


@dataclass(frozen=True, eq=False)
class Audience:
    """A concept's audience. ``user`` [D]: its mean user; ``asked``: what that user asks.

    ``goal``: the score that strength 1 brings an item to; ``toward`` [D]: where an item's embedding moves, as long as
    the mean one.
    """

    user: FloatArray
    asked: Asked
    goal: float
    toward: FloatArray


class Pusher:
    """Moves the items of one bundle as its recommender scores them; what was asked for last is kept."""

    def __init__(self, catalogue: Catalogue, retriever: Retriever) -> None:
        self.retriever = retriever
        self._catalogue = catalogue
        self._push = lru_cache(maxsize=KEPT)(weakly(self._make_push))
        self._audience = lru_cache(maxsize=KEPT)(weakly(self._make_audience))

    def push(self, subject: Toward, audience: Steerable) -> Push:
        """The move of strength 1 of a subject that the catalogue offers; ``audience``: the concept that it names."""
        return self._push(subject, audience)

    def _make_push(self, subject: Toward, concept: Steerable) -> Push:
        rows = self._catalogue.subjects.known(subject.item_ids)
        audience = self._audience(concept)
        unit = np.tile(audience.toward, (len(rows), 1))
        deltas = (_reach(audience, rows, unit)[:, None] * unit).astype(np.float32)
        found = audience.asked.elsewhere(rows, deltas)
        short = int((found < audience.goal - ROUNDING * np.abs(found)).sum())
        return Push(rows, deltas, len(self._catalogue.item_ids), short)

    def _make_audience(self, concept: Steerable) -> Audience:
        contents = self._catalogue.bundle.contents
        assert contents.user_vectors is not None, "the catalogue offers no item toward an audience without users"
        inside = np.unpackbits(concept.members(), count=len(concept.gain), bitorder="little").astype(np.bool_)
        rng = np.random.default_rng(0)
        members = _sample(rng, np.flatnonzero(inside), ITEMS)
        others = _sample(rng, np.arange(len(inside)), ITEMS)
        users = _sample(rng, np.arange(len(contents.user_vectors)), USERS)
        x = np.asarray(contents.user_vectors[users], np.float32)
        rows, weight = _contrast(members, others)
        taste = np.array([asked.scores(rows) @ weight for asked in map(self._ask, x)])
        best = np.argsort(-taste, kind="stable")[: max(1, round(AUDIENCE * len(users)))]
        user = _mean_user(x[best], unit=contents.metric == "cosine")
        asked = self._ask(user)
        goal = float(asked.search(RANK, None).scores[-1]) if self.retriever.exact else _tenth(asked, len(inside))
        return Audience(user, asked, goal, self._direction(inside))

    def _direction(self, inside: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> FloatArray:
        """Decoded difference of the members' mean code to the catalogue's, as long as the mean embedding, [D]."""
        subjects = self._catalogue.subjects
        axis = subjects.mean_code(np.flatnonzero(inside)) - subjects.mean
        move = axis @ self._catalogue.bundle.contents.sae.item.w_dec.astype(np.float64)
        contents = self._catalogue.bundle.contents
        length = 1.0 if contents.metric == "cosine" else float(np.linalg.norm(contents.item_vectors, axis=1).mean())
        return np.asarray(move * (length / max(float(np.linalg.norm(move)), 1e-12)), np.float32)

    def _ask(self, x: FloatArray) -> Asked:
        manifest = self._catalogue.bundle.manifest
        query = search_query(x, has_bias=manifest.item_bias, metric=manifest.metric)
        cosine = manifest.metric == "cosine"
        return ask(self.retriever, query if cosine else x, query, self._catalogue.vectors, unit=cosine)


def _reach(audience: Audience, rows: IntArray, unit: FloatArray) -> ScoreArray:
    """How far each item has to move, [E]: the first place on the way at which its score is the goal; 0: it is there.

    Where it never is, as far as its score still rises, looked for in doublings.
    """

    def at(far: ScoreArray) -> ScoreArray:
        return audience.asked.elsewhere(rows, (far[:, None] * unit).astype(np.float32))

    none = np.zeros(len(rows))
    start = at(none)
    done = start >= audience.goal
    best, best_score = none.copy(), start.copy()
    low, high = none.copy(), np.full(len(rows), np.inf)
    far = np.full(len(rows), 1 / FAR)
    while far[0] <= FAR:
        score = at(far)
        first = (score >= audience.goal) & ~np.isfinite(high)
        high[first] = far[first]
        rises = (score > best_score) & ~np.isfinite(high)
        best[rises], best_score[rises] = far[rises], score[rises]
        low = np.where(np.isfinite(high), low, far)
        far = 2 * far
    reached = np.isfinite(high) & ~done
    top = np.where(reached, high, 1.0)
    for _ in range(STEPS):
        middle = (low + top) / 2
        past = at(middle) >= audience.goal
        top, low = np.where(reached & past, middle, top), np.where(reached & ~past, middle, low)
    return np.where(done, 0.0, np.where(reached, top, best))


def _contrast(members: IntArray, others: IntArray) -> tuple[IntArray, ScoreArray]:
    """Rows, and what their scores are summed with: the members' mean less that of the others."""
    weight = np.concatenate([np.full(len(members), 1 / len(members)), np.full(len(others), -1 / len(others))])
    return np.concatenate([members, others]), weight


def _tenth(asked: Asked, items: int) -> float:
    """The score of the RANK-th best item, exactly: an approximate index would move items less far than an exact one."""
    best = np.empty(0)
    for start in range(0, items, CHUNK):
        scores = asked.scores(np.arange(start, min(start + CHUNK, items)))
        best = np.sort(np.concatenate([best, scores]))[::-1][:RANK]
    return float(best[-1])


def _mean_user(x: FloatArray, *, unit: bool) -> FloatArray:
    if unit:
        x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return np.asarray(x.mean(0), np.float32)


def _sample(rng: np.random.Generator, rows: IntArray, most: int) -> IntArray:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))
