"""1,000,000 malformed and hostile requests: no crash, no hang, no wrong answer, always a clear refusal.

    python -m benchmarks.reliability requests [--count 1000000] [--bundle DIR]

Several client processes send them to one server process over gRPC, which is told to be patient, so that each is read
and none refused unread. Every answer is judged against the bundle's labels, every refusal for its code, sentence and
reason. Between them good requests are asked, whose answers were recorded before the first hostile one and must not
change by a bit. Exit code 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import Counter
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import grpc

from benchmarks.reliability.ground import bar, catalogue, save, serving
from benchmarks.reliability.hostile import BATCH, LIST, RECOMMEND, Sent, World, hostile
from benchmarks.reliability.judge import Truth, unclear, wrong, wrong_batch
from cli.bench.measure import PATIENT
from protos.steering.v1 import concepts_pb2, recommend_pb2, rules_pb2

IN_FLIGHT, SLICE, EVERY = 48, 2_000, 400
HANG_SECONDS = 20.0
SHOWN, SHOWN_LOG = 20, 4_000


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the part takes."""
    parser.add_argument("--count", type=int, default=1_000_000, help="requests to send; default 1000000")
    parser.add_argument("--bundle", type=Path, help="a bundle in the place of a planted one of 4,000 items")
    parser.add_argument("--clients", type=int, default=2, help="client processes; default 2")
    parser.add_argument("--seed", type=int, default=0)


def run(asked: argparse.Namespace) -> int:
    """Send, judge, count."""
    began = time.perf_counter()
    with catalogue(asked.bundle) as bundle, serving(bundle, *PATIENT) as served:
        before = served.usage()
        slices = [min(SLICE, asked.count - start) for start in range(0, asked.count, SLICE)]
        found: Counter[str] = Counter()
        examples: list[str] = []
        pools = get_context("spawn").Pool(asked.clients, _open, (str(bundle), served.grpc))
        with pools as pool, bar("hostile requests", asked.count) as advance:
            jobs = ((count, f"{asked.seed}/{number}") for number, count in enumerate(slices))
            for counts, faults in pool.imap_unordered(_slice, jobs):
                found.update(counts)
                examples += faults[: SHOWN - len(examples)]
                advance(counts["sent"])
        alive, after = served.alive(), served.usage() if served.alive() else {}
        told = served.told.read_text(errors="replace")
        internal = told.count("internal error")
    bad = (
        found["wrong answers"]
        + found["unclear refusals"]
        + found["hangs"]
        + found["good requests answered differently"]
    )
    figures: dict[str, Any] = {
        "sent": found["sent"],
        "answered": found["answered"],
        "refused": found["refused"],
        "by_code": {name.removeprefix("code "): n for name, n in sorted(found.items()) if name.startswith("code ")},
        "good_requests_between": found["good"],
        **{name.replace(" ", "_"): found[name]
           for name in ("wrong answers", "unclear refusals", "hangs", "good requests answered differently")},
        "internal_errors_logged": internal,
        "server_still_runs": alive,
        "server_before": before,
        "server_after": after,
        "examples": examples,
        "log": told[:SHOWN_LOG],
    }  # fmt: skip
    save(asked.out, "requests", figures, began)
    return int(bad > 0 or internal > 0 or not alive)


class _Client:
    """One process's channel, truth, and the recorded answers of its good requests."""

    def __init__(self, bundle: Path, target: str) -> None:
        self.truth = Truth.of(bundle)
        self.target = target
        self.good = _good(self.truth.world)
        self.recorded: list[recommend_pb2.RecommendResponse] = []


_HERE: list[_Client] = []
"""The client of this process; a pool's workers have no other place for it."""


def _open(bundle: str, target: str) -> None:
    _HERE[:] = [_Client(Path(bundle), target)]
    asyncio.run(_record(_HERE[0]))


def _good(world: World) -> list[bytes]:
    """Requests that must go on being answered: plain, filtered, steered, explained."""
    concept = world.concepts[0]
    rules = [
        [],
        [rules_pb2.Rule(action=rules_pb2.ACTION_FILTER, concept=concept)],
        [rules_pb2.Rule(action=rules_pb2.ACTION_PROMOTE, concept=concept, strength=0.7)],
        [rules_pb2.Rule(action=rules_pb2.ACTION_DEMOTE, concept=world.concepts[1], strength=1.0)],
    ]
    return [
        recommend_pb2.RecommendRequest(
            user_id=world.users[number], k=20, rules=own, explain=number % 2 == 0, request_id="good"
        ).SerializeToString()
        for number, own in enumerate(rules)
    ]


async def _record(client: _Client) -> None:
    async with grpc.aio.insecure_channel(client.target) as channel:
        call = channel.unary_unary(RECOMMEND, None, recommend_pb2.RecommendResponse.FromString)
        client.recorded = [await call(data, timeout=HANG_SECONDS) for data in client.good]


def _slice(job: tuple[int, str]) -> tuple[Counter[str], list[str]]:
    return asyncio.run(_ask(*job))


async def _ask(count: int, seed: str) -> tuple[Counter[str], list[str]]:
    client = _HERE[0]
    rng = random.Random(seed)
    found: Counter[str] = Counter()
    examples: list[str] = []
    options = [("grpc.max_receive_message_length", 64 << 20)]
    async with grpc.aio.insecure_channel(client.target, options=options) as channel:
        waiting = iter(range(count))

        async def worker() -> None:
            for number in waiting:
                sent = hostile(client.truth.world, rng)
                fault = await _one(client.truth, channel, sent, found)
                if fault:
                    examples.append(f"seed {seed}, {sent.method}, {sent.data[:200].hex()}: {fault[:300]}")
                if number % EVERY == 0:
                    await _still_good(client, channel, number // EVERY % len(client.good), found, examples)

        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return found, examples


async def _one(truth: Truth, channel: grpc.aio.Channel, sent: Sent, found: Counter[str]) -> str:
    """Send and judge; the fault, empty where there is none."""
    found["sent"] += 1
    try:
        data = await channel.unary_unary(sent.method, None, None)(sent.data, timeout=HANG_SECONDS)
    except grpc.aio.AioRpcError as error:
        found[f"code {error.code().name}"] += 1
        if error.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE):
            found["hangs"] += 1
            return f"{error.code().name}: {error.details()}"
        found["refused"] += 1
        fault = unclear(sent.method, error)
        found["unclear refusals"] += bool(fault)
        return fault
    found["answered"] += 1
    fault = ""
    if sent.method == RECOMMEND:
        answer = recommend_pb2.RecommendResponse.FromString(data)
        request = sent.request or recommend_pb2.RecommendRequest.FromString(sent.data)
        fault = wrong(truth, request, answer)
    elif sent.method == BATCH:
        fault = wrong_batch(recommend_pb2.RecommendBatchResponse.FromString(data))
    elif sent.method == LIST:
        concepts_pb2.ListConceptsResponse.FromString(data)
    found["wrong answers"] += bool(fault)
    return fault


async def _still_good(
    client: _Client, channel: grpc.aio.Channel, which: int, found: Counter[str], examples: list[str]
) -> None:
    found["good"] += 1
    call = channel.unary_unary(RECOMMEND, None, recommend_pb2.RecommendResponse.FromString)
    try:
        answer = await call(client.good[which], timeout=HANG_SECONDS)
    except grpc.aio.AioRpcError as error:
        found["good requests answered differently"] += 1
        examples.append(f"a good request was refused: {error.code().name}: {error.details()}")
        return
    if answer != client.recorded[which]:
        found["good requests answered differently"] += 1
        examples.append(f"good request {which} was answered differently")
