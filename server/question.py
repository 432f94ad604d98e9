"""Who a request is about, as a scorer is asked; several of them scored in one go. Legend: D embedding, N items."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bundle import search_query
from server.catalogue import Catalogue
from server.encoder import Encoder
from server.retrieval import FlatRetriever, Retriever
from server.types import FloatArray, Query

TOGETHER_BYTES = 4 * 2**20
"""Of vectors, from which on reading them once for several questions saves more than a look through the scores takes."""

SCORES_BYTES = 16 * 2**20
"""Of scores that are held at a time for questions that are scored in one go: of a million items, four questions'."""

MOST = 8
"""Questions scored in one go: with more, the first would wait longer and the last gain little (docs/decisions/027)."""


@dataclass(frozen=True, slots=True)
class Question:
    """A valid request's user.

    ``x`` [D]: the embedding, unit length for cosine. ``query`` [D']: the same as an index is asked. ``history``: rows
    of the items it was made of. ``scores`` [N]: of every item, where they were made together with other questions';
    ``seconds``: this question's part of the time that took.
    """

    x: FloatArray
    query: FloatArray
    history: list[int]
    scores: FloatArray | None = None
    seconds: float = 0.0


def question_of(query: Query, catalogue: Catalogue, encoder: Encoder) -> Question:
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
    return Question(asked if manifest.metric == "cosine" else x, asked, history)


def most_together(retriever: Retriever) -> int:
    """Questions that a retriever scores in less time together than one after the other; 1: none."""
    if not isinstance(retriever, FlatRetriever) or retriever.size_bytes < TOGETHER_BYTES:
        return 1
    return max(1, min(MOST, SCORES_BYTES // (4 * len(retriever))))


def scored_together(retriever: Retriever, questions: Sequence[Question | None]) -> list[Question | None]:
    """The questions with the scores of every item, where the vectors had better be read once for all of them."""
    asked = [place for place, question in enumerate(questions) if question is not None]
    made = list(questions)
    most = most_together(retriever)
    if most == 1 or not isinstance(retriever, FlatRetriever):
        return made
    for first in range(0, len(asked), most):
        places = asked[first : first + most]
        if len(places) == 1:
            break
        began = time.perf_counter()
        chosen = [question for place in places if (question := questions[place]) is not None]
        scores = retriever.scores_of_each([question.query for question in chosen])
        each = (time.perf_counter() - began) / len(places)
        for place, question, row in zip(places, chosen, scores, strict=True):
            made[place] = replace(question, scores=row, seconds=each)
    return made
