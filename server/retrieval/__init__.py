"""Top-k search: a FAISS adapter behind a small protocol, and the exact merge of soft item rules."""

from server.retrieval.flat import FlatRetriever
from server.retrieval.merge import Gain, Posting, steered_search
from server.retrieval.protocol import Retriever

__all__ = ["FlatRetriever", "Gain", "Posting", "Retriever", "steered_search"]
