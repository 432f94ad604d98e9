"""Policies that change under load: how many forbidden items are returned in a million?

    python -m benchmarks.policy_reload [--items 4000] [--returned 1000000] [--k 100] [--bundle DIR]

A real server process watches a folder that is mounted as Kubernetes mounts a ConfigMap: `..data` is a link that is
swapped twice a second, between revisions that filter different concepts, every third time to a file that must be
refused. Two client processes ask without pause. An answer names its revision, and every item of it is held against the
bundle's own labels for exactly the concepts that this revision filters; what only another revision forbids is counted
beside it, and shows that there was something to forbid. Prints the counts; exit code 1 if one item is forbidden.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from bundle import load_bundle
from cli.bench.catalogue import write_catalogue
from protos.steering.v1.recommend_pb2 import RecommendRequest
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub
from server.policy import revision_of

CLIENTS = 2
SWAP_SECONDS = 0.5
FILE = "filters.yaml"


def main() -> int:
    """Measure and print."""
    asked = _arguments()
    with tempfile.TemporaryDirectory(prefix="tiller-reload-") as place:
        folder = Path(place)
        bundle = asked.bundle or folder / "bundle"
        if asked.bundle is None:
            write_catalogue(bundle, asked.items)
        members, users = _truth(bundle)
        contents = _revisions(sorted(members, key=lambda concept: -len(members[concept])))
        forbidden = {
            revision_of({FILE: text}): frozenset().union(*(members[concept] for concept in concepts))
            for text, concepts in contents
            if concepts
        }
        mount = folder / "policies"
        _mount(mount, 0, contents[0][0])
        result = _run(asked, folder, _World(bundle, mount, contents, forbidden, users))
    print(json.dumps(result, indent=1))
    return int(result["forbidden"] > 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=4000, help="size of the catalogue that is made")
    parser.add_argument("--bundle", type=Path, help="a bundle in its place")
    parser.add_argument("--returned", type=int, default=1_000_000, help="items to look at")
    parser.add_argument("--k", type=int, default=100, help="length of the lists")
    return parser.parse_args()


def _truth(bundle: Path) -> tuple[dict[str, frozenset[str]], list[str]]:
    """Concept -> ids of the items that carry its label; and the users."""
    contents = load_bundle(bundle).contents
    ids = np.array(contents.items["item_id"].to_pylist())
    found = {}
    for concept in contents.concepts.concepts:
        if concept.row is not None:
            bits = np.unpackbits(contents.arrays.label_bits[concept.row], count=len(ids), bitorder="little")
            found[concept.id] = frozenset(ids[bits.astype(bool)].tolist())
    return found, list(contents.user_ids or ())


def _revisions(concepts: list[str]) -> list[tuple[bytes, tuple[str, ...]]]:
    """(file, concepts it filters), in the order in which they are mounted; no concepts: must be refused."""
    first, second, third = concepts[1], concepts[3], concepts[5]
    chosen: list[tuple[str, ...]] = [(first,), (first, second), (), (second, third), (first, third), (), (third,)]
    return [(_file(each) if each else _file((first,)).replace(b"action", b"aktion"), each) for each in chosen]


def _file(concepts: tuple[str, ...]) -> bytes:
    rules = "".join(f"      - {{action: filter, concept: {json.dumps(concept)}}}\n" for concept in concepts)
    return f"policies:\n  - name: filters\n    owner: benchmark\n    rules:\n{rules}".encode()


def _mount(mount: Path, version: int, content: bytes) -> None:
    """As Kubernetes' atomic writer does: a new folder, and a link to it that takes the place of the old link."""
    target = mount / f"..{version}"
    target.mkdir(parents=True)
    (target / FILE).write_bytes(content)
    (mount / "..data_tmp").symlink_to(target.name)
    (mount / "..data_tmp").replace(mount / "..data")
    if not (mount / FILE).is_symlink():
        (mount / FILE).symlink_to(f"..data/{FILE}")


@dataclass(frozen=True)
class _World:
    """What is served and what is true: revision -> ids that it forbids; the files in the order they are mounted."""

    bundle: Path
    mount: Path
    contents: list[tuple[bytes, tuple[str, ...]]]
    forbidden: dict[str, frozenset[str]]
    users: list[str]


def _run(asked: argparse.Namespace, folder: Path, world: _World) -> dict[str, Any]:
    bundle, mount, contents, users = world.bundle, world.mount, world.contents, world.users
    ports = folder / "ports.json"
    server = subprocess.Popen(
        [sys.executable, "-m", "server", "--bundle", bundle, "--policies", mount, "--port", "0", "--metrics-port", "0",
         "--policy-poll-seconds", "1", "--share-sample", "0", "--log-level", "error", "--port-file", ports],
        stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        while not ports.exists():
            if server.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(0.05)
        target = json.loads(ports.read_text())["grpc"]
        context = get_context("spawn")
        with context.Pool(CLIENTS) as pool:
            began = time.perf_counter()
            share = asked.returned // CLIENTS + asked.k
            asking = [pool.apply_async(ask, (target, users[n::CLIENTS], asked.k, share, world.forbidden))
                      for n in range(CLIENTS)]  # fmt: skip
            swaps = 0
            while not all(call.ready() for call in asking):
                time.sleep(SWAP_SECONDS)
                swaps += 1
                _mount(mount, swaps, contents[swaps % len(contents)][0])
            parts = [call.get() for call in asking]
            seconds = time.perf_counter() - began
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    took = sorted(second for part in parts for second in part["seconds"])
    answers = sum(part["answers"] for part in parts)
    return {
        "returned": sum(part["returned"] for part in parts),
        "forbidden": sum(part["forbidden"] for part in parts),
        "forbidden_under_another_revision": sum(part["elsewhere"] for part in parts),
        "answers": answers,
        "revisions_seen": len(set().union(*(part["revisions"] for part in parts))),
        "changes_of_revision": sum(part["changes"] for part in parts),
        "swaps": swaps,
        "seconds": round(seconds, 1),
        "answers_per_second": round(answers / seconds, 1),
        "milliseconds": {"p50": round(1e3 * statistics.median(took), 2),
                         "p99": round(1e3 * took[int(0.99 * len(took))], 2), "max": round(1e3 * took[-1], 2)},
    }  # fmt: skip


def ask(
    target: str, users: list[str], k: int, wanted: int, forbidden: dict[str, frozenset[str]]
) -> dict[str, Any]:  # fmt: skip
    """One client: ask until so many items came back, and hold each against the revision that its answer names."""
    counts: dict[str, Any] = {"returned": 0, "forbidden": 0, "elsewhere": 0, "answers": 0, "changes": 0}
    every = frozenset().union(*forbidden.values())
    seen: set[str] = set()
    seconds: list[float] = []
    last = ""
    with grpc.insecure_channel(target) as channel:
        stub = RecommendServiceStub(channel)
        while counts["returned"] < wanted:
            for user in users:
                began = time.perf_counter()
                try:
                    answer = stub.Recommend(RecommendRequest(user_id=user, k=k), timeout=30)
                except grpc.RpcError as error:  # cannot travel between processes
                    raise RuntimeError(f"{error.code()}: {error.details()}") from None
                seconds.append(time.perf_counter() - began)
                left_out = forbidden[answer.policy_revision]
                counts["returned"] += len(answer.items)
                ids = {item.item_id for item in answer.items}
                counts["forbidden"] += len(ids & left_out)
                counts["elsewhere"] += len(ids & every - left_out)
                counts["answers"] += 1
                counts["changes"] += answer.policy_revision != last
                last = answer.policy_revision
                seen.add(last)
                if counts["returned"] >= wanted:
                    break
    return {**counts, "revisions": seen, "seconds": seconds}


if __name__ == "__main__":
    sys.exit(main())
