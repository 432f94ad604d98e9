"""Top-k search: FAISS adapters behind a small protocol, and the exact merge of soft item rules."""

from server.retrieval.approximate import ApproximateRetriever
from server.retrieval.dense import dense_search, prefers_dense
from server.retrieval.flat import FlatRetriever
from server.retrieval.load import make_retriever, open_retriever, read_index
from server.retrieval.merge import Gain, Posting, steered_search
from server.retrieval.network import Network, NetworkRetriever, ProxyRetriever, best_allowed
from server.retrieval.protocol import Retriever
from server.retrieval.searchers import HnswSearcher, IvfSearcher, Searcher

__all__ = [
    "ApproximateRetriever",
    "FlatRetriever",
    "Gain",
    "HnswSearcher",
    "IvfSearcher",
    "Network",
    "NetworkRetriever",
    "Posting",
    "ProxyRetriever",
    "Retriever",
    "Searcher",
    "best_allowed",
    "dense_search",
    "make_retriever",
    "open_retriever",
    "prefers_dense",
    "read_index",
    "steered_search",
]
