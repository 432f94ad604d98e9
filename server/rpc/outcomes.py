"""What became of each rule, in wire format: what does not change from answer to answer is encoded once per plan.

Legend: G rules considered.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from protos.steering.v1 import recommend_pb2 as pb
from server.kept import Kept
from server.rpc.items import varint
from server.types import Answer, Considered, Effect, Plan

PLANS_KEPT = 256

_LENGTH_DELIMITED, _DOUBLE = 2, 1
_FIELDS = pb.RuleOutcome.DESCRIPTOR.fields_by_name
_NOTE = bytes([_FIELDS["note"].number << 3 | _LENGTH_DELIMITED])
_DOSE, _BEFORE, _AFTER = (
    bytes([_FIELDS[name].number << 3 | _DOUBLE]) for name in ("dose", "share_before", "share_after")
)
_RULES = bytes([pb.RecommendResponse.DESCRIPTOR.fields_by_name["rules"].number << 3 | _LENGTH_DELIMITED])
_double = struct.Struct("<d").pack

_SEEN: Kept[int, tuple[Plan, list[bytes]]] = Kept(PLANS_KEPT)
"""By the plan's id, which nobody else gets while the plan is held: its rules [G], none after one answer."""


def add_outcomes(
    response: pb.RecommendResponse, answer: Answer, told: Callable[[Considered], pb.RuleOutcome], *, shares: bool
) -> None:
    """Append one outcome per effect; ``told``: the part of it that is the same in every answer."""
    if not answer.effects:
        return
    known = _of_plan(answer, told)
    if not known:
        for effect in answer.effects:
            outcome = told(effect.considered)
            outcome.MergeFromString(_changing(effect, shares=shares))
            response.rules.append(outcome)
        return
    parts: list[bytes] = []
    for same, effect in zip(known, answer.effects, strict=True):
        body = same + _changing(effect, shares=shares)
        parts += (_RULES, varint(len(body)), body)
    response.MergeFromString(b"".join(parts))


def _of_plan(answer: Answer, told: Callable[[Considered], pb.RuleOutcome]) -> list[bytes]:
    """The rules' constant parts, from the second answer on: most plans of rules that never come again have one."""
    plan = answer.plan
    if plan is None:
        return []
    known = _SEEN.get(id(plan))
    if known is None:
        _SEEN.put(id(plan), (plan, []))
        return []
    if not known[1]:
        known = plan, [told(effect.considered).SerializeToString() for effect in answer.effects]
        _SEEN.put(id(plan), known)
    return known[1]


def _changing(effect: Effect, *, shares: bool) -> bytes:
    out = _DOSE + _double(effect.dose)
    if effect.note or effect.considered.note:
        note = "; ".join(note for note in (effect.considered.note, effect.note) if note).encode()
        out += _NOTE + varint(len(note)) + note
    if shares and effect.share_before is not None:
        out += _BEFORE + _double(effect.share_before)
    if shares and effect.share_after is not None:
        out += _AFTER + _double(effect.share_after)
    return out
