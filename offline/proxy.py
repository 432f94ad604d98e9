"""Makes the proxies of a scorer network (bundle.proxy), and measures what candidates from them cost in recall.

Users are described by the network's scores of anchor items, which are chosen by a pivoted QR of a sample of the score
matrix: each next anchor is the item that the earlier ones say least about. Every item's scores are then fitted by ridge
regression on those of the anchors, and the fit is cut to its R strongest directions over the sampled users (Yadav et
al. 2022, ANNCUR, arXiv 2210.12579; the choice of anchors and the cut are ours). Half of the sampled users are moved as
rules on the query channel move them, because those are asked too. Legend: S sampled users, N items, A anchors, R
numbers of a proxy, D embedding, L latents.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from bundle import BundleContents, IndexEntry, Proxy, RecallRow
from bundle.errors import DataError
from offline.onnx_scorer import OnnxScorer

Array = npt.NDArray[np.floating[Any]]
Scorer = Callable[[Array, Array], npt.NDArray[np.float32]]
"""(users [B, D], items [n, D]) -> scores [B, n]."""

EXACT_ITEMS = 20_000
"""Up to here every item is scored: 4 to 8 ms a request for an MLP 64-32-16 on one busy core (docs/decisions/011)."""

ANCHORS, RANK = 64, 48
CANDIDATES = (1024, 2048, 4096)
"""How many items the network ranks: the first that passes the gate."""

GATE = 0.95
FITTED, MEASURED = 1024, 100
"""Users that the proxies are fitted on, and others that the recall is measured on."""

FARTHEST = 0.5
"""Of a user's norm: how far the moved users are moved."""

POOL, BLOCK = 2048, 4096
RIDGE = 1e-4
"""Times the mean square of the anchors' scores."""


def make_proxy(items: Array, users: Array, score: Scorer, *, seed: int = 0) -> Proxy:
    """Proxies of ``items`` [N, D] under ``score``, fitted on ``users`` [S, D].

    Raises:
        DataError: too few users to fit on.
    """
    count = min(ANCHORS, len(items))
    if len(users) < 2 * count:
        raise DataError("users to fit the proxies on", found=len(users), expected=f"at least {2 * count}")
    pool = np.sort(np.random.default_rng(seed).permutation(len(items))[: max(count, POOL)])
    seen = score(users, items[pool]).astype(np.float64)
    anchors = pool[_pivots(seen - seen.mean(0), count)].astype(np.int64)

    told = np.column_stack([score(users, items[anchors]), np.ones(len(users))]).astype(np.float64)
    damping = np.sqrt(RIDGE * (told[:, :-1] ** 2).mean() * len(users))
    # Ridge regression as least squares with more rows: the last one, the constant's, is not damped.
    q, r = np.linalg.qr(np.vstack([told, np.diag([damping] * count + [0.0])]))
    fit = np.empty((count + 1, len(items)))
    for start in range(0, len(items), BLOCK):
        fit[:, start : start + BLOCK] = q[: len(users)].T @ score(users, items[start : start + BLOCK])
    strongest = np.linalg.eigh(fit @ fit.T)[1][:, ::-1][:, :RANK]
    return Proxy(
        anchors=anchors,
        projection=np.ascontiguousarray(np.linalg.solve(r, strongest), np.float32),
        vectors=np.ascontiguousarray(fit.T @ strongest, np.float32),
    )


def _pivots(columns: Array, count: int) -> npt.NDArray[np.int64]:
    """The first ``count`` pivots of a QR: each next column is the longest once the earlier ones are projected out."""
    left = columns.copy()
    chosen = np.empty(count, np.int64)
    for place in range(count):
        length = np.einsum("sn,sn->n", left, left)
        length[chosen[:place]] = -1
        chosen[place] = pivot = int(length.argmax())
        unit = left[:, pivot] / max(float(np.sqrt(length[pivot])), 1e-30)
        left -= np.outer(unit, unit @ left)
    return chosen


def proxy_index(contents: BundleContents, *, seed: int = 0) -> tuple[Proxy, IndexEntry] | None:
    """The proxies of contents with a scorer network, and the manifest's entry of a flat index over them.

    Candidates are raised until the recall passes the gate; None where it never does or there are too few users to fit
    and measure on, and then every item must be scored. Asks the stored users, or items where there are none.

    Raises:
        DataError: no scorer network.
    """
    enough = MEASURED + 2 * min(ANCHORS, len(contents.item_vectors))
    if contents.scorer_onnx is not None and len(_askers(contents)) < enough:
        return None
    proxy, measured, rng = _split_and_fit(contents, seed)
    assert contents.scorer_onnx is not None
    items = np.asarray(contents.item_vectors)
    asked = {"unsteered": measured, "query channel": _moved(measured, contents, rng)}
    single = OnnxScorer(contents.scorer_onnx, threads=1)
    for candidates in CANDIDATES:
        entry = IndexEntry(
            kind="flat", params={}, faiss_version=faiss.__version__, seed=seed, gate=GATE,
            asked_as="items" if contents.user_vectors is None else "users", rescored=min(candidates, len(items)),
            recall=tuple(
                _measure(name, items, users, proxy, candidates=candidates, score=single)
                for name, users in asked.items()
            ),
        )  # fmt: skip
        if entry.passed:
            return proxy, entry
    return None


def proxy_of(contents: BundleContents, *, seed: int = 0) -> Proxy:
    """The proxies alone, for an index of another kind that is measured on the served path.

    Raises:
        DataError: too few users, or no scorer network.
    """
    return _split_and_fit(contents, seed)[0]


def _askers(contents: BundleContents) -> Array:
    return np.asarray(contents.item_vectors if contents.user_vectors is None else contents.user_vectors)


def _split_and_fit(contents: BundleContents, seed: int) -> tuple[Proxy, Array, np.random.Generator]:
    """Proxies fitted on some users, and others to measure them on."""
    if contents.scorer_onnx is None:
        raise DataError("proxies", found="a bundle without scorer.onnx", expected="one with a scorer network")
    rng = np.random.default_rng(seed)
    items = np.asarray(contents.item_vectors)
    pool = _askers(contents)
    chosen = pool[rng.permutation(len(pool))[: FITTED + MEASURED]]
    measured, fitted = chosen[:MEASURED], chosen[MEASURED:]
    score = OnnxScorer(contents.scorer_onnx)
    return make_proxy(items, _half_moved(fitted, contents, rng), score, seed=seed), measured, rng


def _measure(name: str, items: Array, users: Array, proxy: Proxy, *, candidates: int, score: Scorer) -> RecallRow:
    """Candidates by proxy, ranked by the network, against the network over every item; one thread."""
    index = faiss.IndexFlatIP(proxy.vectors.shape[1])
    index.add(proxy.vectors)
    recall: dict[int, list[float]] = {10: [], 100: []}
    clocks: tuple[list[float], list[float]] = ([], [])
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        for user in users:
            began = time.perf_counter()
            query = proxy.query(score(user[None], items[proxy.anchors])[0])
            found = index.search(query[None], min(candidates, len(items)))[1][0]
            ranked = found[np.argsort(-score(user[None], items[found])[0], kind="stable")]
            between = time.perf_counter()
            wanted = np.argsort(-score(user[None], items)[0], kind="stable")
            clocks[0].append(between - began)
            clocks[1].append(time.perf_counter() - between)
            for k, hits in recall.items():
                hits.append(float(np.isin(wanted[:k], ranked[:k]).mean()))
    finally:
        faiss.omp_set_num_threads(threads)
    return RecallRow(
        query=name, queries=len(users),
        recall_at_10=round(float(np.mean(recall[10])), 4), recall_at_100=round(float(np.mean(recall[100])), 4),
        milliseconds=round(1e3 * float(np.median(clocks[0])), 3),
        flat_milliseconds=round(1e3 * float(np.median(clocks[1])), 3),
    )  # fmt: skip


def _moved(users: Array, contents: BundleContents, rng: np.random.Generator) -> Array:
    """Every user moved along one latent's decoder row, up or down, by up to FARTHEST of the user's norm."""
    rows = contents.sae.user.w_dec[rng.integers(contents.sae.latents, size=len(users))]
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    far = rng.uniform(-FARTHEST, FARTHEST, (len(users), 1)) * np.linalg.norm(users, axis=1, keepdims=True)
    return np.asarray(users + far * rows, np.float32)


def _half_moved(users: Array, contents: BundleContents, rng: np.random.Generator) -> Array:
    half = len(users) // 2
    return np.vstack([users[:half], _moved(users[half:], contents, rng)])
