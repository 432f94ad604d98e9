"""What a request asks of the scorer; several of them asked in one go. Legend: D embedding, N items."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bundle import search_query
from server.asked import lists_of_each
from server.catalogue import Catalogue
from server.encoder import Encoder
from server.ready import Ready
from server.retrieval import FlatRetriever, Retriever
from server.types import FloatArray, Query, Ranking


@dataclass(slots=True)
class Question:
    """A valid request's user, and what is known of the answer.

    ``x`` [D]: the embedding, unit length for cosine. ``query`` [D']: the same as an index is asked. ``history``: rows
    of the items it was made of. ``ready``: the plan that it will be answered by. ``scores`` [N]: of every item, and
    ``listed``: the best ``k`` of what a plain request lets through; each only where it was made together with others'.
    """

    x: FloatArray
    query: FloatArray
    history: list[int]
    ready: Ready
    scores: FloatArray | None = None
    listed: Ranking | None = None


def question_of(query: Query, ready: Ready, catalogue: Catalogue, encoder: Encoder) -> Question:
    """The user of a valid request."""
    history: list[int] = []
    if query.vector is not None:
        x = query.vector
    elif query.user_id is not None:
        x = catalogue.user_vector(query.user_id)
    elif query.history is not None:
        history = [row for row in map(catalogue.item_rows.get, query.history) if row is not None]
        x = encoder.user(history)
    else:
        x = np.ascontiguousarray(query.embedding, np.float32)
    manifest = catalogue.bundle.manifest
    asked = search_query(x, has_bias=manifest.item_bias, metric=manifest.metric)
    return Question(asked if manifest.metric == "cosine" else x, asked, history, ready)


def most_together(retriever: Retriever) -> int:
    """Questions that are scored in less time together than one after the other; 1: none."""
    return retriever.most_together if isinstance(retriever, FlatRetriever) else 1


def ask_together(retriever: FlatRetriever, asked: Sequence[tuple[Query, Question]]) -> float:
    """Give several questions what they have in less time together: a reading of the vectors, or a call of the index.

    Returns:
        Seconds that it took for each of them.
    """
    began = time.perf_counter()
    if retriever.most_together > 1:
        _score([question for _, question in asked], retriever)
    else:
        _list([(query, question) for query, question in asked if query.is_plain and not question.ready.soft], retriever)
    return (time.perf_counter() - began) / max(1, len(asked))


def _score(questions: Sequence[Question], retriever: FlatRetriever) -> None:
    most = retriever.most_together
    for first in range(0, len(questions), most):
        group = questions[first : first + most]
        if len(group) > 1:  # one that is left over gains nothing
            for question, scores in zip(group, retriever.scores_of_each([one.query for one in group]), strict=True):
                question.scores = scores


def _list(plain: Sequence[tuple[Query, Question]], retriever: FlatRetriever) -> None:
    lists = lists_of_each(
        retriever,
        [question.query for _, question in plain],
        [query.k for query, _ in plain],
        [question.ready.allowed(None) for _, question in plain],
    )
    for (_, question), listed in zip(plain, lists, strict=True):
        question.listed = listed
