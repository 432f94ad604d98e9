"""From item metadata, codes and vectors to what a bundle says about concepts. Legend: C offered, N items, L latents."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bundle import Concept, ConceptArrays, ConceptFile, LatentWeight, Metric, Purity, Quality, SaeWeights, SparseCodes
from bundle.errors import TrainingError
from offline.label.audience import Audience
from offline.label.candidates import Candidate, find_candidates
from offline.label.config import LEFT_OUT, LabelConfig, LeftOutKind
from offline.label.effects import direction_effects, latent_effects
from offline.label.fitting import Fitted, Measured, fit_whole, measure, refused_unseen, refused_weak
from offline.label.kernel import Array
from offline.label.left_out import LeftOut
from offline.label.network_effects import Scorer, network_direction_effects, network_latent_effects
from offline.label.purity import measure_purity
from offline.label.readouts import Features

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, concept id)`` after every candidate."""

SLOW_SECONDS = 60.0
"""A labelling that is going to take longer says so, once, in the notes."""


@dataclass(frozen=True)
class LabelResult:
    """Concepts, their arrays, sentences for the reader, and one row of held-out figures per candidate.

    A row of ``report``: ``id``, ``items``, ``offered``, ``chosen``, ``auc_needed`` and ``readouts``: kind ->
    ``{"auc", "average_precision"}``; candidates refused before a fit have no row.
    """

    concepts: ConceptFile
    arrays: ConceptArrays
    notes: tuple[str, ...]
    report: tuple[dict[str, Any], ...]
    seconds: float


def label_concepts(
    items: pa.Table,
    codes: SparseCodes,
    vectors: FloatArray,
    sae: SaeWeights,
    metric: Metric,
    *,
    config: LabelConfig | None = None,
    popularity: npt.NDArray[np.integer] | None = None,
    audience: Audience | None = None,
    network: tuple[Scorer, FloatArray] | None = None,
    progress: Progress | None = None,
) -> LabelResult:
    """Look for every concept the metadata names; rows of ``items``, ``codes`` [N, L] and ``vectors`` [N, D] agree.

    ``popularity`` [N]: interactions of every item; they weigh the read-outs that leave items out (None: alike).
    ``audience``: users and who took what, for the read-out by an item's audience; None: there is no such read-out.
    ``network``: what scores in place of the metric, and users [U, D] to measure the query channel's effects on.

    Raises:
        TrainingError: the rows do not agree.
        DataError: ``config.columns`` names a column that ``items`` does not have.
    """
    config = config or LabelConfig()
    if not len(codes) == len(vectors) == items.num_rows:
        found = f"{items.num_rows} items, {len(codes)} codes, {len(vectors)} vectors"
        raise TrainingError("labelling", found=found, expected="one of each per item")
    started = time.perf_counter()
    found_in = find_candidates(items, config)
    notes, candidates = list(found_in.notes), found_in.concepts
    features = Features.of(codes, vectors)
    unseen = [refused_unseen(candidate, len(codes), config) for candidate in candidates]
    kernels = LeftOut.of(codes, sae, config, popularity, audience, scale=sae.scale(vectors))
    left_out = _left_out(candidates, unseen, kernels, config)
    reasons: list[str] = []
    measured: list[Measured | None] = []
    fitted: list[Fitted | None] = []
    for number, candidate in enumerate(candidates):
        # A stream of its own: a new column does not change what another one finds.
        rng = np.random.default_rng([config.seed, *candidate.id.encode()])
        reason = unseen[number]
        figures = None if reason else measure(candidate, features, config, rng, left_out.get(candidate.id))
        reason = reason or (refused_weak(figures) if figures else "")
        reasons.append(reason)
        measured.append(figures)
        fitted.append(fit_whole(candidate, figures, features, config) if figures and not reason else None)
        if progress is not None:
            progress(number + 1, len(candidates), candidate.id)
    seen = [n for n, figures in enumerate(measured) if figures is not None]
    purity = dict(
        zip(
            seen,
            measure_purity(
                codes,
                np.array([candidates[n].members for n in seen]),
                config.purity_at,
                halvings=config.purity_halvings,
                seed=config.seed,
            ),
            strict=True,
        )
    )
    concepts, row = [], 0
    for n, candidate in enumerate(candidates):
        concepts.append(
            _concept(
                candidate,
                reasons[n],
                row,
                purity.get(n, ()),
                measured=measured[n],
                fitted=fitted[n],
                shown=config.shown_latents,
            )
        )
        row += fitted[n] is not None
    unfinished = sum(f is not None and not f.readout.converged for f in fitted)
    if unfinished:
        notes.append(f"{unfinished} read-outs stopped at the iteration limit; raise l2 if their figures are poor")
    seconds = time.perf_counter() - started
    if seconds > SLOW_SECONDS:
        notes.append(f"labelling took {seconds:.0f} s for {len(candidates)} candidates; fewer columns make it quicker")
    return LabelResult(
        concepts=ConceptFile(concepts=tuple(concepts)),
        arrays=_arrays(
            [(c, f) for c, f in zip(candidates, fitted, strict=True) if f],
            features,
            None if network else lambda members: kernels.decoded.direction(members, sae.user.w_dec, metric),
            *_effects(codes, vectors, sae, metric, network),
        ),
        notes=tuple(notes),
        report=tuple(_row(candidates[n], reasons[n], figures) for n in seen if (figures := measured[n]) is not None),
        seconds=seconds,
    )


def _effects(
    codes: SparseCodes,
    vectors: FloatArray,
    sae: SaeWeights,
    metric: Metric,
    network: tuple[Scorer, FloatArray] | None,
) -> tuple[Callable[[FloatArray, BoolArray], FloatArray], FloatArray]:
    """Effects of directions [C, L] with members [C, N], as a function, and of the latents, [L]."""
    if network is None:
        return (
            lambda direction, members: direction_effects(direction, members, vectors, sae, metric),
            latent_effects(codes, vectors, sae, metric),
        )
    score, users = network
    return (
        lambda direction, members: network_direction_effects(
            direction, members, items=vectors, users=users, sae=sae, score=score
        ),
        network_latent_effects(codes, items=vectors, users=users, sae=sae, score=score),
    )


def _left_out(
    candidates: Sequence[Candidate], unseen: Sequence[str], kernels: LeftOut, config: LabelConfig
) -> dict[str, dict[LeftOutKind, Array]]:
    """Leave-one-out scores [N] by concept id and kind, where they may be chosen."""
    asked = [candidate for candidate, reason in zip(candidates, unseen, strict=True) if not reason]
    if config.readout not in {"auto", *LEFT_OUT} or not asked:
        return {}
    scores = kernels.scores(np.array([candidate.members for candidate in asked]))
    return {candidate.id: {kind: own[n] for kind, own in scores.items()} for n, candidate in enumerate(asked)}


def _quality(candidate: Candidate, measured: Measured | None, purity: tuple[Purity, ...]) -> Quality | None:
    if measured is None:
        return None
    base = float(candidate.members.mean())
    return Quality(
        auc=measured.auc, precision=measured.precision, recall=measured.recall, base_rate=base, purity=purity
    )


def _concept(
    candidate: Candidate,
    reason: str,
    row: int,
    purity: tuple[Purity, ...],
    *,
    measured: Measured | None,
    fitted: Fitted | None,
    shown: int,
) -> Concept:
    offered = fitted is not None
    return Concept(
        id=candidate.id,
        family=candidate.family,
        display_name=candidate.display_name,
        items=int(candidate.members.sum()),
        offered=offered,
        not_offered_reason=reason,
        row=row if offered else None,
        readout=measured.chosen if measured else "",
        threshold=fitted.threshold if fitted else None,
        quality=_quality(candidate, measured, purity),
        latents=_latents(fitted, shown) if fitted else (),
    )


def _latents(fitted: Fitted, count: int) -> tuple[LatentWeight, ...]:
    """The latents that speak most for membership; the weight is per 90th percentile activation, so they compare."""
    weight = fitted.on_codes.weight
    order = np.argsort(-weight, kind="stable")[:count]
    return tuple(LatentWeight(latent=int(j), weight=float(weight[j])) for j in order if weight[j] > 0)


def _arrays(
    shipped: list[tuple[Candidate, Fitted]],
    features: Features,
    direction_of: Callable[[BoolArray], Array] | None,
    effects_of: Callable[[FloatArray, BoolArray], FloatArray],
    latent_effect: FloatArray,
) -> ConceptArrays:
    (items, latents), concepts = features.codes.shape, len(shipped)
    members = np.array([c.members for c, _ in shipped], np.bool_).reshape(concepts, items)
    gains = np.zeros((concepts, items), np.float32)
    readouts = np.zeros((concepts, items), np.bool_)
    weight = np.zeros((concepts, latents), np.float32)
    bias, scale = np.zeros(concepts, np.float32), np.ones(concepts, np.float32)
    direction = np.zeros((concepts, latents), np.float32)
    for row, (candidate, fitted) in enumerate(shipped):
        gains[row] = np.where(candidate.members, 1, fitted.values)
        readouts[row] = fitted.values >= fitted.threshold
        raw = fitted.on_codes.weight / features.scale
        # Under a network users and items share no space, only the latents: the read-out's weights are the direction.
        norm = np.linalg.norm(raw)
        direction[row] = direction_of(candidate.members) if direction_of else raw / norm if norm > 0 else 0
        if fitted.readout.kind != "probe":
            weight[row], bias[row], scale[row] = raw, fitted.on_codes.bias, fitted.linear_scale
    return ConceptArrays(
        gains=gains,
        label_bits=np.packbits(members, axis=1, bitorder="little"),
        readout_bits=np.packbits(readouts, axis=1, bitorder="little"),
        readout_weight=weight,
        readout_bias=bias,
        readout_scale=scale,
        direction=direction,
        direction_effect=effects_of(direction, members),
        latent_effect=latent_effect,
    )


def _row(candidate: Candidate, reason: str, measured: Measured) -> dict[str, Any]:
    return {
        "id": candidate.id,
        "items": int(candidate.members.sum()),
        "offered": not reason,
        "chosen": measured.chosen,
        "auc_needed": measured.bound,
        "readouts": {
            kind: {"auc": held_out.auc, "average_precision": held_out.average_precision}
            for kind, held_out in measured.by_kind.items()
        },
    }
