"""Names concepts: metadata to families, read-outs of the item codes, measured on items they were not fitted on.

Legend: N items, L latents, D embedding, C concepts. docs/concepts.md explains, docs/decisions/004 gives the figures.
"""

from offline.label.audience import Audience
from offline.label.build import LabelResult, label_concepts
from offline.label.candidates import Candidate, Candidates, find_candidates
from offline.label.config import KINDS, ON_CODES, LabelConfig, ReadoutKind
from offline.label.purity import measure_purity, purity_table, top_items
from offline.label.readouts import Features, Readout, fit

__all__ = [
    "KINDS",
    "ON_CODES",
    "Audience",
    "Candidate",
    "Candidates",
    "Features",
    "LabelConfig",
    "LabelResult",
    "Readout",
    "ReadoutKind",
    "find_candidates",
    "fit",
    "label_concepts",
    "measure_purity",
    "purity_table",
    "top_items",
]
