"""Bundles and policies that change under load: does one call fail, is one promise broken, does memory grow?

    python -m benchmarks.bundle_swap [--swaps 100] [--reloads 1000] [--items 4000] [--out FILE]

A real server process is started with a link to one of three bundles (one catalogue, three trainings, so that labels are
on other items in each) and a folder of policies. While two client processes ask without pause, the link is moved again
as soon as the server follows it, and the folder is changed and reloaded through the admin service, between revisions
that filter different concepts. An answer names its bundle and its revision, and is held against the labels of exactly
that bundle for exactly the concepts that this revision filters: what comes back is complete and has none of them.
Prints the figures and writes them as JSON; exit code 1 if a call failed or a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from bundle import load_bundle
from bundle.link import point
from cli.bench.catalogue import write_catalogue
from cli.scrape import fetch
from client.admin import TillerAdmin
from protos.steering.v1.recommend_pb2 import RecommendRequest
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub
from server.policy import revision_of

CLIENTS, BUNDLES, USERS = 2, 3, 200
FILE = "filters.yaml"
PROCESS = ("process_resident_memory_bytes", "process_open_fds")
QUIET = 2000
"""Answers before anything changes, to compare with."""

SETTLED = 5
"""Swaps after which memory is looked at first: by then the previous bundle is held as well."""


@dataclass(frozen=True)
class World:
    """What is served: bundles by place, their users, and (bundle id, revision) -> ids that must not come back."""

    bundles: list[Path]
    ids: list[str]
    revisions: list[bytes]
    forbidden: dict[tuple[str, str], frozenset[str]]
    users: list[str]


def main() -> int:
    """Measure, print, write."""
    asked = _arguments()
    with tempfile.TemporaryDirectory(prefix="tiller-swap-") as place:
        world = _world(Path(place), asked.items)
        result = _run(Path(place), world, asked)
    text = json.dumps(result, indent=1)
    print(text)
    if asked.out is not None:
        asked.out.write_text(text + "\n")
    return int(result["failed"] + result["broken_promises"] + result["incomplete"] > 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=100, help="bundles to bring into force")
    parser.add_argument("--reloads", type=int, default=1000, help="policy revisions to bring into force")
    parser.add_argument("--items", type=int, default=4000, help="size of the catalogue")
    parser.add_argument("--k", type=int, default=30, help="length of the lists")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    given = parser.parse_args()
    if given.out is not None and (given.out.is_dir() or not given.out.absolute().parent.is_dir()):
        parser.error(f"--out {given.out}: expected a file in a folder that exists, such as swap.json")
    return given


def _world(folder: Path, items: int) -> World:
    bundles, members = [], []
    for seed in range(BUNDLES):
        bundles.append(folder / f"v{seed}")
        write_catalogue(bundles[-1], items, seed)
    loaded = [load_bundle(path) for path in bundles]
    for bundle in loaded:
        contents = bundle.contents
        ids = np.array(contents.items["item_id"].to_pylist())
        bits = np.unpackbits(contents.arrays.label_bits, axis=1, count=len(ids), bitorder="little").astype(bool)
        members.append(
            {
                one.id: frozenset(ids[bits[one.row]].tolist())
                for one in contents.concepts.concepts
                if one.row is not None
            }
        )
    names = sorted(members[0], key=lambda name: -len(members[0][name]))[1:5]
    chosen = [(names[0],), (names[1],), (names[0], names[2]), (names[3],)]
    files = [_file(concepts) for concepts in chosen]
    forbidden = {
        (bundle.manifest.bundle_id, revision_of({FILE: file})): frozenset().union(*(own[one] for one in concepts))
        for bundle, own in zip(loaded, members, strict=True)
        for file, concepts in zip(files, chosen, strict=True)
    }
    return World(bundles, [one.manifest.bundle_id for one in loaded], files, forbidden,
                 list(loaded[0].contents.user_ids or ())[:USERS])  # fmt: skip


def _file(concepts: tuple[str, ...]) -> bytes:
    rules = "".join(f"      - {{action: filter, concept: {json.dumps(one)}}}\n" for one in concepts)
    return f"policies:\n  - name: filters\n    owner: benchmark\n    rules:\n{rules}".encode()


def _run(folder: Path, world: World, asked: argparse.Namespace) -> dict[str, Any]:
    link, policies = folder / "current", folder / "policies"
    policies.mkdir()
    (policies / FILE).write_bytes(world.revisions[0])
    point(link, world.bundles[0])
    context = get_context("spawn")
    with _server(folder, link, policies) as where, context.Manager() as manager:
        stop: Event = manager.Event()  # type: ignore[assignment]
        with context.Pool(CLIENTS) as pool:
            asking = [
                pool.apply_async(ask, (where["grpc"], world.users[n::CLIENTS], asked.k, world.forbidden, stop))
                for n in range(CLIENTS)
            ]
            with TillerAdmin(where["admin"], timeout=60) as admin:
                while (
                    fetch(where["metrics"]).one("tiller_requests_total", method="Recommend", code="OK") or 0
                ) < QUIET:
                    time.sleep(0.1)
                changing = time.perf_counter()
                reloading = threading.Thread(target=_reload, args=(admin, policies, world.revisions, asked.reloads))
                reloading.start()
                memory = _swap(admin, where["metrics"], link, world, asked.swaps)
                reloading.join()
                changed = time.perf_counter()
                status = admin.status()
                memory.append(_process(where["metrics"]))
            stop.set()
            parts = [call.get() for call in asking]
    quiet = sorted(took for part in parts for at, took in part["took"] if at < changing)
    busy = sorted(took for part in parts for at, took in part["took"] if changing <= at <= changed)
    total = {
        name: sum(part[name] for part in parts) for name in ("answers", "failed", "broken", "incomplete", "elsewhere")
    }
    return {
        "items": asked.items, "k": asked.k, "clients": CLIENTS, "seconds": round(changed - changing, 1),
        "answers": total["answers"], "failed": total["failed"], "broken_promises": total["broken"],
        "incomplete": total["incomplete"], "forbidden_elsewhere": total["elsewhere"],
        "swaps": status.bundle_swaps, "reloads": status.reloads,
        "refused": status.bundle_refusals + status.refusals,
        "bundles_seen": len(set().union(*(part["bundles"] for part in parts))),
        "pairs_seen": len(set().union(*(part["pairs"] for part in parts))),
        "failures": sorted(set().union(*(part["reasons"] for part in parts))),
        "milliseconds": {"quiet": _quantiles(quiet), "changing": _quantiles(busy)},
        "process": {f"after {SETTLED} swaps": memory[0], "at the end": memory[-1]},
    }  # fmt: skip


def _reload(admin: TillerAdmin, policies: Path, revisions: list[bytes], count: int) -> None:
    for number in range(1, count + 1):
        temporary = policies / ".next"
        temporary.write_bytes(revisions[number % len(revisions)])
        temporary.replace(policies / FILE)
        outcome = admin.reload().outcome
        assert outcome == "loaded", outcome


def _swap(admin: TillerAdmin, metrics: str, link: Path, world: World, count: int) -> list[dict[str, float]]:
    looked = []
    for number in range(1, count + 1):
        place = number % len(world.bundles)
        point(link, world.bundles[place])
        while admin.status().bundle_id != world.ids[place]:
            time.sleep(0.02)
        if number == SETTLED:
            looked.append(_process(metrics))
    return looked or [_process(metrics)]


def _process(metrics: str) -> dict[str, float]:
    scrape = fetch(metrics)
    return {name: scrape.one(name) or 0.0 for name in PROCESS}


@contextmanager
def _server(folder: Path, link: Path, policies: Path) -> Iterator[dict[str, Any]]:
    ports = folder / "ports.json"
    server = subprocess.Popen(
        [sys.executable, "-m", "server", "--bundle", link, "--bundle-poll-seconds", "0.2", "--policies", policies,
         "--policy-poll-seconds", "0", "--port", "0", "--metrics-port", "0", "--admin-port", "0", "--share-sample", "0",
         "--max-wait-ms", "0",  # a call that waits for the processor is no call that a swap cost
         "--log-level", "error", "--port-file", ports],
        stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        while not ports.exists():
            if server.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(0.05)
        yield json.loads(ports.read_text())
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def ask(
    target: str, users: list[str], k: int, forbidden: dict[tuple[str, str], frozenset[str]], stop: Event
) -> dict[str, Any]:
    """One client, without retries: ask until told to stop, hold each answer against what it says that it comes from."""
    counts: dict[str, Any] = {"answers": 0, "failed": 0, "broken": 0, "incomplete": 0, "elsewhere": 0}
    every = frozenset().union(*forbidden.values())
    pairs: set[tuple[str, str]] = set()
    reasons: set[str] = set()
    took: list[tuple[float, float]] = []
    with grpc.insecure_channel(target) as channel:
        stub = RecommendServiceStub(channel)
        while not stop.is_set():
            for user in users:
                began = time.perf_counter()
                try:
                    answer = stub.Recommend(RecommendRequest(user_id=user, k=k), timeout=30)
                except grpc.RpcError as error:
                    counts["failed"] += 1
                    reasons.add(f"{error.code().name}: {error.details()}")
                    continue
                took.append((began, time.perf_counter() - began))
                pair = answer.bundle_id, answer.policy_revision
                ids = {item.item_id for item in answer.items}
                counts["answers"] += 1
                counts["broken"] += len(ids & forbidden[pair])
                counts["elsewhere"] += len(ids & every - forbidden[pair])
                counts["incomplete"] += len(ids) != k
                pairs.add(pair)
    return {**counts, "pairs": pairs, "bundles": {one for one, _ in pairs}, "reasons": reasons, "took": took}


def _quantiles(took: list[float]) -> dict[str, float]:
    if not took:
        return {}
    return {"calls": len(took), "p50": round(1e3 * took[len(took) // 2], 2),
            "p99": round(1e3 * took[int(0.99 * len(took))], 2), "max": round(1e3 * took[-1], 2)}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
