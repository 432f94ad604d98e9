"""What an answer must be, whatever was asked: right, or a clear refusal. Judged against the bundle's own labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from benchmarks.reliability.hostile import BATCH, RECOMMEND, World
from bundle import load_bundle
from protos.steering.v1 import recommend_pb2, rules_pb2

REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.FAILED_PRECONDITION,
}
BY_LABEL = (rules_pb2.MEMBERSHIP_UNSPECIFIED, rules_pb2.MEMBERSHIP_LABEL, rules_pb2.MEMBERSHIP_EITHER)


@dataclass(frozen=True)
class Truth:
    """The bundle's names, and concept -> ids that carry its label."""

    world: World
    members: dict[str, frozenset[str]]
    items: frozenset[str]

    @classmethod
    def of(cls, folder: Path) -> Truth:
        """Read from the bundle, not asked of the server."""
        contents = load_bundle(folder).contents
        ids = np.array(contents.items["item_id"].to_pylist())
        members = {}
        for concept in contents.concepts.concepts:
            if concept.row is not None:
                bits = np.unpackbits(contents.arrays.label_bits[concept.row], count=len(ids), bitorder="little")
                members[concept.id] = frozenset(ids[bits.astype(bool)].tolist())
        concepts = (*members, "latent:0", "latent:3")
        world = World(tuple(contents.user_ids or ()), tuple(ids.tolist()), concepts, contents.item_vectors.shape[1])
        return cls(world, members, frozenset(ids.tolist()))


def wrong(truth: Truth, request: recommend_pb2.RecommendRequest, answer: recommend_pb2.RecommendResponse) -> str:
    """What is wrong with an answer; empty where nothing is."""
    ids = [item.item_id for item in answer.items]
    given = set(ids)
    scores = [item.score for item in answer.items]
    if len(ids) > request.k or len(given) != len(ids):
        return f"{len(ids)} items, {len(given)} different, for k = {request.k}"
    if not given <= truth.items:
        return "an item that the catalogue does not have"
    if len(ids) < request.k and not answer.HasField("shortfall"):
        return f"{len(ids)} of {request.k} items without a word"
    if given & set(request.exclude_item_ids):
        return "an excluded item"
    if not all(map(math.isfinite, scores)):
        return "a score that is no number"
    if request.order != recommend_pb2.ORDER_BASE and scores != sorted(scores, reverse=True):
        return "scores out of order"
    for rule in request.rules:
        if rule.action != rules_pb2.ACTION_FILTER:
            continue
        if given & set(rule.items):
            return "an item that a filter names"
        for concept in (rule.concept, *rule.concepts):
            if rule.membership in BY_LABEL and given & truth.members.get(concept, frozenset()):
                return f"a member of {concept}, which a filter leaves out"
    return ""


def wrong_batch(answer: recommend_pb2.RecommendBatchResponse) -> str:
    """The same of a batch, of what can be told without its requests."""
    for result in answer.results:
        kind = result.WhichOneof("result")
        if kind is None:
            return "a result that is neither answer nor error"
        if kind == "error" and not (result.error.message and result.error.code in {c.value[0] for c in REFUSALS}):
            return f"an error without a clear refusal: {result.error}"
    return ""


def unclear(method: str, error: grpc.RpcError) -> str:
    """Why a refusal is none; empty where code, sentence and reason are there."""
    code, sentence = error.code(), error.details()
    if method not in (RECOMMEND, BATCH) and code is grpc.StatusCode.UNIMPLEMENTED:
        return ""
    if code not in REFUSALS:
        return f"{code.name}: {sentence}"
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]
    except ValueError as mismatch:  # the refusal was too long for gRPC, which put its own in its place
        return f"{code.name}: {sentence}: {mismatch}"
    if status is None:
        return "" if code is grpc.StatusCode.RESOURCE_EXHAUSTED else f"{code.name} without details: {sentence}"
    reasons = [ErrorInfo() for detail in status.details if detail.Is(ErrorInfo.DESCRIPTOR)]
    return "" if sentence and reasons else f"{code.name} without a reason: {sentence}"
