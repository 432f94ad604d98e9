"""A small typed client of a Tiller server.

Open ``TillerClient("127.0.0.1:50051")`` in a ``with`` block and ask
``tiller.recommend(user_id="u7", k=10, rules=[promote("genre:western", 0.8), filter_out("genre:horror")])``;
docs/api.md has the whole of it.
"""

from client.answers import (
    Concept,
    ConceptItem,
    Contribution,
    CustomConcept,
    Explanation,
    HistoryUse,
    Item,
    ItemConcept,
    Purity,
    Quality,
    Recommendation,
    RuleOutcome,
    Shortfall,
)
from client.client import TillerClient
from client.errors import FieldViolation, TillerRpcError
from client.rules import Rule, demote, filter_out, promote
from client.security import Security

__all__ = [
    "Concept",
    "ConceptItem",
    "Contribution",
    "CustomConcept",
    "Explanation",
    "FieldViolation",
    "HistoryUse",
    "Item",
    "ItemConcept",
    "Purity",
    "Quality",
    "Recommendation",
    "Rule",
    "RuleOutcome",
    "Security",
    "Shortfall",
    "TillerClient",
    "TillerRpcError",
    "demote",
    "filter_out",
    "promote",
]
