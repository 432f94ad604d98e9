"""A masked list comes from the index's own or is read off all scores: the same list, whichever is cheaper."""

from __future__ import annotations

import numpy as np
import pytest

from server.asked import FlatAsked, ask
from server.retrieval import FlatRetriever, Scored
from tests.server.retrieval.backends import make

ITEMS = 20_000


@pytest.mark.parametrize("dim", [3, 16])
@pytest.mark.parametrize("levels", [2, 0])
@pytest.mark.parametrize("n", [1, 10, 31, 32, 500])
def test_a_masked_list_is_the_head_of_the_allowed(dim: int, levels: int, n: int) -> None:
    """Ties to the lower row; the mask hits the best items, few, half or nearly all."""
    rng = np.random.default_rng(dim)
    vectors = rng.normal(size=(ITEMS, dim)).astype(np.float32)
    if levels:
        vectors = rng.integers(0, levels, (ITEMS, dim)).astype(np.float32)
    retriever = make("flat", vectors)
    assert isinstance(retriever, FlatRetriever)
    query = np.ones(dim, np.float32)
    order = np.lexsort((np.arange(ITEMS), -retriever.scores(query)))
    masks = [order[:0], order[:3], order[:200], order[5:400], order[::2], order[:9_000], order[:-7], order[40:]]
    for forbidden in masks:
        passes = np.ones(ITEMS, np.bool_)
        passes[forbidden] = False
        allowed = ~np.packbits(~passes, bitorder="little")  # the bits behind the last item are set, as the engine's are
        expected = Scored(retriever.scores(query)).search(n, allowed)
        found = ask(retriever, query, query, vectors).search(n, allowed)
        assert found.items.tobytes() == expected.items.tobytes()
        assert found.scores.tobytes() == expected.scores.tobytes()


def test_a_short_mask_does_not_score_the_catalogue() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(ITEMS, 16)).astype(np.float32)
    asked = ask(make("flat", vectors), vectors[0], vectors[0], vectors)
    assert isinstance(asked, FlatAsked)
    allowed = np.packbits(np.arange(ITEMS) % 3 > 0, bitorder="little")
    assert len(asked.search(10, allowed).items) == 10
    assert "scored" not in vars(asked)
    asked.search(10, ~allowed)  # a third of the catalogue passes
    assert "scored" in vars(asked)
