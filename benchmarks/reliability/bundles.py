"""10,000 mutated bundles: every damage is found before anything is served.

    python -m benchmarks.reliability bundles [--count 10000] [--forged 1000]

*As they come*: a file of the bundle has bits flipped, is cut short, spliced, replaced by another file of the bundle or
by the same file of another bundle, is gone, doubled or a folder. Every one must be refused by a BundleError that names
the place. *Forged*: the same with checksums made to fit, as only somebody who may write the bundle can; the parsers are
reached, FAISS's and ONNX Runtime's own among them, so each is opened in a process of its own with bounded memory. Such
a bundle is refused, or answers; a process that dies is counted, and is what the signature is for. Exit code 1 if a
damage of the first kind was not refused.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from benchmarks.reliability.ground import bar, catalogue, save
from benchmarks.reliability.mutate import damaged
from bundle import load_bundle
from bundle.errors import BundleError, TillerError
from bundle.manifest import MANIFEST, FileEntry, checksum, identify
from cli.bench.catalogue import write_catalogue
from server.steer import Engine
from server.types import Query

SHOWN = 20
OPEN_SECONDS = 60
MEMORY = 8 << 30


class _Folders(NamedTuple):
    """Bundles: as it was made, another of the same shape, the one that is hurt."""

    pristine: Path
    other: Path
    victim: Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the part takes."""
    parser.add_argument("--count", type=int, default=10_000, help="bundles with their checksums as they were")
    parser.add_argument("--forged", type=int, default=1_000, help="bundles whose checksums fit the damage")
    parser.add_argument("--bundle", type=Path, help="a bundle in the place of a planted one of 500 items")
    parser.add_argument("--seed", type=int, default=0)


def run(asked: argparse.Namespace) -> int:
    """Mutate, load, count."""
    began = time.perf_counter()
    rng = random.Random(asked.seed)
    found: Counter[str] = Counter()
    examples: list[str] = []
    with catalogue(asked.bundle, 500) as pristine, tempfile.TemporaryDirectory() as place:
        other, victim = Path(place) / "other", Path(place) / "victim"
        write_catalogue(other, 500, seed=1)
        shutil.copytree(pristine, victim)
        os.chmod(victim, 0o755)  # noqa: PTH101 - the folder alone
        names = sorted(path.name for path in pristine.iterdir() if path.is_file())
        with bar("bundles", asked.count) as advance:
            for number in range(asked.count):
                fault = _as_it_comes(_Folders(pristine, other, victim), rng.choice(names), rng, found)
                if fault and len(examples) < SHOWN:
                    examples.append(f"bundle {number}: {fault}")
                advance()
        with bar("forged bundles", asked.forged) as advance:
            for number in range(asked.forged):
                told = _forged(pristine, victim, rng.choice([n for n in names if n != MANIFEST]), rng, found)
                if told and len(examples) < SHOWN:
                    examples.append(f"forged {number}: {told}")
                advance()
    figures = {
        "bundles": asked.count,
        "refused": found["refused"],
        "not_damaged_by_chance": found["same"],
        "not_refused": found["taken"],
        "other_exceptions": found["exception"],
        "forged": {key.removeprefix("forged "): n for key, n in sorted(found.items()) if key.startswith("forged ")},
        "examples": examples,
    }
    save(asked.out, "bundles", figures, began)
    return int(found["taken"] > 0 or found["exception"] > 0)


def _as_it_comes(folders: _Folders, name: str, rng: random.Random, found: Counter[str]) -> str:
    pristine, other, victim = folders
    before = (pristine / name).read_bytes()
    kind = rng.random()
    target = victim / name
    target.unlink()
    if kind < 0.7:
        after = damaged(before, rng)
    elif kind < 0.8:
        after = rng.choice([path for path in pristine.iterdir() if path.is_file()]).read_bytes()
    elif kind < 0.9 and (other / name).exists():
        after = (other / name).read_bytes()
    else:
        after = None
        if rng.random() < 0.5:
            target.mkdir()
    if after is not None:
        target.write_bytes(after)
    try:
        load_bundle(victim)
    except BundleError as error:
        found["refused"] += 1
        fault = "" if str(victim) in str(error) else f"a refusal that names no place: {error}"
        found["exception"] += bool(fault)
    except Exception as error:  # whatever it is, it must not come out of loading
        found["exception"] += 1
        fault = f"{name}: {type(error).__name__}: {error}"
    else:
        same = after == before
        # A manifest may be damaged into one that says the same: a blank more.
        same = same or (name == MANIFEST and after is not None and json.loads(after) == json.loads(before))
        found["same" if same else "taken"] += 1
        fault = "" if same else f"{name}: damaged, and taken"
    if target.is_dir():
        target.rmdir()
    target.unlink(missing_ok=True)
    shutil.copyfile(pristine / name, target)
    return fault


def _forged(pristine: Path, victim: Path, name: str, rng: random.Random, found: Counter[str]) -> str:
    (victim / name).write_bytes(damaged((pristine / name).read_bytes(), rng))
    manifest = json.loads((pristine / MANIFEST).read_text())
    entries = {each: FileEntry.model_validate(entry) for each, entry in manifest["files"].items()}
    entries[name] = checksum(victim / name)
    manifest["files"][name] = entries[name].model_dump()
    manifest["bundle_id"] = identify(entries)
    (victim / MANIFEST).write_text(json.dumps(manifest))
    child = multiprocessing.get_context("fork").Process(target=_open, args=(victim,))
    child.start()
    child.join(OPEN_SECONDS)
    hung = child.is_alive()
    if hung:
        child.kill()
        child.join()
    outcome = "hung" if hung else {0: "answered", 3: "refused", 4: "exception"}.get(child.exitcode or 0, "died")
    found[f"forged {outcome}"] += 1
    for each in (name, MANIFEST):
        shutil.copyfile(pristine / each, victim / each)
    return "" if outcome in ("answered", "refused") else f"{name}: {outcome}, exit code {child.exitcode}"


def _open(folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        engine = Engine.open(load_bundle(folder))
        engine.warm()
        engine.recommend(Query(k=10, user_id=next(iter(engine.catalogue.bundle.contents.user_ids or ("",)))))
    except TillerError:
        os._exit(3)
    except Exception:
        os._exit(4)
    os._exit(0)
