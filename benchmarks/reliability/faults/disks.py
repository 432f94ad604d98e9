"""A disk that is full, or cannot be written to. Needs the right to mount a tmpfs (root, or a user namespace).

What must hold: whoever writes a bundle says in one sentence that it could not, leaves no part of one, and an older one
as it was; once there is room, the same training command goes on. A server serves on, and counts the decisions it drops.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.reliability.faults.kills import training_command
from benchmarks.reliability.ground import ROOT, metric, serving
from benchmarks.reliability.pulse import Pulse, first_user
from bundle import load_bundle
from bundle.errors import TillerError
from cli.bench.catalogue import write_catalogue

SMALL_KIB = 600


def full(folder: Path, trials: int, rng: random.Random) -> dict[str, Any]:
    """Export, training and the decision log on a file system without room."""
    _ = trials
    wrong: list[str] = []
    with small_disk(folder / "disk", SMALL_KIB) as disk:
        told = _refused(lambda: write_catalogue(disk / "bundle", 20_000))
        wrong += _left(disk, told, "export")

    train = training_command(folder)
    with small_disk(folder / "disk", rng.randrange(100, 300)) as disk:
        done = subprocess.run(train(disk / "mine"), capture_output=True, text=True, cwd=ROOT, check=False)
        if done.returncode == 0 or "Traceback" in done.stderr:
            wrong.append(f"training: exit code {done.returncode}: {done.stderr[-300:]}")
        if (disk / "mine").exists():
            wrong.append("training: a part of a bundle is left")
        sentence = done.stderr.strip().splitlines()[-1:]
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        again = subprocess.run(train(disk / "mine"), capture_output=True, text=True, cwd=ROOT, check=False)
        if again.returncode != 0:
            wrong.append(f"training with room again: {again.stderr[-300:]}")
        else:
            load_bundle(disk / "mine")

    bundle = folder / "bundle"
    write_catalogue(bundle, 1_000)
    with small_disk(folder / "disk", 64) as disk:
        flags = ("--decision-log", disk / "decisions.jsonl", "--decision-sample", "1")
        dropped, seen = _served(bundle, *flags)
        if not dropped or seen["failures"] or not seen["answers"]:
            wrong.append(f"decision log: {dropped} dropped, {seen}")
    return {"said": [told, *sentence], "decisions_dropped": dropped, "served_meanwhile": seen,
            "faults": wrong, "wrong": len(wrong)}  # fmt: skip


def read_only(folder: Path, trials: int, rng: random.Random) -> dict[str, Any]:
    """A bundle served from a read-only file system; whoever wants to write there is told."""
    _ = trials, rng
    wrong: list[str] = []
    with small_disk(folder / "disk", 64 << 10) as disk:
        write_catalogue(disk / "bundle", 1_000)
        before = load_bundle(disk / "bundle").manifest.bundle_id
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        told = [_refused(lambda: write_catalogue(disk / "bundle", 500, seed=3))]
        wrong += [] if told[0] else ["export: no refusal"]
        for flags in (("--decision-log", disk / "log.jsonl"), ("--port-file", disk / "ports.json")):
            done = subprocess.run(
                [sys.executable, "-m", "server", "--bundle", str(disk / "bundle"), "--port", "0", "--metrics-port",
                 "0", *map(str, flags)],
                capture_output=True, text=True, cwd=ROOT, timeout=60, check=False,
            )  # fmt: skip
            told.append(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "")
            if done.returncode != 2 or "Traceback" in done.stderr:
                wrong.append(f"server {flags[0]}: exit code {done.returncode}: {done.stderr[-300:]}")
        with serving(disk / "bundle") as served, Pulse(served.grpc, first_user(disk / "bundle")) as pulse:
            time.sleep(1.0)
            seen = pulse.figures()
        after = load_bundle(disk / "bundle").manifest.bundle_id
    if before != after or seen["failures"] or not seen["answers"]:
        wrong.append(f"serving: {seen}")
    return {"said": told, "served": seen, "faults": wrong, "wrong": len(wrong)}


@contextmanager
def small_disk(place: Path, kib: int) -> Iterator[Path]:
    """A file system of so many KiB for the block."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
        shutil.rmtree(place, ignore_errors=True)


def _refused(write: Any) -> str:
    """The one sentence that a TillerError says; any other exception comes out."""
    try:
        write()
    except TillerError as error:
        return str(error)
    return ""


def _left(disk: Path, told: str, who: str) -> list[str]:
    found = [] if told else [f"{who}: no refusal"]
    left = [path.name for path in disk.iterdir()]
    return [*found, f"{who}: left {left}"] if left else found


def _served(bundle: Path, *flags: object) -> tuple[int, dict[str, Any]]:
    """Decisions dropped, and what a client saw, of a server whose decision log has no room."""
    with serving(bundle, *flags) as served:
        with Pulse(served.grpc, first_user(bundle), seconds=0.0005) as pulse:
            time.sleep(4.0)
            seen = pulse.figures()
        dropped = metric(served.metrics, "tiller_decisions_total", result="dropped")
    return int(dropped), seen
