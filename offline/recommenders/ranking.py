"""Ranking quality over the full catalogue: no sampled candidates, seen items masked.

For user u with relevant items R_u (test items that are not in u's training items, each once), ranked list r_1..r_k:

    NDCG@k   = sum_{i: r_i in R_u} 1 / log2(i + 1)  /  sum_{i=1}^{min(k, |R_u|)} 1 / log2(i + 1)
    Recall@k = |{r_1..r_k} & R_u| / |R_u|

averaged over the users with at least one relevant item. Ties go to the lower item row. Jarvelin & Kekalainen 2002;
sampled candidates would reorder methods (Krichene & Rendle 2020). Legend: B users of a chunk, N items.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_array
from torch import nn

from bundle import search_vectors
from bundle.errors import DataError
from offline.datasets.types import Embeddings, FloatArray, Interactions
from offline.recommenders.base import NetworkEmbeddings, TrainedRecommender

ScoresFn = Callable[[npt.NDArray[np.intp]], FloatArray]
"""Scores [B, N] of every item for the given users."""

CHUNK_SCORES = 8_000_000
CHUNK_PAIRS = 16_384


def scorer(recommender: Embeddings | TrainedRecommender) -> ScoresFn:
    """The recommender's own score: inner product plus item bias, cosine, or its network's raw logits."""
    embeddings = recommender.scored if isinstance(recommender, TrainedRecommender) else recommender
    if isinstance(embeddings, NetworkEmbeddings):
        tables = embeddings
        return lambda users: network_scores(tables.network, tables.users[users], tables.items)
    items = search_vectors(embeddings.items, None, embeddings.metric)
    bias = embeddings.item_bias

    def scores(users: npt.NDArray[np.intp]) -> FloatArray:
        queries = search_vectors(embeddings.users[users], None, embeddings.metric)
        out: FloatArray = queries @ items.T
        return out if bias is None else out + bias

    return scores


def network_scores(network: nn.Module, users: FloatArray, items: FloatArray) -> FloatArray:
    """Raw logits [B, N] of a scorer for arrays [B, D] and [N, D], in blocks of users that fit the processor's cache."""
    rows = max(1, CHUNK_PAIRS // max(1, len(items)))
    table = torch.from_numpy(np.ascontiguousarray(items))
    with torch.no_grad():
        parts = [network(part, table) for part in torch.split(torch.from_numpy(np.ascontiguousarray(users)), rows)]
    out: FloatArray = torch.cat(parts).numpy()
    return out


def top_items(scores: FloatArray, k: int) -> npt.NDArray[np.intp]:
    """The k best items of each row of ``scores`` [B, N], best first, ties to the lower row: [B, min(k, N)]."""
    k = min(k, scores.shape[1])
    kth = np.partition(scores, scores.shape[1] - k, axis=1)[:, scores.shape[1] - k, None]
    chosen = scores >= kth
    # Of the items that tie with the k-th, the first ones; argpartition would pick any.
    tied = np.flatnonzero(chosen.sum(1) > k)
    if len(tied):
        above = scores[tied] > kth[tied]
        ties = chosen[tied] & ~above
        room = k - above.sum(1, keepdims=True)
        chosen[tied] = above | (ties & (np.cumsum(ties, axis=1) <= room))
    items = np.nonzero(chosen)[1].reshape(len(scores), k)
    order = np.argsort(-np.take_along_axis(scores, items, 1), axis=1, kind="stable")
    return np.take_along_axis(items, order, 1)


def evaluate_ranking(
    scores: ScoresFn | Embeddings | TrainedRecommender, train: Interactions, test: Interactions, k: int = 10
) -> dict[str, float]:
    """``{"ndcg@k": ..., "recall@k": ...}`` of a full ranking with the training items masked.

    Raises:
        DataError: no user has a test item outside their training items.
    """
    score = scorer(scores) if isinstance(scores, Embeddings | TrainedRecommender) else scores
    ndcg: list[npt.NDArray[np.float64]] = []
    recall: list[npt.NDArray[np.float64]] = []
    n_users = 1 + max((int(part.user.max()) for part in (train, test) if len(part)), default=-1)
    candidates = np.unique(test.user).astype(np.intp)
    if not len(candidates):
        raise DataError("ranking: test interactions", found="none", expected="at least one")
    n_items = score(candidates[:1]).shape[1]
    seen, relevant = _incidence(train, n_users, n_items), _incidence(test, n_users, n_items)
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discount)])
    step = max(1, CHUNK_SCORES // n_items)
    for start in range(0, len(candidates), step):
        users = candidates[start : start + step]
        masked = seen[users].toarray() > 0
        wanted = (relevant[users].toarray() > 0) & ~masked
        counts = wanted.sum(1)
        table = np.where(masked, np.float32(-np.inf), score(users))
        best = top_items(table, k)
        # A user who has seen nearly everything gets fewer than k: masked items never count, `wanted` excludes them.
        hits = np.take_along_axis(wanted, best, 1)
        some = counts > 0
        ndcg.append(((hits @ discount[: hits.shape[1]])[some]) / ideal[np.minimum(counts[some], k)])
        recall.append(hits.sum(1)[some] / counts[some])
    users_scored = sum(len(part) for part in ndcg)
    if not users_scored:
        raise DataError(
            "ranking: test interactions",
            found="only items that their user has in training",
            expected="at least one new item",
        )
    return {
        f"ndcg@{k}": float(np.concatenate(ndcg).mean()),
        f"recall@{k}": float(np.concatenate(recall).mean()),
    }


def _incidence(interactions: Interactions, n_users: int, n_items: int) -> csr_array:
    values = np.ones(len(interactions), np.int32)
    return csr_array((values, (interactions.user, interactions.item)), shape=(n_users, n_items))
