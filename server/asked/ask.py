"""The Asked of whatever a bundle is searched by."""

from __future__ import annotations

from server.asked.flat import FlatAsked
from server.asked.metric import MetricAsked
from server.asked.network import NetworkAsked, ProxyAsked
from server.asked.protocol import Asked
from server.columns import Columns
from server.retrieval import FlatRetriever, NetworkRetriever, ProxyRetriever, Retriever, Scored
from server.steerable import Steerable
from server.types import FloatArray


def ask(
    retriever: Retriever,
    x: FloatArray,
    query: FloatArray,
    vectors: FloatArray,
    *,
    unit: bool = False,
    rules: bool = False,
    listed: bool = False,
    columns: Columns | None = None,
    scores: FloatArray | None = None,
) -> Asked:
    """Put an embedding ``x`` [D], ``query`` [D'] as an index is asked, to whatever ``retriever`` searches.

    Args:
        retriever: the bundle's.
        x: what a network reads.
        query: what an index reads.
        vectors: the items' search vectors [N, D'].
        unit: they are unit vectors, because the metric is cosine.
        rules: more will be asked than one list, so that every item had better be scored at once.
        listed: of that the index's list of the best will answer most, as it does for one rule and a short answer.
        columns: the concepts' read-outs by item, for what is read off the scores.
        scores: of every item, [N], where an exact index has given them already.
    """
    if isinstance(retriever, NetworkRetriever):
        return NetworkAsked(retriever, x, columns)
    if isinstance(retriever, ProxyRetriever):
        return ProxyAsked(retriever, x)
    if isinstance(retriever, FlatRetriever):
        scored = None if scores is None else Scored(scores, columns)
        return FlatAsked(
            retriever, query, vectors, unit=unit, rules=rules, listed=listed, columns=columns, scored=scored
        )
    return MetricAsked(retriever, query, vectors, unit=unit)


def prepare(retriever: Retriever, steerable: Steerable) -> None:
    """Make what the first request that steers by it would wait for, and nothing else: all of it stays in memory."""
    if retriever.exact:
        steerable.members_by_readout  # noqa: B018 - each of these fills a cache
    elif isinstance(retriever, ProxyRetriever):
        steerable.posting_gain  # noqa: B018 - of the network's items no vectors are read
    else:
        steerable.posting_vectors  # noqa: B018
