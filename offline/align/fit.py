"""A concept from members that somebody knows: fitted on the codes, measured on items it was not fitted on.

The same read-outs and the same refusals as a concept of the metadata has (offline.label), but only on items whose
membership is known: items that came after the members were listed are neither in nor out until the read-out says so.

Legend: N items, n known items, L latents.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from bundle import BundleContents, Concept, LatentWeight, Quality, SparseCodes
from offline.align.entry import Entry, FloatArray, IntArray, Readings, Refused, Values
from offline.label import Candidate, Features, LabelConfig, measure_purity
from offline.label.decoded import Decoded
from offline.label.effects import direction_effects
from offline.label.fitting import Fitted, Measured, fit_whole, measure, refused_unseen, refused_weak

LATENT_READOUT = "latent"
"""Read-out of a concept that *is* a latent: its activation over the 90th percentile of its activations."""


def fit_members(
    candidate: Candidate, known: IntArray, contents: BundleContents, config: LabelConfig
) -> Entry | Refused:
    """Fit on the items ``known`` [n], whose membership ``candidate.members`` [n] says; read out all items [N]."""
    reason = refused_unseen(candidate, len(known), config)
    if reason:
        return Refused(reason)
    codes = rows_of(contents.item_codes, known)
    features = Features.of(codes, np.asarray(contents.item_vectors[known]))
    measured = measure(candidate, features, config, np.random.default_rng([config.seed, *candidate.id.encode()]))
    reason = refused_weak(measured)
    if reason:
        return Refused(reason, measured.auc)
    fitted = fit_whole(candidate, measured, features, config)
    values = np.clip(_probability(fitted, features, contents) / fitted.scale, 0, 1)
    labels = np.zeros(len(contents.item_codes), np.bool_)
    labels[known[candidate.members]] = True
    weight = (fitted.on_codes.weight / features.scale).astype(np.float32)
    direction, effect = _direction(candidate, weight, known, contents, config)
    on_codes = fitted.readout.kind != "probe"
    return Entry(
        concept=_concept(candidate, measured, fitted, codes, config),
        readings=Readings(
            values, np.clip(measured.by_kind[measured.chosen].scores / fitted.scale, 0, 1), candidate.members
        ),
        gains=np.where(labels, 1, values).astype(np.float32),
        labels=labels,
        readouts=values >= fitted.threshold,
        weight=weight if on_codes else np.zeros_like(weight),
        bias=fitted.readout.bias if on_codes else 0.0,
        scale=fitted.scale if on_codes else 1.0,
        direction=direction,
        effect=effect,
    )


def name_latent(
    concept_id: str, display_name: str, latent: int, contents: BundleContents, quality: Quality | None = None
) -> Entry:
    """A concept that is a latent: its members are the items that activate it, its read-out the activation.

    ``quality``: how well the latent finds members that were known before; left out, it is what it is, exactly.
    """
    items, values = contents.item_codes.posting(latent)
    active = np.zeros(len(contents.item_codes), np.bool_)
    active[items] = True
    gains = np.zeros(len(active), np.float32)
    gains[items] = np.clip(values / np.quantile(values, 0.9), 0, 1) if len(values) else 0
    direction = np.zeros(contents.sae.latents, np.float32)
    direction[latent] = 1
    share = float(active.mean())
    return Entry(
        concept=Concept(
            id=concept_id,
            family=concept_id.partition(":")[0],
            display_name=display_name,
            items=len(items),
            row=0,
            readout=LATENT_READOUT,
            threshold=float(gains[items].min()) if len(items) else 1.0,
            quality=quality or Quality(auc=1, precision=1, recall=1, base_rate=share),
            latents=(LatentWeight(latent=latent, weight=1.0),),
            by_hand=("members",),
        ),
        readings=Readings(gains.astype(np.float64), gains.astype(np.float64), active),
        gains=gains,
        labels=active,
        readouts=active,
        weight=np.zeros_like(direction),
        bias=0.0,
        scale=1.0,
        direction=direction,
        effect=float(contents.arrays.latent_effect[latent]),
    )


def rows_of(codes: SparseCodes, rows: IntArray) -> SparseCodes:
    """The codes of some items [n]."""
    counts = np.diff(codes.indptr)[rows]
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    places = np.repeat(codes.indptr[rows] - indptr[:-1], counts) + np.arange(indptr[-1])
    return SparseCodes(indptr, codes.indices[places], codes.values[places], codes.latents)


def _direction(
    candidate: Candidate, weight: FloatArray, known: IntArray, contents: BundleContents, config: LabelConfig
) -> tuple[FloatArray, float]:
    """Direction [L] on the query channel and its effect, as labelling finds them (offline.label.decoded).

    Under a scorer network an effect is measured on the network, which is not asked here: 0, so that the query channel
    is refused for the concept rather than guessed.
    """
    vectors = np.asarray(contents.item_vectors[known])
    if contents.scorer == "network":
        norm = float(np.linalg.norm(weight))
        return (weight / norm if norm > 0 else weight).astype(np.float32), 0.0
    codes = rows_of(contents.item_codes, known)
    decoded = Decoded.of(codes, contents.sae, config, scale=contents.sae.scale(vectors))
    direction = decoded.direction(candidate.members, contents.sae.user.w_dec, contents.metric).astype(np.float32)
    members = candidate.members[None]
    return direction, float(direction_effects(direction[None], members, vectors, contents.sae, contents.metric)[0])


def _probability(fitted: Fitted, features: Features, contents: BundleContents) -> Values:
    """The shipped read-out on all items [N]; ``features`` are the known ones', whose scale the weights belong to."""
    readout = fitted.readout
    whole = Features.of(contents.item_codes, np.asarray(contents.item_vectors))
    if readout.kind == "probe":
        return np.asarray(expit(whole.vectors @ readout.weight + readout.bias), np.float64)
    weight = readout.weight * whole.scale / features.scale
    return np.asarray(expit(whole.codes @ weight + readout.bias), np.float64)


def _concept(
    candidate: Candidate, measured: Measured, fitted: Fitted, codes: SparseCodes, config: LabelConfig
) -> Concept:
    purity = measure_purity(
        codes, candidate.members[None], config.purity_at, halvings=config.purity_halvings, seed=config.seed
    )[0]
    return Concept(
        id=candidate.id,
        family=candidate.family,
        display_name=candidate.display_name,
        items=int(candidate.members.sum()),
        row=0,
        readout=measured.chosen,
        threshold=fitted.threshold,
        quality=Quality(
            auc=measured.auc,
            precision=measured.precision,
            recall=measured.recall,
            base_rate=float(candidate.members.mean()),
            purity=purity,
        ),
        latents=_strongest(fitted.on_codes.weight.astype(np.float32), config.shown_latents),
        by_hand=("members",),
    )


def _strongest(weight: FloatArray, count: int) -> tuple[LatentWeight, ...]:
    order = np.argsort(-weight, kind="stable")[:count]
    return tuple(LatentWeight(latent=int(j), weight=float(weight[j])) for j in order if weight[j] > 0)
