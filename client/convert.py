"""Messages to the client's data and back, by the names of the enums: ``ACTION_PROMOTE`` is "promote"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

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
from client.rules import Rule
from protos.steering.v1 import concepts_pb2, recommend_pb2, rules_pb2


def to_message(rule: Rule) -> rules_pb2.Rule:
    """A rule to send.

    Raises:
        ValueError: an action, channel or membership that the wire does not have.
    """
    message = rules_pb2.Rule(
        action=_number(rules_pb2.Action, "ACTION", rule.action),
        concept="" if rule.composed else rule.concept,
        channel=_number(rules_pb2.Channel, "CHANNEL", rule.channel),
        membership=_number(rules_pb2.Membership, "MEMBERSHIP", rule.membership),
        concepts=rule.concepts,
        like=rule.like,
        unlike=rule.unlike,
        items=rule.items,
        toward=rule.toward,
    )
    if rule.strength is not None:
        message.strength = rule.strength
    if rule.share is not None and rule.action == "demote":
        message.share.max = rule.share
    elif rule.share is not None:
        message.share.min = rule.share
    return message


def make_request(
    *,
    user_id: str | None = None,
    embedding: Iterable[float] | None = None,
    history: Iterable[str] | None = None,
    k: int = 10,
    rules: Iterable[Rule] = (),
    exclude: Iterable[str] = (),
    exclude_history: bool = False,
    attributes: Mapping[str, str] | None = None,
    ignore_policies: bool = False,
    explain: bool = False,
    baseline: bool = False,
    order: Literal["steered", "base"] | None = None,
    request_id: str = "",
) -> recommend_pb2.RecommendRequest:
    """A request to send; what the arguments mean is told at ``TillerClient.recommend``.

    Raises:
        ValueError: more than one who asks, or a number that the message cannot carry.
    """
    given = {"user_id": user_id, "embedding": embedding, "history": history}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise ValueError(f"who is asking: found {' and '.join(named)}, expected one of them")
    return recommend_pb2.RecommendRequest(
        user_id=user_id,
        embedding=None if embedding is None else recommend_pb2.Embedding(values=embedding),
        history=None if history is None else recommend_pb2.History(item_ids=history),
        k=k,
        rules=[to_message(rule) for rule in rules],
        exclude_item_ids=exclude,
        exclude_history=exclude_history,
        attributes=attributes,
        ignore_policies=ignore_policies,
        explain=explain,
        include_baseline=baseline,
        order=None if order is None else f"ORDER_{order.upper()}",
        request_id=request_id,
    )


def to_recommendation(message: recommend_pb2.RecommendResponse, *, baseline: bool) -> Recommendation:
    """An answer; ``baseline``: whether it was asked for, because an empty list looks like none."""
    shortfall = message.shortfall
    return Recommendation(
        request_id=message.request_id,
        items=tuple(map(_item, message.items)),
        rules=tuple(map(_outcome, message.rules)),
        bundle_id=message.bundle_id,
        policy_revision=message.policy_revision,
        baseline=tuple(map(_item, message.baseline)) if baseline else None,
        overlap=message.overlap if message.HasField("overlap") else None,
        shortfall=Shortfall(shortfall.eligible, shortfall.reason, shortfall.filled)
        if message.HasField("shortfall")
        else None,
        unknown_excluded=message.unknown_excluded,
        history=HistoryUse(message.history.used, message.history.unknown) if message.HasField("history") else None,
    )


def to_concept(message: concepts_pb2.Concept) -> Concept:
    """A concept or latent."""
    return Concept(
        id=message.id,
        family=message.family,
        display_name=message.display_name,
        items=message.items,
        offered=message.offered,
        not_offered_reason=message.not_offered_reason,
        quality=_quality(message.quality) if message.HasField("quality") else None,
        latents=tuple((entry.latent, entry.weight) for entry in message.latents),
        kind=_text(concepts_pb2.ConceptKind, "CONCEPT_KIND", message.kind) or "",
        definition=to_custom(message.definition) if message.HasField("definition") else None,
        top_items=tuple(ConceptItem(top.item_id, top.title, top.value, top.labelled) for top in message.top_items),
    )


def to_custom(message: concepts_pb2.CustomConcept) -> CustomConcept:
    """What a concept of the policy folder is made of."""
    return CustomConcept(
        id=message.id,
        display_name=message.display_name,
        description=message.description,
        concepts=dict(message.concepts),
        like=tuple(message.like),
        unlike=tuple(message.unlike),
        items=tuple(message.items),
        file=message.file,
        line=message.line,
    )


def _item(message: recommend_pb2.ScoredItem) -> Item:
    why = _explanation(message.explanation) if message.HasField("explanation") else None
    return Item(message.item_id, message.title, message.score, why)


def _explanation(message: recommend_pb2.ItemExplanation) -> Explanation:
    return Explanation(
        base_score=message.base_score,
        base_rank=message.base_rank,
        contributions=tuple(
            Contribution(
                concept=part.concept,
                action=_text(rules_pb2.Action, "ACTION", part.action),
                channel=_text(rules_pb2.Channel, "CHANNEL", part.channel),
                source=part.source,
                value=part.value,
            )
            for part in message.contributions
        ),
        concepts=tuple(ItemConcept(entry.concept, entry.value, entry.labelled) for entry in message.concepts),
    )


def _outcome(message: recommend_pb2.RuleOutcome) -> RuleOutcome:
    rule = message.rule
    return RuleOutcome(
        rule=Rule(
            action=_text(rules_pb2.Action, "ACTION", rule.action),
            concept=rule.concept,
            strength=rule.strength if rule.HasField("strength") else None,
            channel=_text(rules_pb2.Channel, "CHANNEL", rule.channel),
            membership=_text(rules_pb2.Membership, "MEMBERSHIP", rule.membership),
            share=getattr(rule.share, rule.share.WhichOneof("bound")) if rule.HasField("share") else None,
            concepts=dict(rule.concepts) or None,
            like=tuple(rule.like),
            unlike=tuple(rule.unlike),
            items=tuple(rule.items),
            toward=rule.toward,
        ),
        source=message.source,
        priority=message.priority,
        status=_text(recommend_pb2.RuleStatus, "RULE_STATUS", message.status),
        note=message.note,
        dose=message.dose,
        share_before=message.share_before if message.HasField("share_before") else None,
        share_after=message.share_after if message.HasField("share_after") else None,
    )


def _quality(message: concepts_pb2.Quality) -> Quality:
    return Quality(
        auc=message.auc,
        precision=message.precision,
        recall=message.recall,
        base_rate=message.base_rate,
        readout=message.readout,
        purity=tuple(Purity(entry.k, entry.value, entry.attainable) for entry in message.purity),
    )


def _number(enum: Any, prefix: str, text: str | None) -> Any:
    """``ACTION``, ``promote`` -> its number; None -> unset."""
    if text is None:
        return 0
    known = {name.removeprefix(f"{prefix}_").lower(): number for name, number in enum.items() if number}
    if text not in known:
        raise ValueError(f"{prefix.lower()}: found {text!r}, expected {' | '.join(known)}")
    return known[text]


def _text(enum: Any, prefix: str, number: int) -> Any:
    """The number's name, lower case and without prefix; None for unset, ``unknown_9`` for one of a newer server."""
    if not number:
        return None
    name = {value: name for name, value in enum.items()}.get(number)
    return name.removeprefix(f"{prefix}_").lower() if name else f"unknown_{number}"
