"""How much of what an SAE finds survives another seed or a retrained recommender (EVALUATION: stability).

Two runs are compared through their item codes alone (offline.align.match). A concept's *best latent* is the one of
purest twenty strongest items in the first run; it survives at quality q when its match in the second run correlates
with it by q or more on items that the match was not chosen on, and it *stays pure* when the match's own twenty are at
least nine tenths as pure. Chance is the same comparison with the second run's items shuffled.

A concept, which is a *read-out* of all latents and what policies name, survives when both runs find it on items their
read-outs were not fitted on, well enough to be offered; how alike the two read the items is their correlation.

Legend: N items, L latents, C concepts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bundle import SparseCodes
from offline.align.match import NOBODY, Common, LatentMatch, match_latents
from offline.label import Candidate, Features, LabelConfig, purity_table, top_items
from offline.label.halves import HeldOut, chance_deviation, cross_fit, stratified_halves

QUALITIES = (0.5, 0.7, 0.9)
DEPTH = 20
"""K of the purity that chooses a concept's best latent."""

AS_PURE = 0.9

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BestLatent:
    """One concept's best latent in the first run, and what became of it."""

    concept: str
    family: str
    latent: int
    to: int
    held_out: float
    purity: float
    purity_after: float

    @property
    def stays_pure(self) -> bool:
        """Whether the match is as pure as AS_PURE asks."""
        return self.to != NOBODY and self.purity_after >= AS_PURE * self.purity


@dataclass(frozen=True)
class Stability:
    """A comparison of two runs. ``match``, ``alive`` [L]: of the first run's latents; ``best``: one per concept."""

    match: LatentMatch
    alive: BoolArray
    best: tuple[BestLatent, ...]

    def latents_at(self, quality: float) -> float:
        """Share of the first run's live latents that survive at a quality."""
        return float((self.match.held_out[self.alive] >= quality).mean()) if self.alive.any() else 0.0

    def concepts_at(self, quality: float, family: str | None = None) -> float:
        """Share of the concepts (of one family) whose best latent survives at a quality; NaN without any."""
        rows = self.of(family)
        return float(np.mean([row.held_out >= quality for row in rows])) if rows else float("nan")

    def stay_pure(self, family: str | None = None) -> float:
        """Share of the concepts (of one family) whose best latent's match is as pure; NaN without any."""
        rows = self.of(family)
        return float(np.mean([row.stays_pure for row in rows])) if rows else float("nan")

    def of(self, family: str | None) -> list[BestLatent]:
        """The concepts of one family, or all."""
        return [row for row in self.best if family in {None, row.family}]


def compare(
    first: SparseCodes, second: SparseCodes, concepts: Sequence[Candidate], *, seed: int = 0, shuffle: bool = False
) -> Stability:
    """Compare two runs over the same items [N] in the same order; ``shuffle``: what chance gives."""
    rows = np.arange(len(first))
    common = Common(rows, np.random.default_rng(seed).permutation(len(first)) if shuffle else rows)
    match = match_latents(first, second, common, seed=seed)
    alive = np.bincount(first.indices, minlength=first.latents) > 0
    return Stability(match, alive, _best(first, second, common, concepts, match))


@dataclass(frozen=True)
class ReadoutPair:
    """One concept read out of two runs: held-out AUC in each, and the correlation of their held-out log-odds."""

    concept: str
    family: str
    auc: tuple[float, float]
    needed: float
    correlation: float

    @property
    def survives(self) -> bool:
        """Whether the concept is found well enough in both."""
        return min(self.auc) >= self.needed


def read_out(codes: SparseCodes, concepts: Sequence[Candidate], config: LabelConfig) -> list[HeldOut]:
    """The logistic read-out of every concept, each item by a model that has not seen it; the halves are the seed's."""
    features = Features.of(codes, np.ones((len(codes), 1), np.float32))  # the probe is not asked
    found = []
    for concept in concepts:
        rng = np.random.default_rng([config.seed, *concept.id.encode()])
        halves = stratified_halves(concept.members, np.arange(len(codes)), rng)
        found.append(cross_fit("logistic", features, concept.members, halves, config))
    return found


def compare_readouts(
    first: Sequence[HeldOut], second: Sequence[HeldOut], concepts: Sequence[Candidate], config: LabelConfig
) -> tuple[ReadoutPair, ...]:
    """Two runs' ``read_out`` of the same concepts over the same items."""
    return tuple(
        ReadoutPair(
            concept=concept.id,
            family=concept.family,
            auc=(one.auc, other.auc),
            needed=auc_needed(concept.members, config),
            correlation=float(np.corrcoef(_log_odds(one.scores), _log_odds(other.scores))[0, 1]),
        )
        for concept, one, other in zip(concepts, first, second, strict=True)
    )


def auc_needed(members: BoolArray, config: LabelConfig) -> float:
    """What labelling asks of a concept of so many members (offline.label)."""
    chance = config.chance_deviations * chance_deviation(int(members.sum()), len(members))
    return max(config.min_auc, min(0.5 + chance, 0.95))


def _log_odds(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    safe = np.clip(scores, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(safe / (1 - safe)), np.float64)


def _best(
    first: SparseCodes, second: SparseCodes, common: Common, concepts: Sequence[Candidate], match: LatentMatch
) -> tuple[BestLatent, ...]:
    if not concepts:
        return ()
    members = np.array([concept.members for concept in concepts])
    seen_from_second = np.zeros_like(members)
    seen_from_second[:, common.new] = members[:, common.old]
    before = purity_table(members, top_items(first, DEPTH), (DEPTH,))[0]
    after = purity_table(seen_from_second, top_items(second, DEPTH), (DEPTH,))[0]
    found = []
    for row, concept in enumerate(concepts):
        latent = int(np.argmax(before[row]))
        to = int(match.to[latent])
        found.append(
            BestLatent(
                concept=concept.id,
                family=concept.family,
                latent=latent,
                to=to,
                held_out=float(match.held_out[latent]),
                purity=float(before[row, latent]),
                purity_after=float(after[row, to]) if to != NOBODY else 0.0,
            )
        )
    return tuple(found)
