"""SIGKILL, full and read-only disks, a jumping clock, rude clients, a lost Redis: nothing lost or half-written.

    python -m benchmarks.reliability faults [--only kill-training full-disk ...] [--trials 20]

Runs as root on Linux, for it mounts small file systems of its own, and needs the Debian packages faketime and
redis-server. Exit code 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.reliability.faults import clients, clocks, disks, kills, stores
from benchmarks.reliability.ground import bar, save

Fault = Callable[[Path, int, random.Random], dict[str, Any]]

FAULTS: dict[str, Fault] = {
    "kill-training": kills.training,
    "kill-export": kills.export,
    "kill-index": kills.index,
    "kill-serving": kills.serving,
    "full-disk": disks.full,
    "read-only-disk": disks.read_only,
    "clock": clocks.jumps,
    "rude-clients": clients.rude,
    "redis-gone": stores.gone,
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the part takes."""
    parser.add_argument("--only", nargs="*", choices=FAULTS, help="faults to try; default: every one")
    parser.add_argument("--trials", type=int, default=20, help="of each; default 20")
    parser.add_argument("--seed", type=int, default=0)


def run(asked: argparse.Namespace) -> int:
    """Each fault in a folder of its own; a file of figures each, so that one may be run again alone."""
    wrong = 0
    chosen = asked.only or list(FAULTS)
    with bar("faults", len(chosen)) as advance:
        for name in chosen:
            began = time.perf_counter()
            with tempfile.TemporaryDirectory(prefix="tiller-fault-") as folder:
                figures = FAULTS[name](Path(folder), asked.trials, random.Random(f"{name}/{asked.seed}"))
            save(asked.out, f"fault-{name}", figures, began)
            wrong += int(figures["wrong"])
            advance()
    return int(wrong > 0)
