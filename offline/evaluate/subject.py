"""What is evaluated: a recommender, its SAE and the concepts, as they will be written into the bundle.

Legend: N items, U users, D embedding, L latents, C offered concepts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bundle import Calibration, Concept, ConceptArrays, ConceptFile, SaeWeights, SparseCodes, search_vectors
from bundle.errors import TrainingError
from offline.datasets.types import Embeddings
from offline.evaluate.panel import BoolArray, FloatArray
from offline.recommenders.base import NetworkEmbeddings
from offline.recommenders.ranking import network_scores

HeldOutScores = Callable[[Concept, BoolArray], Mapping[str, npt.NDArray[np.floating]]]
"""Read-outs of one concept by kind (``logistic``, ``logistic_32``, ``probe``), every item [N] scored by a model fitted
on the other half of the items; ``offline.heldout`` makes them. The second argument is the label [N]."""

POSTING_FLOOR = 0.1
"""Read-outs below it add nothing to a promotion: the server's rule (its own POSTING_FLOOR; a test compares)."""


@dataclass(frozen=True)
class Subject:
    """Arrays of one recommender; rows of ``codes`` and of the concept arrays' columns are the rows of the items."""

    embeddings: Embeddings
    weights: SaeWeights
    codes: SparseCodes
    concepts: ConceptFile
    arrays: ConceptArrays
    calibration: Calibration = field(default_factory=Calibration)

    def __post_init__(self) -> None:
        items = len(self.embeddings.items)
        if len(self.codes) != items or self.arrays.gains.shape[1] != items:
            raise TrainingError(
                "evaluation",
                found=f"{items} items, {len(self.codes)} codes, gains for {self.arrays.gains.shape[1]}",
                expected="one of each per item",
            )
        self.arrays.check(len(self.offered), items, self.weights.latents)

    @property
    def offered(self) -> list[Concept]:
        """The concepts a rule can name, in the order of their rows."""
        return sorted((c for c in self.concepts.concepts if c.row is not None), key=lambda c: c.row or 0)

    def labels(self, concept: Concept) -> BoolArray:
        """Items that carry the label, bool [N]: the truth that shares are counted by."""
        bits = self.arrays.label_bits[concept.row]
        return np.unpackbits(bits, count=len(self.embeddings.items), bitorder="little").astype(np.bool_)

    @cached_property
    def item_vectors(self) -> FloatArray:
        """Item vectors as a query meets them, without the bias, [N, D]."""
        return search_vectors(self.embeddings.items, None, self.embeddings.metric)

    @cached_property
    def latent_scale(self) -> FloatArray:
        """90th percentile of each latent's activations over the items that activate it, [L]."""
        return self.codes.latent_scale()

    def queries(self, users: npt.NDArray[np.intp]) -> FloatArray:
        """User vectors as the server holds them (unit length for cosine), [U, D]."""
        return search_vectors(self.embeddings.users[users], None, self.embeddings.metric)

    @property
    def is_network(self) -> bool:
        """Whether a network scores in place of the embeddings' own metric: no score is then linear in the user."""
        return isinstance(self.embeddings, NetworkEmbeddings)

    def scores(self, queries: FloatArray) -> FloatArray:
        """Scores [U, N] of every item for ``queries`` [U, D], which may lie anywhere; nothing masked."""
        if isinstance(self.embeddings, NetworkEmbeddings):
            return network_scores(self.embeddings.network, queries, self.embeddings.items)
        out: FloatArray = queries @ self.item_vectors.T
        return out if self.embeddings.item_bias is None else out + self.embeddings.item_bias

    def latent_gain(self, latent: int) -> FloatArray:
        """What the server adds per item when a rule names ``latent:J``: activation / scale, at most 1, [N]."""
        gain = np.zeros(len(self.codes), np.float32)
        items, values = self.codes.posting(latent)
        gain[items] = np.clip(values / self.latent_scale[latent], 0, 1)
        return gain
