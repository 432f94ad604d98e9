"""One embedding put to one bundle's scorer: everything the engine may want to know about it, whatever scores.

``FlatAsked`` and ``NetworkAsked``: inner products or a scorer network over every item, scored once per request and read
off. ``MetricAsked``: inner products through an approximate index. ``ProxyAsked``: a scorer network over candidates.
Legend: D embedding, D' search dimension, N items, P posting list of a promotion.
"""

from server.asked.ask import ask, prepare
from server.asked.flat import LISTED, FlatAsked, lists_of_each
from server.asked.network import ByDifferences
from server.asked.protocol import Asked, ScoreArray

__all__ = ["LISTED", "Asked", "ByDifferences", "FlatAsked", "ScoreArray", "ask", "lists_of_each", "prepare"]
