"""Top-k search: FAISS adapters behind a small protocol, and the exact merge of soft item rules."""

from server.retrieval.approximate import ApproximateRetriever
from server.retrieval.flat import MOST_TOGETHER, FlatRetriever
from server.retrieval.gains import Gain, Posting, Shield, best_of, places_of_best, total_gain
from server.retrieval.load import make_retriever, open_retriever, read_index
from server.retrieval.merge import prefers_dense, steered_search
from server.retrieval.network import Network, NetworkRetriever, ProxyRetriever
from server.retrieval.protocol import Retriever
from server.retrieval.scored import Listed, Scored
from server.retrieval.searchers import HnswSearcher, IvfSearcher, Searcher

__all__ = [
    "MOST_TOGETHER",
    "ApproximateRetriever",
    "FlatRetriever",
    "Gain",
    "HnswSearcher",
    "IvfSearcher",
    "Listed",
    "Network",
    "NetworkRetriever",
    "Posting",
    "ProxyRetriever",
    "Retriever",
    "Scored",
    "Searcher",
    "Shield",
    "best_of",
    "make_retriever",
    "open_retriever",
    "places_of_best",
    "prefers_dense",
    "read_index",
    "steered_search",
    "total_gain",
]
