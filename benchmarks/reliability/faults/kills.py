"""SIGKILL at random moments of training, export, index build, policy writing and serving.

What must hold: the folder under the bundle's name is at every moment a whole bundle or nothing; the same training
command goes on and ends with the very bundle that an undisturbed run makes; a killed server starts again and answers
the same.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from benchmarks.reliability.ground import ROOT, end, start
from benchmarks.reliability.pulse import Pulse, first_user
from bundle import load_bundle
from bundle.errors import TillerError
from cli.bench.catalogue import write_catalogue

TRAINING = {"latents": 48, "stage1": {"steps": 900}, "stage2": {"steps": 500}}

EXPORT = """
import sys
from pathlib import Path
from cli.bench.catalogue import write_catalogue
for seed in range(1000):
    write_catalogue(Path(sys.argv[1]), 3000, seed=seed % 2)
"""


def training(folder: Path, trials: int, rng: random.Random) -> dict[str, Any]:
    """``trials`` kills of a training, each at a random moment; the same command goes on; then its end."""
    command = training_command(folder)
    began = time.perf_counter()
    subprocess.run(command(folder / "undisturbed"), check=True, capture_output=True, cwd=ROOT)
    whole = time.perf_counter() - began
    expected = load_bundle(folder / "undisturbed").manifest.bundle_id

    out = folder / "killed"
    kills = finished = half_written = others = 0
    while kills < trials:
        ended = killed_after(command(out), rng.uniform(0.1, 0.5) * whole)
        kills += not ended
        half_written += not _whole_or_absent(out)
        if out.exists():  # also where it was killed between the last file and its goodbye
            finished += 1
            others += load_bundle(out).manifest.bundle_id != expected
            shutil.rmtree(out)
    killed_after(command(out), 20 * whole)
    others += load_bundle(out).manifest.bundle_id != expected
    return {
        "kills": kills, "ended_in_between": finished, "half_written": half_written,
        "other_bundles_than_undisturbed": others, "seconds_undisturbed": round(whole, 1),
        "wrong": half_written + others,
    }  # fmt: skip


def training_command(folder: Path) -> Callable[[Path], list[str]]:
    """Writes a small catalogue of its own data into ``folder``; bundle folder -> the command that trains on it."""
    tables = _tables(folder)
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump({"sae": TRAINING}))

    def command(out: Path) -> list[str]:
        given = {"items": tables["items"], "users": tables["users"], "config": config, "out": out}
        flags = [text for name, value in given.items() for text in (f"--{name}", str(value))]
        return [sys.executable, "-m", "offline.train_sae", *flags, "--no-evaluate"]

    return command


def export(folder: Path, trials: int, rng: random.Random) -> dict[str, Any]:
    """A process that replaces a bundle over and over, killed ``trials`` times."""
    out = folder / "bundle"
    write_catalogue(out, 3_000, seed=0)
    ids = {load_bundle(out).manifest.bundle_id}
    write_catalogue(folder / "other", 3_000, seed=1)
    ids.add(load_bundle(folder / "other").manifest.bundle_id)
    return _replaced(out, ids, [sys.executable, "-c", EXPORT, str(out)], trials, rng)


def index(folder: Path, trials: int, rng: random.Random) -> dict[str, Any]:
    """``tiller bundle index --replace`` in place, killed ``trials`` times."""
    out = folder / "bundle"
    write_catalogue(out, 3_000, seed=0)
    before = load_bundle(out).manifest.bundle_id
    command = [sys.executable, "-m", "cli", "bundle", "index", str(out), "--kind", "hnsw", "--queries", "20"]
    copy = folder / "built"
    subprocess.run([*command, "--out", str(copy)], check=True, capture_output=True, cwd=ROOT)
    built = load_bundle(copy).manifest.bundle_id
    return _replaced(out, {before, built}, [*command, "--replace"], trials, rng, again=copy)


def serving(folder: Path, trials: int, rng: random.Random) -> dict[str, Any]:
    """A server killed ``trials`` times under load while its policies change; then one that starts again."""
    bundle, policies = folder / "bundle", folder / "policies"
    write_catalogue(bundle, 2_000)
    policies.mkdir()
    user = first_user(bundle)
    lists, wrong = set(), 0
    for _ in range(trials):
        served = start(bundle, folder / "ports.json", "--policies", policies)
        with Pulse(served.grpc, user) as pulse:
            until = time.monotonic() + rng.uniform(0.1, 1.0)
            while time.monotonic() < until:
                (policies / "one.yaml").write_text(f"policies: []  # {time.monotonic_ns()}\n")
                time.sleep(0.02)
            seen = pulse.figures()
            served.child.kill()
            served.child.wait()
        lists.add(seen["lists"])
        wrong += seen["lists"] != 1 or bool(seen["failures"])
    served = start(bundle, folder / "ports.json", "--policies", policies)
    with Pulse(served.grpc, user) as pulse:
        time.sleep(1.0)
        seen = pulse.figures()
    code = end(served)
    wrong += code != 0 or bool(seen["failures"]) or seen["lists"] != 1
    return {"kills": trials, "starts_again": code == 0, "last": seen, "wrong": wrong}


def _tables(folder: Path) -> dict[str, Path]:
    """Made-up embeddings of 600 items of six genres and 400 users, as Parquet."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(6, 16))
    genres = rng.integers(0, 6, 600)
    items = (centres[genres] + rng.normal(scale=0.4, size=(600, 16))).astype(np.float32)
    users = (centres[rng.integers(0, 6, 400)] + rng.normal(scale=0.6, size=(400, 16))).astype(np.float32)
    paths = {name: folder / f"{name}.parquet" for name in ("items", "users")}
    named = {"item_id": [f"i{n}" for n in range(600)], "genre": [f"g{n}" for n in genres], "embedding": list(items)}
    pq.write_table(pa.table(named), paths["items"])
    pq.write_table(pa.table({"user_id": [f"u{n}" for n in range(400)], "embedding": list(users)}), paths["users"])
    return paths


def killed_after(command: list[str], seconds: float) -> bool:
    """Whether the command ended well before it was killed.

    Raises:
        RuntimeError: it failed by itself.
    """
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _, told = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        return False
    if child.returncode != 0:
        raise RuntimeError(f"{command} failed by itself: {told.decode(errors='replace')[-1000:]}")
    return True


def _replaced(
    out: Path, ids: set[str], command: list[str], trials: int, rng: random.Random, *, again: Path | None = None
) -> dict[str, Any]:
    """Kill ``command`` and look at ``out`` each time; ``again``: what is built in its absence is no work any more."""
    wrong = 0
    seen: set[str] = set()
    original = out.with_name("original")
    shutil.copytree(out, original)
    for _ in range(trials):
        if again is not None and load_bundle(out).manifest.bundle_id != load_bundle(original).manifest.bundle_id:
            shutil.rmtree(out)
            shutil.copytree(original, out)
        killed_after(command, rng.uniform(0.5, 6.0))
        try:
            found = load_bundle(out).manifest.bundle_id
        except TillerError:
            wrong += 1
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(original, out)
            continue
        seen.add(found)
        wrong += found not in ids
    left = sorted(path.name for path in out.parent.iterdir() if path.name.startswith((".", "bundle.")))
    return {"kills": trials, "bundles_seen": len(seen), "left_beside_it": len(left), "wrong": wrong}


def _whole_or_absent(out: Path) -> bool:
    if not out.exists():
        return True
    try:
        load_bundle(out)
    except TillerError:
        return False
    return True
