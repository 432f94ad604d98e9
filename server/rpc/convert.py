"""Messages to the core's types and back. What the wire can say and the core cannot mean is refused here.

Everything that needs the bundle (ids, lengths, ranges, pairs of rules) is the core's to judge: server.validate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np

from protos.steering.v1 import concepts_pb2, rules_pb2
from protos.steering.v1 import recommend_pb2 as pb
from server.catalogue import Catalogue
from server.errors import InvalidRequest
from server.kept import Kept
from server.rpc.items import items_of
from server.rpc.outcomes import add_outcomes
from server.subject import Given, Subject, parts_of
from server.types import (
    DEFAULT_STRENGTH,
    Action,
    Answer,
    Channel,
    Considered,
    Explanation,
    Membership,
    Order,
    Query,
    Ranking,
    Rule,
    Standing,
    Status,
)
from server.validate import refused

MAX_ID_LENGTH = 500
"""Characters of a user id or concept; what is longer is a mistake, and would not fit into an error's metadata."""

ACTIONS = {
    rules_pb2.ACTION_FILTER: Action.FILTER,
    rules_pb2.ACTION_DEMOTE: Action.DEMOTE,
    rules_pb2.ACTION_PROMOTE: Action.PROMOTE,
}
CHANNELS = {
    rules_pb2.CHANNEL_UNSPECIFIED: Channel.ITEM,
    rules_pb2.CHANNEL_ITEM: Channel.ITEM,
    rules_pb2.CHANNEL_QUERY: Channel.QUERY,
}
MEMBERSHIPS = {
    rules_pb2.MEMBERSHIP_UNSPECIFIED: Membership.DEFAULT,
    rules_pb2.MEMBERSHIP_LABEL: Membership.LABEL,
    rules_pb2.MEMBERSHIP_READOUT: Membership.READOUT,
    rules_pb2.MEMBERSHIP_EITHER: Membership.EITHER,
}
ORDERS = {
    pb.ORDER_UNSPECIFIED: Order.STEERED,
    pb.ORDER_STEERED: Order.STEERED,
    pb.ORDER_BASE: Order.BASE,
}
STATUSES = {
    pb.RULE_STATUS_APPLIED: Status.APPLIED,
    pb.RULE_STATUS_OFF: Status.OFF,
    pb.RULE_STATUS_OVERRIDDEN: Status.OVERRIDDEN,
    pb.RULE_STATUS_SHADOW: Status.SHADOW,
    pb.RULE_STATUS_UNKNOWN_CONCEPT: Status.UNKNOWN_CONCEPT,
}

# The way back; of two numbers that mean the same the named one (the later) is sent.
ACTION_NUMBERS = {action: number for number, action in ACTIONS.items()}
CHANNEL_NUMBERS = {channel: number for number, channel in CHANNELS.items()}
MEMBERSHIP_NUMBERS = {membership: number for number, membership in MEMBERSHIPS.items()}
STATUS_NUMBERS = {status: number for number, status in STATUSES.items()}

_E = TypeVar("_E", bound=StrEnum)

RULES_KEPT, LONGEST_KEPT = 256, 8192
"""Sets of rules that are kept as they were read, and bytes of the longest."""

_STANDING: Kept[tuple[bytes, ...], Standing] = Kept(RULES_KEPT)
_ONCE: Kept[int, bool] = Kept(RULES_KEPT)


def to_query(request: pb.RecommendRequest) -> Query:
    """The request as the core takes it.

    Raises:
        InvalidRequest: a choice this server does not know, or a key that the rule's action does not take.
    """
    user_id = embedding = history = None
    match request.WhichOneof("user"):
        case "user_id":
            user_id = request.user_id
            _check_length(user_id, "user_id")
        case "embedding":
            embedding = np.array(request.embedding.values, np.float32)
        case "history":
            history = tuple(request.history.item_ids)
    return Query(
        k=request.k,
        user_id=user_id,
        embedding=embedding,
        history=history,
        exclude_history=request.exclude_history,
        rules=_to_rules(request.rules),
        exclude=tuple(request.exclude_item_ids),
        attributes=dict(request.attributes),
        use_policies=not request.ignore_policies,
        explain=request.explain,
        baseline=request.include_baseline,
        order=_choice(request.order, ORDERS, "order"),
    )


def _to_rules(messages: Sequence[rules_pb2.Rule]) -> tuple[Rule, ...]:
    """A request's rules; the same object from the second time on that the same rules come.

    The first time only a number is kept: rules that never come again would fill the memory with what is collected late.
    """
    if not messages:
        return ()
    key = tuple([message.SerializeToString() for message in messages])
    standing = _STANDING.get(key)
    if standing is not None:
        return standing
    rules = tuple(to_rule(rule, f"rules[{place}]") for place, rule in enumerate(messages))
    if _ONCE.get(number := hash(key)) is None:
        _ONCE.put(number, True)
    elif sum(map(len, key)) <= LONGEST_KEPT:
        rules = standing = Standing(rules)
        _STANDING.put(key, standing)
    return rules


def to_rule(rule: rules_pb2.Rule, path: str) -> Rule:
    """One rule of a request; ``path`` is where it stands, for the refusal."""
    action = _choice(rule.action, ACTIONS, f"{path}.action")
    _check_length(rule.concept, f"{path}.concept")
    given = _given(rule, path)
    if action is Action.FILTER:
        hint = "A filter lets no member through, so it takes neither strength nor channel. Leave it out, or DEMOTE."
        if rule.HasField("strength"):
            raise InvalidRequest(
                f"{path}.strength", field=f"{path}.strength", found=rule.strength, expected="unset", hint=hint
            )
        if rule.HasField("share"):
            raise InvalidRequest(f"{path}.share", field=f"{path}.share", found="a share", expected="unset", hint=hint)
        if rule.channel != rules_pb2.CHANNEL_UNSPECIFIED:
            raise InvalidRequest(
                f"{path}.channel", field=f"{path}.channel", found=_name(rules_pb2.Channel, rule.channel),
                expected="unset", hint=hint,
            )  # fmt: skip
        membership = _choice(rule.membership, MEMBERSHIPS, f"{path}.membership")
        if given is not None and given.reversed:
            fault = given.misfit(action.value, query=False, share=False)
            if fault is not None:
                raise refused(fault, path)
        return _made(rule, given, action, strength=1.0, membership=membership)
    if rule.membership != rules_pb2.MEMBERSHIP_UNSPECIFIED:
        raise InvalidRequest(
            f"{path}.membership", field=f"{path}.membership", found=_name(rules_pb2.Membership, rule.membership),
            expected="unset", hint=f"A {action.value} acts in proportion to the read-out. Leave it out, or FILTER.",
        )  # fmt: skip
    channel = _choice(rule.channel, CHANNELS, f"{path}.channel")
    if rule.HasField("share"):
        return _made(rule, given, action, strength=1.0, channel=channel, share=_share(rule, action, path))
    strength = rule.strength if rule.HasField("strength") else DEFAULT_STRENGTH
    return _made(rule, given, action, strength=strength, channel=channel)


def to_given(message: rules_pb2.Rule | concepts_pb2.CustomConcept) -> Given:
    """What a rule or a concept of one's own says that it is about; they name its parts alike."""
    rule = message if isinstance(message, rules_pb2.Rule) else None
    return Given(
        concept="" if rule is None else rule.concept,
        concepts=dict(message.concepts),
        like=tuple(message.like),
        unlike=tuple(message.unlike),
        items=tuple(message.items),
        toward="" if rule is None else rule.toward,
    )


def _made(rule: rules_pb2.Rule, given: Given | None, action: Action, **rest: Any) -> Rule:
    return Rule(action, rule.concept, **rest) if given is None else Rule.about(given, action, **rest)


def _given(rule: rules_pb2.Rule, path: str) -> Given | None:
    """What a rule is about; None where that is one concept, as it is of most: what costs least."""
    if rule.concept and not (rule.like or rule.unlike or rule.items or rule.toward or rule.concepts):
        return None
    given = to_given(rule)
    if given.concept:  # beside its parts an answer has their text; whoever sends that back says one thing
        parts = replace(given, concept="")
        given = parts if parts.fault() is None and parts.named()[0] == given.concept else given
    if (fault := given.fault()) is not None:
        raise refused(fault, path)
    for name in (*given.concepts, given.toward):
        _check_length(name, f"{path}.concepts")
    return given


def _share(rule: rules_pb2.Rule, action: Action, path: str) -> float:
    """The bound of a share target, of the kind that the action takes."""
    wanted = "max" if action is Action.DEMOTE else "min"
    given = rule.share.WhichOneof("bound")
    if given != wanted:
        raise InvalidRequest(
            f"{path}.share", field=f"{path}.share", found=given or "neither max nor min", expected=wanted,
            hint="DEMOTE leaves at most (max), PROMOTE gives at least (min).",
        )  # fmt: skip
    if rule.HasField("strength"):
        raise InvalidRequest(
            f"{path}.strength", field=f"{path}.strength", found=rule.strength, expected="unset with a share",
            hint="A share is met by the dose that it takes. Send one of the two.",
        )  # fmt: skip
    return rule.share.max if wanted == "max" else rule.share.min


def to_response(answer: Answer, query: Query, catalogue: Catalogue, request_id: str) -> pb.RecommendResponse:
    """The answer as a message; baseline, overlap and shares only where the request asked for the baseline."""
    response = pb.RecommendResponse(
        request_id=request_id,
        bundle_id=answer.bundle_id,
        policy_revision=answer.policy_revision,
        unknown_excluded=answer.unknown_excluded,
    )
    add_outcomes(response, answer, _outcome, shares=query.baseline)
    if answer.explanations:
        _add_explained(response.items.add, answer.ranking, answer.explanations, catalogue)
    else:
        items_of(catalogue).add(response, "items", answer.ranking)
    if query.baseline and answer.baseline is not None:
        items_of(catalogue).add(response, "baseline", answer.baseline)
        response.overlap = 0.0 if answer.overlap is None else answer.overlap
    if answer.history is not None:
        used, unknown = answer.history
        response.history.CopyFrom(pb.HistoryUse(used=used, unknown=unknown))
    if answer.eligible is not None:
        response.shortfall.CopyFrom(
            pb.Shortfall(eligible=answer.eligible, reason=answer.short_reason, filled=answer.filled)
        )
    return response


def to_rule_message(rule: Rule) -> rules_pb2.Rule:
    """A rule as the answer shows it: only the keys that its action takes."""
    number = ACTION_NUMBERS[rule.action]
    message = _bare_message(rule, number)
    if rule.subject is not None:
        put_parts(message, rule.subject)
    return message


def put_parts(message: rules_pb2.Rule | concepts_pb2.CustomConcept, subject: Subject) -> None:
    """Say what a subject is made of."""
    parts = parts_of(subject)
    message.concepts.update(parts.concepts)
    message.like.extend(parts.like)
    message.unlike.extend(parts.unlike)
    message.items.extend(parts.items)
    if isinstance(message, rules_pb2.Rule):
        message.toward = parts.toward


def _bare_message(rule: Rule, number: Any) -> rules_pb2.Rule:
    if rule.action is Action.FILTER:
        return rules_pb2.Rule(action=number, concept=rule.concept, membership=MEMBERSHIP_NUMBERS[rule.membership])
    channel = CHANNEL_NUMBERS[rule.channel]
    if rule.share is not None:
        bound = {"max" if rule.action is Action.DEMOTE else "min": rule.share}
        target = rules_pb2.ShareTarget(**bound)
        return rules_pb2.Rule(action=number, concept=rule.concept, channel=channel, share=target)
    return rules_pb2.Rule(action=number, concept=rule.concept, strength=rule.strength, channel=channel)


def _add_explained(
    add: Callable[..., pb.ScoredItem], ranking: Ranking, explanations: tuple[Explanation, ...], catalogue: Catalogue
) -> None:
    """Fill a list of the response in place: a list of messages handed over would be copied, at twice the time."""
    ids, titles = catalogue.item_ids, catalogue.titles
    rows, scores = ranking.items.tolist(), ranking.scores.tolist()
    for row, score, why in zip(rows, scores, explanations, strict=True):
        add(item_id=ids[row], score=score, title=titles[row], explanation=_explanation(why))


def _explanation(why: Explanation) -> pb.ItemExplanation:
    parts = [
        pb.Contribution(
            concept=part.rule.concept,
            action=ACTION_NUMBERS[part.rule.action],
            channel=CHANNEL_NUMBERS[part.rule.channel],
            source=part.rule.source,
            value=part.value,
        )
        for part in why.contributions
    ]
    carried = [pb.ItemConcept(concept=name, value=value, labelled=labelled) for name, value, labelled in why.concepts]
    return pb.ItemExplanation(base_score=why.base_score, base_rank=why.base_rank, contributions=parts, concepts=carried)


def _outcome(considered: Considered) -> pb.RuleOutcome:
    """What an answer says of a rule whatever it did."""
    return pb.RuleOutcome(
        rule=to_rule_message(considered.rule),
        source=considered.rule.source,
        priority=considered.rule.priority,
        status=STATUS_NUMBERS[considered.status],
    )


def _choice(number: int, table: Mapping[Any, _E], field: str) -> _E:
    choice = table.get(number)
    if choice is None:
        names = " | ".join(dict.fromkeys(value.name for value in table.values() if value is not Membership.DEFAULT))
        raise InvalidRequest(field, field=field, found=number or "unset", expected=names)
    return choice


def _name(enum: object, number: int) -> str | int:
    known: dict[int, str] = {value: name for name, value in enum.items()}  # type: ignore[attr-defined]
    return known.get(number, number)


def _check_length(text: str, field: str) -> None:
    if len(text) > MAX_ID_LENGTH:
        raise InvalidRequest(
            f"{field} is too long", field=field, found=f"{len(text)} characters", expected=f"at most {MAX_ID_LENGTH}"
        )
