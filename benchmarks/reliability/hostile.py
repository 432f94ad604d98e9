"""Requests that somebody who means harm, or a client with a bug, would send; and what an answer to them must look like.

Messages whose fields are drawn from values that break things (half of them with little harm, so that they get far),
messages damaged as bytes, and calls to methods that are not there. Drawn from a seeded generator.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from benchmarks.reliability.mutate import damaged
from protos.steering.v1 import concepts_pb2, recommend_pb2, rules_pb2

RECOMMEND = "/steering.v1.RecommendService/Recommend"
BATCH = "/steering.v1.RecommendService/RecommendBatch"
LIST = "/steering.v1.ConceptService/ListConcepts"
NOWHERE = "/steering.v1.RecommendService/Nothing"

FLOATS = (0.0, -0.0, 0.5, 1.0, -1.0, 1.0000001, 1e-45, 1e30, -1e38, math.inf, -math.inf, math.nan)
COUNTS = (0, 1, 2, 10, 500, 501, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
TEXTS = (
    "", " ", "u0", "genre:horror", "latent:0", "latent:-1", "latent:99999999999999999999", "latent:1e3", "latent:", ":",
    "\x00", "../../etc/passwd", "'; drop table users; --", "${jndi:ldap://x}", "{{7*7}}", "\u202e\u0000x", "é" * 500,
    "a" * 501, "x" * 5000, "\U0001f4a9", "%s%n", "policy:filters", "\ud7ff", "None", "true",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """Names that the served bundle has, so that hostile requests get past the first check."""

    users: Sequence[str]
    items: Sequence[str]
    concepts: Sequence[str]
    dim: int


@dataclass(frozen=True)
class Sent:
    """A call: where, which bytes; ``request`` where they are a message as built, so that the answer can be judged."""

    method: str
    data: bytes
    request: recommend_pb2.RecommendRequest | None = None


def hostile(world: World, rng: random.Random) -> Sent:
    """One call."""
    kind = rng.random()
    request = _request(world, rng)
    if kind < 0.55:
        return Sent(RECOMMEND, request.SerializeToString(), request)
    if kind < 0.85:
        others = (_batch(world, rng).SerializeToString(), _list(rng).SerializeToString())
        return Sent(rng.choice((RECOMMEND, RECOMMEND, BATCH, LIST)), damaged(request.SerializeToString(), rng, others))
    if kind < 0.93:
        return Sent(BATCH, _batch(world, rng).SerializeToString())
    if kind < 0.98:
        return Sent(LIST, _list(rng).SerializeToString())
    return Sent(rng.choice((NOWHERE, "/", "//", "/x/y", RECOMMEND + "/")), rng.randbytes(rng.randrange(64)))


class _Draw:
    """Fields of one request; ``harm``: the part of them that is drawn from what breaks things."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world, self.rng = world, rng
        self.harm = rng.choice((0.01, 0.01, 0.1, 0.4))

    def bad(self) -> bool:
        return self.rng.random() < self.harm

    def maybe(self, chance: float) -> bool:
        return self.rng.random() < chance

    def name(self, known: Sequence[str]) -> str:
        return _text(self.rng) if self.bad() else self.rng.choice(known)

    def share(self) -> float:
        return self.rng.choice(FLOATS) if self.bad() else self.rng.random()

    def number(self, good: Sequence[int], bad: Sequence[int]) -> int:
        return self.rng.choice(bad if self.bad() else good)


def _request(world: World, rng: random.Random) -> recommend_pb2.RecommendRequest:
    draw = _Draw(world, rng)
    request = recommend_pb2.RecommendRequest(
        k=rng.choice(COUNTS) if draw.bad() else rng.randint(1, 40),
        ignore_policies=draw.maybe(0.1), explain=draw.maybe(0.1), include_baseline=draw.maybe(0.1),
        exclude_history=draw.bad(),
    )  # fmt: skip
    _user(request, draw)
    concepts = list(world.concepts)
    rng.shuffle(concepts)
    for place in range(draw.number((0, 1, 1, 2, 3), (8, 33))):
        _rule(request.rules.add(), concepts if draw.bad() else concepts[place % len(concepts) :][:1], draw)
    if draw.maybe(0.3):
        request.exclude_item_ids.extend(draw.name(world.items) for _ in range(rng.choice((1, 5, 50))))
    if draw.maybe(0.2):
        for _ in range(rng.randrange(6)):
            request.attributes[_text(rng)] = _text(rng)
    if draw.bad():
        request.request_id = _text(rng)
    if draw.maybe(0.1):
        request.order = draw.number((0, 1, 2), (3, -1, 2**31 - 1))  # type: ignore[assignment]
    return request


def _user(request: recommend_pb2.RecommendRequest, draw: _Draw) -> None:
    rng, world = draw.rng, draw.world
    if draw.maybe(0.5):
        request.user_id = draw.name(world.users)
    elif not draw.bad():
        length = rng.choice((0, 1, world.dim - 1, world.dim + 1, 4096)) if draw.bad() else world.dim
        values = [rng.gauss(0, 1) for _ in range(length)]
        if values and draw.bad():
            values[rng.randrange(length)] = rng.choice(FLOATS)
        request.embedding.values.extend([rng.choice(FLOATS)] * length if draw.bad() else values)
    elif draw.maybe(0.7):
        request.history.item_ids.extend(draw.name(world.items) for _ in range(rng.choice((0, 1, 5, 1001))))


def _rule(rule: rules_pb2.Rule, concepts: Sequence[str], draw: _Draw) -> None:
    rule.action = draw.number((1, 2, 2, 3, 3), (0, 4, -1))  # type: ignore[assignment]
    _subject(rule, concepts, draw)
    soft = rule.action != rules_pb2.ACTION_FILTER or draw.bad()
    if soft and draw.maybe(0.2):
        if (rule.action == rules_pb2.ACTION_DEMOTE) != draw.bad():
            rule.share.max = draw.share()
        else:
            rule.share.min = draw.share()
    elif soft and draw.maybe(0.7):
        rule.strength = draw.share()
    if soft and draw.maybe(0.2):
        rule.channel = draw.number((0, 1, 2), (3, -7))  # type: ignore[assignment]
    if not soft and draw.maybe(0.5):
        rule.membership = draw.number((0, 1, 2, 3), (4, -1))  # type: ignore[assignment]


def _subject(rule: rules_pb2.Rule, concepts: Sequence[str], draw: _Draw) -> None:
    """What the rule names: mostly a concept; sometimes a set of them, examples, items; rarely several ways at once."""
    rng, items = draw.rng, draw.world.items
    kind = rng.random()
    if kind < 0.7 or draw.bad():
        rule.concept = draw.name(concepts)
    if 0.7 <= kind < 0.8 or draw.bad():
        for _ in range(draw.number((1, 2, 3), (0, 33))):
            rule.concepts[draw.name(draw.world.concepts)] = rng.choice(FLOATS) if draw.bad() else rng.random()
    if 0.8 <= kind < 0.92 or draw.bad():
        ids = [draw.name(items) for _ in range(draw.number((1, 3), (0, 1001)))]
        (rule.like if rng.random() < 0.6 else rule.unlike).extend(ids)
    if kind >= 0.92 or draw.bad():
        rule.items.extend(draw.name(items) for _ in range(draw.number((1, 3), (0, 1001))))
        if draw.maybe(0.5):
            rule.toward = draw.name(draw.world.concepts)


def _batch(world: World, rng: random.Random) -> recommend_pb2.RecommendBatchRequest:
    count = rng.choice((0, 1, 2, 4, 257))
    if count > 4:  # too many: the same small one over and over
        one = recommend_pb2.RecommendRequest(user_id=world.users[0], k=1)
        return recommend_pb2.RecommendBatchRequest(requests=[one] * count)
    return recommend_pb2.RecommendBatchRequest(requests=[_request(world, rng) for _ in range(count)])


def _list(rng: random.Random) -> Message:
    message = concepts_pb2.ListConceptsRequest()
    for field in message.DESCRIPTOR.fields:
        if rng.random() < 0.5 or field.is_repeated:
            continue
        if field.cpp_type == field.CPPTYPE_STRING:
            setattr(message, field.name, _text(rng) if field.type == field.TYPE_STRING else b"")
        elif field.cpp_type in (field.CPPTYPE_UINT32, field.CPPTYPE_INT32):
            setattr(message, field.name, min(rng.choice(COUNTS), 2**31 - 1))
        elif field.cpp_type == field.CPPTYPE_BOOL:
            setattr(message, field.name, rng.random() < 0.5)
    return message


def _text(rng: random.Random) -> str:
    if rng.random() < 0.8:
        return rng.choice(TEXTS)
    return "".join(
        chr(rng.choice((rng.randrange(1, 128), rng.randrange(0x80, 0xD800)))) for _ in range(rng.randrange(30))
    )
