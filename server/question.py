"""Who a request is about, as a scorer is asked; several of them scored in one go. Legend: D embedding, N items."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bundle import search_query
from server.catalogue import Catalogue
from server.encoder import Encoder
from server.retrieval import FlatRetriever, Retriever
from server.types import FloatArray, Query


@dataclass(frozen=True, slots=True)
class Question:
    """A valid request's user.

    ``x`` [D]: the embedding, unit length for cosine. ``query`` [D']: the same as an index is asked. ``history``: rows
    of the items it was made of. ``scores`` [N]: of every item, where they were made together with other questions'.
    ``seconds``: what making it took, its part of a scan that others share included, by stage.
    """

    x: FloatArray
    query: FloatArray
    history: list[int]
    scores: FloatArray | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


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
    """Questions that are scored in less time together than one after the other; 1: none."""
    return retriever.most_together if isinstance(retriever, FlatRetriever) else 1


def scored_together(retriever: Retriever, questions: Sequence[Question | None]) -> list[Question | None]:
    """The questions with the scores of every item, where the vectors had better be read once for several of them."""
    made = list(questions)
    if not isinstance(retriever, FlatRetriever):
        return made
    asked = [(place, question) for place, question in enumerate(questions) if question is not None]
    most = retriever.most_together
    for first in range(0, len(asked), most):
        group = asked[first : first + most]
        if len(group) == 1:
            continue
        began = time.perf_counter()
        scores = retriever.scores_of_each([question.query for _, question in group])
        each = (time.perf_counter() - began) / len(group)
        for (place, question), row in zip(group, scores, strict=True):
            made[place] = replace(question, scores=row, seconds={**question.seconds, "search": each})
    return made
