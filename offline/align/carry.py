"""What of an old bundle goes over to a new one, concept by concept (docs/alignment.md).

    the new training found it       it stays as trained; a display name and a threshold given by hand go over
    a latent that a person named    becomes its match, where that correlates enough; else as below
    anything else                   its members, by item id, are fitted on the new codes and judged on held-out items

What a concept of the metadata is refused for (too few members, not found in the codes) refuses these, too: then the
concept is lost, with the reason. Legend: N items, n items in common.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from bundle import Bundle, BundleContents, Concept, ConceptArrays, ConceptFile, Quality
from bundle.concepts import ByHand
from bundle.errors import BundleError
from offline.align.entry import BoolArray, Change, Entry, IntArray, Refused, labels_of, readouts_of, with_concepts
from offline.align.fit import LATENT_READOUT, fit_members, name_latent
from offline.align.match import NOBODY, Common, LatentMatch, match_latents
from offline.align.report import AlignReport, ConceptFate, LatentFate, Outcome
from offline.align.threshold import at_count, read
from offline.label import Candidate, LabelConfig

LEAST_MATCH = 0.9
"""Held-out correlation from which on a named latent becomes its match; below it a read-out fitted to its items finds
them better (docs/decisions/012)."""

LEAST_COMMON = 50
"""Fewer items in common cannot tell latents apart."""

Step = Callable[[int, int], None]
"""Told (concepts looked at, concepts in all)."""


@dataclass(frozen=True)
class Alignment:
    """The report, and what the new bundle can steer once it is aligned."""

    report: AlignReport
    concepts: ConceptFile
    arrays: ConceptArrays


@dataclass(frozen=True)
class _Pair:
    """Two bundles with what connects them; ``from_old`` [L]: see LatentMatch."""

    old: BundleContents
    new: BundleContents
    common: Common
    match: LatentMatch
    config: LabelConfig
    least_match: float


def align(old: Bundle, new: Bundle, *, least_match: float = LEAST_MATCH, step: Step | None = None) -> Alignment:
    """Carry what ``old`` has over to ``new``; neither is changed.

    Raises:
        BundleError: fewer than LEAST_COMMON items are in both.
    """
    before, after = old.contents, new.contents
    common = Common.of(before.items["item_id"].to_pylist(), after.items["item_id"].to_pylist())
    if len(common) < LEAST_COMMON:
        raise BundleError(
            f"{old.path} and {new.path}: items in both", found=len(common), expected=f"at least {LEAST_COMMON}",
            hint="Latents are matched by the items that activate them, and items by item_id.",
        )  # fmt: skip
    config = label_config(new)
    match = match_latents(before.item_codes, after.item_codes, common, seed=config.seed)
    pair = _Pair(before, after, common, match, config, least_match)
    offered = [concept for concept in before.concepts.concepts if concept.offered]
    found = {concept.id: concept for concept in after.concepts.concepts}
    fates: list[ConceptFate] = []
    entries: list[Entry] = []
    changes: dict[str, Change] = {}
    for place, concept in enumerate(offered):
        same = found.get(concept.id)
        if same is not None and same.offered:
            fate, change = _kept(concept, same, pair)
            if change is not None:
                changes[concept.id] = change
        else:
            fate, entry = _put_over(concept, same, pair)
            if entry is not None:
                entries.append(entry)
        fates.append(fate)
        if step is not None:
            step(place + 1, len(offered))
    concepts, arrays = with_concepts(after, entries, changes)
    known = {concept.id for concept in offered}
    report = AlignReport(
        old=old.manifest.bundle_id,
        new=new.manifest.bundle_id,
        items_old=len(before.item_codes),
        items_new=len(after.item_codes),
        items_common=len(common),
        concepts=tuple(fates),
        latents=_latents(pair),
        appeared=tuple(
            concept.id for concept in after.concepts.concepts if concept.offered and concept.id not in known
        ),
    )
    return Alignment(report, concepts, arrays)


def label_config(bundle: Bundle) -> LabelConfig:
    """How the bundle's concepts were labelled, as its provenance tells; the defaults where it does not."""
    told = bundle.manifest.provenance.get("config")
    if isinstance(told, dict) and isinstance(told.get("label"), dict):
        try:
            return LabelConfig.model_validate(told["label"] | {"seed": told.get("seed", 0)})
        except ValidationError:  # of another Tiller
            pass
    return LabelConfig()


def _kept(old: Concept, new: Concept, pair: _Pair) -> tuple[ConceptFate, Change | None]:
    """The new training's own concept, with what a person gave to the old one."""
    concept, readouts = new, readouts_of(new, pair.new)
    carried: list[ByHand] = []
    if "display_name" in old.by_hand and "display_name" not in new.by_hand:
        by_hand = (*concept.by_hand, "display_name")
        concept = concept.model_copy(update={"display_name": old.display_name, "by_hand": by_hand})
        carried.append("display_name")
    if "threshold" in old.by_hand and "threshold" not in new.by_hand:
        count = int(readouts_of(old, pair.old)[pair.common.old].sum())
        graded = at_count(read(new, pair.new, pair.config), pair.common.new, count)
        concept, readouts = graded.put(concept), graded.readouts
        carried.append("threshold")
    fate = _fate(old, concept, readouts, pair, outcome="kept", carried=tuple(carried))
    return fate, Change(concept, readouts) if carried else None


def _put_over(old: Concept, refused: Concept | None, pair: _Pair) -> tuple[ConceptFate, Entry | None]:
    """A concept that the new training does not offer; ``refused``: it looked for it."""
    named = old.latents[0].latent if old.readout == LATENT_READOUT and old.latents else None
    if named is not None and pair.match.held_out[named] >= pair.least_match and pair.match.to[named] != NOBODY:
        entry = _with_hand(_moved(old, int(pair.match.to[named]), pair), old, pair)
        return _fate(old, entry.concept, entry.readouts, pair, outcome="moved", carried=entry.concept.by_hand), entry
    if refused is not None and "members" not in old.by_hand:
        # Its labels are the new metadata's business, and the new training judged them.
        return replace(_lost(old, pair), reason=refused.not_offered_reason), None
    labels = labels_of(old, pair.old)
    members = (labels if labels.any() else readouts_of(old, pair.old))[pair.common.old]
    candidate = Candidate(old.id, old.family, old.display_name, members)
    fitted = fit_members(candidate, pair.common.new, pair.new, pair.config)
    if isinstance(fitted, Refused):
        reason = f"of {int(labels.sum())} members {int(members.sum())} are in the new bundle; {fitted.reason}"
        return replace(_lost(old, pair), reason=reason, auc_new=fitted.auc), None
    entry = _with_hand(fitted, old, pair)
    return _fate(old, entry.concept, entry.readouts, pair, outcome="refitted", carried=entry.concept.by_hand), entry


def _moved(old: Concept, latent: int, pair: _Pair) -> Entry:
    """A named latent as its match, judged by the members it had."""
    members = labels_of(old, pair.old)[pair.common.old]
    entry = name_latent(old.id, old.display_name, latent, pair.new)
    found = entry.readings.values[pair.common.new]
    hits = int((members & (found > 0)).sum())
    quality = Quality(
        auc=float(roc_auc_score(members, found)) if 0 < members.sum() < len(members) else 0.5,
        precision=hits / max(1, int((found > 0).sum())),
        recall=hits / max(1, int(members.sum())),
        base_rate=float(members.mean()),
    )
    return name_latent(old.id, old.display_name, latent, pair.new, quality)


def _with_hand(entry: Entry, old: Concept, pair: _Pair) -> Entry:
    """The entry with its old name's and threshold's marks; a threshold chosen by hand keeps the concept as wide."""
    concept, readouts = entry.concept, entry.readouts
    if "threshold" in old.by_hand:
        count = int(readouts_of(old, pair.old)[pair.common.old].sum())
        graded = at_count(entry.readings, pair.common.new, count)
        concept, readouts = graded.put(concept), graded.readouts
    by_hand = tuple(dict.fromkeys((*old.by_hand, *concept.by_hand)))
    return replace(entry, concept=concept.model_copy(update={"by_hand": by_hand}), readouts=readouts)


def _fate(
    old: Concept, new: Concept, readouts: BoolArray, pair: _Pair, *, outcome: Outcome, carried: tuple[ByHand, ...]
) -> ConceptFate:
    was, now = readouts_of(old, pair.old)[pair.common.old], readouts[pair.common.new]
    either = int((was | now).sum())
    return replace(
        _lost(old, pair),
        outcome=outcome,
        carried=carried,
        items_new=new.items,
        auc_new=new.quality.auc if new.quality else None,
        threshold_new=new.threshold,
        agreement=int((was & now).sum()) / either if either else 1.0,
    )


def _lost(old: Concept, pair: _Pair) -> ConceptFate:
    """What is known of a concept whatever becomes of it."""
    latent = old.latents[0].latent if old.latents else None
    return ConceptFate(
        id=old.id,
        outcome="lost",
        items_old=old.items,
        auc_old=old.quality.auc if old.quality else None,
        threshold_old=old.threshold,
        latent=latent,
        to=None if latent is None or pair.match.to[latent] == NOBODY else int(pair.match.to[latent]),
        match=None if latent is None else float(pair.match.held_out[latent]),
    )


def _latents(pair: _Pair) -> tuple[LatentFate, ...]:
    before = np.bincount(pair.old.item_codes.indices, minlength=pair.old.sae.latents)
    after = np.bincount(pair.new.item_codes.indices, minlength=pair.new.sae.latents)
    alive: IntArray = np.flatnonzero(before)
    return tuple(
        LatentFate(
            latent=int(latent),
            to=None if pair.match.to[latent] == NOBODY else int(pair.match.to[latent]),
            correlation=float(pair.match.correlation[latent]),
            held_out=float(pair.match.held_out[latent]),
            items_old=int(before[latent]),
            items_new=0 if pair.match.to[latent] == NOBODY else int(after[pair.match.to[latent]]),
        )
        for latent in alive
    )
