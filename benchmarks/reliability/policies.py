"""10,000 mutated policy files: each is refused by name, or does exactly what it says.

    python -m benchmarks.reliability policies [--count 10000]

The examples' files are damaged as bytes, as YAML (any value anywhere replaced) and by hand (bombs, nests, aliases,
tags that would construct objects). A refusal must name the file and say something; a file that is taken is put in
force, users are answered under it, and what it filters without a condition must be gone. Exit code 1 if anything was
wrong.
"""

from __future__ import annotations

import argparse
import random
import signal
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from benchmarks.reliability.ground import ROOT, bar, catalogue, save
from benchmarks.reliability.hostile import FLOATS, TEXTS
from benchmarks.reliability.judge import Truth
from benchmarks.reliability.mutate import damaged
from bundle import load_bundle
from server.errors import PolicyError
from server.policy import load_policies
from server.steer import Engine
from server.types import Query

HANG_SECONDS = 30
SHOWN = 20
FILE = "mutated.yaml"
PLAIN_KEYS = {"name", "owner", "description", "priority", "rules", "mandatory"}

BOMBS = (
    b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
        f"{name}: &{name} [{', '.join([f'*{last}'] * 9)}]\n".encode()
        for last, name in zip("abcdefgh", "bcdefghi", strict=True)
    ) + b"policies: *i\n",
    b"policies: " + b"[" * 5_000 + b"]" * 5_000,
    b"policies: " + b"{a: " * 2_000 + b"1" + b"}" * 2_000,
    b"policies: !!python/object/apply:os.system ['touch /tmp/owned']\n",
    b"policies: &a\n  - *a\n",
    b"policies: {<<: &x {<<: *x}}\n",
    b"policies:\n- {name: a, name: a}\n",
    b"%YAML 9.9\n---\npolicies: []\n",
    b"policies: []\n---\npolicies: []\n",
    b"\xff\xfep\x00o\x00",
    b"policies: " + b"9" * 20_000,
    b"policies: 0x" + b"f" * 20_000,
    b"policies: 2001-99-99\n",
    b"policies: .nan\n",
    b"? [a, b]\n: c\n",
    b"\t\n",
    b"",
)  # fmt: skip


class Hang(Exception):
    """A file took longer than anybody would wait."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the part takes."""
    parser.add_argument("--count", type=int, default=10_000, help="files to try; default 10000")
    parser.add_argument("--bundle", type=Path, help="a bundle in the place of a planted one of 1,000 items")
    parser.add_argument("--seed", type=int, default=0)


def run(asked: argparse.Namespace) -> int:
    """Mutate, load, answer, count."""
    began = time.perf_counter()
    rng = random.Random(asked.seed)
    found: Counter[str] = Counter()
    examples: list[str] = []
    signal.signal(signal.SIGALRM, _alarm)
    with catalogue(asked.bundle, 1_000) as bundle, tempfile.TemporaryDirectory() as place:
        truth, engine = Truth.of(bundle), Engine.open(load_bundle(bundle))
        corpus = _corpus(truth)
        with bar("policy files", asked.count) as advance:
            for number in range(asked.count):
                content = BOMBS[number] if number < len(BOMBS) else _mutated(corpus, rng)
                fault = _try(content, Path(place), engine, truth, found)
                if fault and len(examples) < SHOWN:
                    examples.append(f"{fault}: {content[:400]!r}")
                advance()
    save(
        asked.out, "policies",
        {"files": asked.count, "refused": found["refused"], "taken": found["taken"],
         "wrong": found["wrong"], "examples": examples},
        began,
    )  # fmt: skip
    return int(found["wrong"] > 0)


def _alarm(_number: int, _frame: object) -> None:
    raise Hang


def _try(content: bytes, folder: Path, engine: Engine, truth: Truth, found: Counter[str]) -> str:
    (folder / FILE).write_bytes(content)
    signal.alarm(HANG_SECONDS)
    try:
        fault = _judged(content, folder, engine, truth, found)
    except Hang:
        fault = "a hang"
    except Exception as error:  # whatever it is, it must not come out of loading or of answering
        fault = f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    found["wrong"] += bool(fault)
    return fault


def _judged(content: bytes, folder: Path, engine: Engine, truth: Truth, found: Counter[str]) -> str:
    try:
        policies = load_policies(folder)
    except PolicyError as error:
        found["refused"] += 1
        clear = error.problems and all(problem.file and problem.what for problem in error.problems)
        return "" if clear else f"a refusal that names nothing: {error}"
    found["taken"] += 1
    forbidden = _forbidden(content, truth)
    under = replace(engine, policies=policies)
    for user in truth.world.users[:2]:
        answer = under.recommend(Query(k=30, user_id=user, attributes={"surface": "kids", "segment": "new"}))
        ids = {truth.world.items[row] for row in answer.ranking.items}
        if ids & forbidden:
            return "an item that the file filters"
    return ""


def _forbidden(content: bytes, truth: Truth) -> set[str]:
    """Ids that the file filters by label under every circumstance, read with a parser of its own."""
    found: set[str] = set()
    for policy in (yaml.safe_load(content) or {}).get("policies") or ():
        if set(policy) <= PLAIN_KEYS:
            for rule in policy["rules"]:
                if rule.get("action") == "filter" and rule.get("membership", "label") in ("label", "either"):
                    found |= truth.members.get(rule.get("concept"), frozenset())
    return found


def _corpus(truth: Truth) -> list[bytes]:
    """The examples' files, about the bundle's own concepts; and some without conditions."""
    texts = []
    names = list(truth.members)
    for path in sorted((ROOT / "examples" / "policies").glob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        rules = [rule for policy in document["policies"] for rule in policy["rules"]]
        for place, rule in enumerate(rules):
            rule["concept"] = names[place % len(names)]
        texts.append(yaml.safe_dump(document, sort_keys=False).encode())
    plain = {"name": "always", "owner": "somebody", "rules": [{"action": "filter", "concept": names[0]}]}
    soft = {"name": "soft", "owner": "somebody", "rules": [{"action": "promote", "concept": names[1], "strength": 0.5}]}
    texts.append(yaml.safe_dump({"policies": [plain, soft]}, sort_keys=False).encode())
    texts.append(yaml.safe_dump({"policies": [plain]}, sort_keys=False).encode())
    return texts


def _mutated(corpus: list[bytes], rng: random.Random) -> bytes:
    content = rng.choice(corpus)
    if rng.random() < 0.5:
        return damaged(content, rng, corpus)
    document = yaml.safe_load(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        _replace(document, rng)
    return yaml.safe_dump(document, sort_keys=False).encode()


def _replace(document: Any, rng: random.Random) -> None:
    """Another value, another key, one less or one twice, somewhere in the document."""
    holders = [holder for holder in _holders(document) if holder]
    if not holders:
        return
    holder = rng.choice(holders)
    key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    match rng.randrange(4):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[rng.choice(TEXTS)] = holder.pop(key)
        case 2 if isinstance(holder, list):
            holder.append(holder[key])
        case _:
            holder[key] = rng.choice((None, True, 0, -1, 10**30, [], {}, rng.choice(FLOATS), rng.choice(TEXTS)))


def _holders(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict | list) else []
    return own + [holder for each in inner for holder in _holders(each)]
