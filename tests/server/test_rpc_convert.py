"""Messages to the core's types and back: every enum value has its counterpart, and what cannot be meant is refused."""

from __future__ import annotations

import numpy as np
import pytest

from protos.steering.v1 import recommend_pb2 as pb
from protos.steering.v1 import rules_pb2
from server.errors import InvalidRequest
from server.rpc.convert import (
    ACTION_NUMBERS,
    ACTIONS,
    CHANNEL_NUMBERS,
    CHANNELS,
    MEMBERSHIP_NUMBERS,
    MEMBERSHIPS,
    ORDERS,
    STATUS_NUMBERS,
    STATUSES,
    to_query,
    to_rule,
    to_rule_message,
)
from server.subject import Given
from server.types import Action, Channel, Membership, Order, Query, Rule, Status


def test_every_enum_value_of_the_wire_has_its_counterpart() -> None:
    assert set(ACTIONS) == set(rules_pb2.Action.values()) - {0}
    assert set(CHANNELS) == set(rules_pb2.Channel.values())
    assert set(MEMBERSHIPS) == set(rules_pb2.Membership.values())
    assert set(STATUSES) == set(pb.RuleStatus.values()) - {0}
    assert set(ORDERS) == set(pb.Order.values())
    assert {pb.Order.Name(n) for n in list(ORDERS)[1:]} == {f"ORDER_{order.name}" for order in Order}


def test_every_enum_value_of_the_core_has_its_counterpart_with_the_same_name() -> None:
    assert {a: rules_pb2.Action.Name(n) for a, n in ACTION_NUMBERS.items()} == {a: f"ACTION_{a.name}" for a in Action}
    assert {c: rules_pb2.Channel.Name(n) for c, n in CHANNEL_NUMBERS.items()} == {
        c: f"CHANNEL_{c.name}" for c in Channel
    }
    assert {s: pb.RuleStatus.Name(n) for s, n in STATUS_NUMBERS.items()} == {s: f"RULE_STATUS_{s.name}" for s in Status}
    names = {m: rules_pb2.Membership.Name(n) for m, n in MEMBERSHIP_NUMBERS.items()}
    assert names == {
        Membership.DEFAULT: "MEMBERSHIP_UNSPECIFIED",
        Membership.LABEL: "MEMBERSHIP_LABEL",
        Membership.READOUT: "MEMBERSHIP_READOUT",
        Membership.EITHER: "MEMBERSHIP_EITHER",
    }


def test_a_whole_request() -> None:
    request = pb.RecommendRequest(
        user_id="u7",
        k=12,
        rules=[
            rules_pb2.Rule(action="ACTION_FILTER", concept="genre:horror", membership="MEMBERSHIP_EITHER"),
            rules_pb2.Rule(action="ACTION_DEMOTE", concept="genre:comedy"),
            rules_pb2.Rule(action="ACTION_PROMOTE", concept="latent:3", strength=0.25, channel="CHANNEL_QUERY"),
        ],
        exclude_item_ids=["i1", "i2"],
        attributes={"surface": "home"},
        ignore_policies=True,
        explain=True,
        include_baseline=True,
    )
    assert to_query(request) == Query(
        k=12,
        user_id="u7",
        rules=(
            Rule(Action.FILTER, "genre:horror", 1.0, membership=Membership.EITHER),
            Rule(Action.DEMOTE, "genre:comedy", 0.5),
            Rule(Action.PROMOTE, "latent:3", 0.25, Channel.QUERY),
        ),
        exclude=("i1", "i2"),
        attributes={"surface": "home"},
        use_policies=False,
        explain=True,
        baseline=True,
    )


def test_an_embedding_is_float32_and_a_request_without_user_has_neither() -> None:
    query = to_query(pb.RecommendRequest(embedding=pb.Embedding(values=[1.5, -2.0])))
    assert query.user_id is None
    assert query.embedding is not None
    assert query.embedding.dtype == np.float32
    assert query.embedding.tolist() == [1.5, -2.0]
    nobody = to_query(pb.RecommendRequest(k=1))
    assert (nobody.user_id, nobody.embedding) == (None, None)


def test_strength_0_is_not_unset() -> None:
    assert to_rule(rules_pb2.Rule(action="ACTION_DEMOTE", concept="a:b", strength=0.0), "rules[0]").strength == 0.0


REFUSED = {
    "no action": (
        rules_pb2.Rule(concept="genre:horror"),
        "rules[3].action",
        "rules[3].action: found unset, expected FILTER | DEMOTE | PROMOTE.",
    ),
    "an action of the future": (
        rules_pb2.Rule(action=9, concept="genre:horror"),  # type: ignore[arg-type]
        "rules[3].action",
        "rules[3].action: found 9, expected FILTER | DEMOTE | PROMOTE.",
    ),
    "a channel of the future": (
        rules_pb2.Rule(action="ACTION_DEMOTE", concept="genre:horror", channel=7),  # type: ignore[arg-type]
        "rules[3].channel",
        "rules[3].channel: found 7, expected ITEM | QUERY.",
    ),
    "a membership of the future": (
        rules_pb2.Rule(action="ACTION_FILTER", concept="genre:horror", membership=5),  # type: ignore[arg-type]
        "rules[3].membership",
        "rules[3].membership: found 5, expected LABEL | READOUT | EITHER.",
    ),
    "strength on a filter": (
        rules_pb2.Rule(action="ACTION_FILTER", concept="genre:horror", strength=0.5),
        "rules[3].strength",
        "rules[3].strength: found 0.5, expected unset. "
        "A filter lets no member through, so it takes neither strength nor channel. Leave it out, or DEMOTE.",
    ),
    "channel on a filter": (
        rules_pb2.Rule(action="ACTION_FILTER", concept="genre:horror", channel="CHANNEL_ITEM"),
        "rules[3].channel",
        "rules[3].channel: found CHANNEL_ITEM, expected unset. "
        "A filter lets no member through, so it takes neither strength nor channel. Leave it out, or DEMOTE.",
    ),
    "membership on a soft rule": (
        rules_pb2.Rule(action="ACTION_PROMOTE", concept="genre:horror", membership="MEMBERSHIP_LABEL"),
        "rules[3].membership",
        "rules[3].membership: found MEMBERSHIP_LABEL, expected unset. "
        "A promote acts in proportion to the read-out. Leave it out, or FILTER.",
    ),
    "a share on a filter": (
        rules_pb2.Rule(action="ACTION_FILTER", concept="genre:horror", share=rules_pb2.ShareTarget(max=0)),
        "rules[3].share",
        "rules[3].share: found a share, expected unset. "
        "A filter lets no member through, so it takes neither strength nor channel. Leave it out, or DEMOTE.",
    ),
    "a share of the wrong kind": (
        rules_pb2.Rule(action="ACTION_PROMOTE", concept="genre:horror", share=rules_pb2.ShareTarget(max=0.2)),
        "rules[3].share",
        "rules[3].share: found max, expected min. DEMOTE leaves at most (max), PROMOTE gives at least (min).",
    ),
    "a share without a bound": (
        rules_pb2.Rule(action="ACTION_DEMOTE", concept="genre:horror", share=rules_pb2.ShareTarget()),
        "rules[3].share",
        "rules[3].share: found neither max nor min, expected max. DEMOTE leaves at most (max), PROMOTE gives at least "
        "(min).",
    ),
    "a share and a strength": (
        rules_pb2.Rule(action="ACTION_DEMOTE", concept="a:b", strength=0.5, share=rules_pb2.ShareTarget(max=0.2)),
        "rules[3].strength",
        "rules[3].strength: found 0.5, expected unset with a share. A share is met by the dose that it takes. Send one "
        "of the two.",
    ),
    "a concept of a megabyte": (
        rules_pb2.Rule(action="ACTION_DEMOTE", concept="g" * 1_000_000),
        "rules[3].concept",
        "rules[3].concept is too long: found 1000000 characters, expected at most 500.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_field_and_sentence(case: str) -> None:
    rule, field, sentence = REFUSED[case]
    with pytest.raises(InvalidRequest) as caught:
        to_rule(rule, "rules[3]")
    assert caught.value.field == field
    assert str(caught.value) == sentence


def test_a_long_user_id_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        to_query(pb.RecommendRequest(user_id="u" * 501, k=1))
    assert caught.value.field == "user_id"
    assert str(caught.value) == "user_id is too long: found 501 characters, expected at most 500."


def about(action: Action, given: Given) -> Rule:
    return Rule.about(given, action, strength=1.0 if action is Action.FILTER else 0.5)


@pytest.mark.parametrize(
    ("message", "field", "sentence"),
    [
        (rules_pb2.Rule(), "rules[0].concept", "rules[0].concept: nothing is named: expected one of concept, concepts"),
        (
            rules_pb2.Rule(concept="a:b", like=["c"]),
            "rules[0].like",
            "a second subject beside concept: expected one of",
        ),
        (
            rules_pb2.Rule(concept="a:b", toward="c:d"),
            "rules[0].toward",
            "without items: found c:d, expected no toward",
        ),
        (
            rules_pb2.Rule(concepts={"a:b": float("nan")}),
            "rules[0].concepts.a:b",
            "weight: found nan, expected above 0",
        ),
        (rules_pb2.Rule(like=["c", ""]), "rules[0].like[1]", "item id: found '', expected an item id"),
        (rules_pb2.Rule(items=["c", "c"]), "rules[0].items[1]", "each item once; it is in items[0] already"),
        (rules_pb2.Rule(items=map(str, range(1001))), "rules[0].items", "too many items: found 1001, expected at most"),
        (rules_pb2.Rule(concepts={f"a:{n}": 1 for n in range(33)}), "rules[0].concepts", "too many: found 33"),
        (rules_pb2.Rule(action="ACTION_FILTER", unlike=["c"]), "rules[0].unlike", "filter like."),
        (rules_pb2.Rule(concepts={"a:" + "x" * 500: 1, "a:b": 1}), "rules[0].concepts", "found 502 characters"),
    ],
)
def test_what_names_nothing_or_two_things_is_refused(message: rules_pb2.Rule, field: str, sentence: str) -> None:
    if not message.action:
        message.action = rules_pb2.ACTION_PROMOTE
    with pytest.raises(InvalidRequest) as caught:
        to_rule(message, "rules[0]")
    assert caught.value.field == field
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "rule",
    [
        Rule(Action.FILTER, "genre:horror", 1.0),
        Rule(Action.FILTER, "genre:horror", 1.0, membership=Membership.READOUT),
        Rule(Action.DEMOTE, "genre:horror", 0.0),
        Rule(Action.PROMOTE, "latent:113", 0.75, Channel.QUERY),
        Rule(Action.PROMOTE, "genre:horror", 1.0, share=0.25),
        Rule(Action.DEMOTE, "genre:horror", 1.0, share=0.0),
        about(Action.PROMOTE, Given(concepts={"genre:horror": 1, "genre:comedy": 0.25})),
        about(Action.FILTER, Given(like=("a", "b"), unlike=("c",))),
        about(Action.DEMOTE, Given(unlike=("c",))),
        about(Action.DEMOTE, Given(items=tuple(f"item-{number}" for number in range(40)))),
        about(Action.PROMOTE, Given(items=("a",), toward="genre:horror")),
    ],
)
def test_a_rule_survives_the_way_there_and_back(rule: Rule) -> None:
    message = to_rule_message(rule)
    assert message.HasField("strength") == (rule.action is not Action.FILTER and rule.share is None)
    assert to_rule(rules_pb2.Rule.FromString(message.SerializeToString()), "rules[0]") == rule


def test_a_rule_about_nothing_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refused:
        to_rule(rules_pb2.Rule(action=rules_pb2.ACTION_DEMOTE, strength=0.5), "rules[2]")
    assert refused.value.field == "rules[2].concept"
    assert "one of concept, concepts, like and unlike, items" in refused.value.sentence()
