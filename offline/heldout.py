"""Read-outs in which no item is scored by a model that has seen it, for the comparison of ways to steer.

offline.label fits them while it measures a concept and offline.evaluate steers with them; the two do not import each
other and meet here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from bundle import Concept, SaeWeights, SparseCodes
from offline.evaluate.panel import BoolArray, FloatArray
from offline.evaluate.subject import HeldOutScores
from offline.label.audience import Audience
from offline.label.config import KINDS, LabelConfig, ReadoutKind
from offline.label.halves import cross_fit, stratified_halves
from offline.label.left_out import LeftOut
from offline.label.readouts import Features, fit
from offline.label.soft_step import step

SEEN: tuple[ReadoutKind, ...] = ("logistic", "probe")


def held_out_scores(
    codes: SparseCodes,
    vectors: FloatArray,
    config: LabelConfig,
    kinds: Sequence[ReadoutKind] = KINDS,
    *,
    sae: SaeWeights | None = None,
    popularity: npt.NDArray[np.integer] | None = None,
    audience: Audience | None = None,
    seen: bool = False,
) -> HeldOutScores:
    """Two-fold read-outs of item ``codes`` [N, L] and ``vectors`` [N, D]; what else is asked for beside.

    The halves are those that the concepts' own quality was measured on. With an ``sae`` also ``decoded``, with an
    ``audience`` that one as well; they leave each item out by itself. ``popularity`` [N]: interactions of every item,
    which weigh its fit. ``seen``: also regressions fitted on all items and scored on the same, which are *not* held out
    (``logistic_seen``, ``probe_seen``).
    """
    features = Features.of(codes, vectors)
    kernels = None if sae is None else LeftOut.of(codes, sae, config, popularity, audience)

    def scores(concept: Concept, members: BoolArray) -> Mapping[str, npt.NDArray[np.floating]]:
        rng = np.random.default_rng([config.seed, *concept.id.encode()])
        halves = stratified_halves(members, np.arange(len(members)), rng)
        out: dict[str, npt.NDArray[np.floating]] = {
            kind: cross_fit(kind, features, members, halves, config).scores for kind in kinds
        }
        if kernels is not None:
            out |= {kind: step(own[0], members) for kind, own in kernels.scores(members[None]).items()}
        if seen:
            everything = np.arange(len(members))
            for kind in SEEN:
                out[f"{kind}_seen"] = fit(kind, features, members, everything, config)(features)
        return out

    return scores
