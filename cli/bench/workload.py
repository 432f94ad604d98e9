"""What is asked of a bundle: the same users, with no rule, one, eight and thirty-two, one list or many in a call.

Rules name the bundle's own concepts, evenly spread from the largest to the smallest, and its most active latents where
it has too few; one rule alone names the concept of middle size.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bundle import LATENT_FAMILY, Bundle, load_bundle, search_query
from protos.steering.v1 import recommend_pb2 as pb
from protos.steering.v1 import rules_pb2

FILTER, DEMOTE, PROMOTE = rules_pb2.ACTION_FILTER, rules_pb2.ACTION_DEMOTE, rules_pb2.ACTION_PROMOTE
MIX = (PROMOTE, DEMOTE, FILTER, PROMOTE, DEMOTE, PROMOTE, FILTER, DEMOTE)
"""Of eight rules; thirty-two are four times as many of each."""

ECHO, ECHO_BATCH, FAISS = "echo", "echo, batch", "bare FAISS"
NO_RULE, BATCH = "no rule", "batch, no rule"
ONE_RULE = ("1 filter", "1 demotion", "1 promotion")
USERS = 200
MOST_RULES = 32

SINGLE_METHOD = "/steering.v1.RecommendService/Recommend"
BATCH_METHOD = "/steering.v1.RecommendService/RecommendBatch"


@dataclass(frozen=True)
class Case:
    """One kind of call. ``lists``: how many an answer holds; 1: Recommend, more: RecommendBatch."""

    name: str
    actions: tuple[rules_pb2.Action, ...] = ()
    lists: int = 1

    @property
    def method(self) -> str:
        """Its path on the wire."""
        return SINGLE_METHOD if self.lists == 1 else BATCH_METHOD

    @property
    def is_echo(self) -> bool:
        """Whether the echo service is asked, not the server."""
        return self.name in {ECHO, ECHO_BATCH}


def make_cases(batch: int) -> tuple[Case, ...]:
    """Every kind of call, ``batch`` lists in a batch."""
    return (
        Case(ECHO),
        Case(NO_RULE),
        *(Case(name, (action,)) for name, action in zip(ONE_RULE, (FILTER, DEMOTE, PROMOTE), strict=True)),
        Case("8 rules", MIX),
        Case("32 rules", MIX * 4),
        Case(ECHO_BATCH, lists=batch),
        Case(BATCH, lists=batch),
        Case("batch, 1 promotion", (PROMOTE,), batch),
        Case("batch, 8 rules", MIX, batch),
        Case("batch, 32 rules", MIX * 4, batch),
    )


@dataclass(frozen=True)
class Workload:
    """Of one bundle. ``payloads``: case -> messages, one per user or group of users; ``queries`` [U, D'] for its index.

    ``queries`` is None where a network scores: its index, if it has one, does not answer what users ask.
    """

    name: str
    bundle: Path
    bundle_id: str
    items: int
    payloads: dict[str, tuple[bytes, ...]]
    queries: npt.NDArray[np.float32] | None


def make_workload(path: Path, cases: tuple[Case, ...], k: int) -> Workload:
    """The calls for the bundle in ``path``.

    Raises:
        BundleError: it is no bundle.
    """
    bundle = load_bundle(path, verify=False)  # the server proves its checksums
    manifest, contents = bundle.manifest, bundle.contents
    vectors = contents.item_vectors if contents.user_vectors is None else contents.user_vectors
    rows = np.linspace(0, len(vectors) - 1, min(USERS, len(vectors))).astype(int)
    chosen = np.asarray(vectors[rows], np.float32)
    ids = None if contents.user_ids is None else [contents.user_ids[row] for row in rows]
    concepts = _concepts(bundle)
    payloads = {}
    for case in cases:
        rules = _rules(case.actions, concepts)
        asked = [
            pb.RecommendRequest(
                k=k, rules=rules,
                **({"user_id": ids[place]} if ids else {"embedding": pb.Embedding(values=chosen[place].tolist())}),
            )
            for place in range(len(rows))
        ]  # fmt: skip
        payloads[case.name] = tuple(_messages(asked, case.lists))
    inner_product = manifest.scorer != "network"
    return Workload(
        name=f"{manifest.dims.items:,} items",
        bundle=path,
        bundle_id=manifest.bundle_id,
        items=manifest.dims.items,
        payloads=payloads,
        queries=np.stack([search_query(x, has_bias=manifest.item_bias, metric=manifest.metric) for x in chosen])
        if inner_product
        else None,
    )


def check_answer(answer: bytes, case: Case, k: int) -> str:
    """What is wrong with an answer, in words; empty: nothing."""
    if case.lists == 1:
        lists = [pb.RecommendResponse.FromString(answer)]
    else:
        results = pb.RecommendBatchResponse.FromString(answer).results
        if refused := [result.error.message for result in results if result.HasField("error")]:
            return refused[0]
        lists = [result.response for result in results]
    if len(lists) != case.lists:
        return f"{len(lists)} lists, expected {case.lists}"
    short = [len(one.items) for one in lists if len(one.items) != k and not one.HasField("shortfall")]
    return f"{short[0]} items, expected {k}" if short else ""


def _messages(asked: list[pb.RecommendRequest], lists: int) -> list[bytes]:
    if lists == 1:
        return [request.SerializeToString() for request in asked]
    groups = range(0, len(asked), max(1, len(asked) // 8))
    return [
        pb.RecommendBatchRequest(
            requests=[asked[(start + place) % len(asked)] for place in range(lists)]
        ).SerializeToString()
        for start in groups
    ]


def _concepts(bundle: Bundle) -> list[str]:
    """Offered concepts, the largest first, then latents, the most active first."""
    offered = [one for one in bundle.contents.concepts.concepts if one.offered]
    named = [one.id for one in sorted(offered, key=lambda one: -one.items)]
    codes = bundle.contents.item_codes
    activity = np.bincount(codes.indices, minlength=codes.latents)
    missing = max(0, MOST_RULES - len(named))
    return named + [f"{LATENT_FAMILY}:{latent}" for latent in np.argsort(-activity, kind="stable")[:missing]]


def _rules(actions: tuple[rules_pb2.Action, ...], concepts: list[str]) -> list[rules_pb2.Rule]:
    """One per action, each of another concept; fewer where a small bundle has no more."""
    made = []
    actions = actions[: len(concepts)]
    for place, action in enumerate(actions):
        rule = rules_pb2.Rule(action=action, concept=concepts[int((place + 0.5) * len(concepts) / len(actions))])
        if action != FILTER:
            rule.strength = 0.5
        made.append(rule)
    return made
