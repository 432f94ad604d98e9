"""How long does the event loop stand still while a bundle is loaded beside it, and which line holds it?

    python -m benchmarks.loop_lag [--items 100000] [--folder DIR]

A loop beats every millisecond while server.reload loads, compares, warms and swaps a bundle of so many items in. A gap
is what a beat came late; of the largest ones the line is told that the loading thread was at when the loop went on.
Other work on the machine makes gaps too: the same loop is watched for a second without a swap first. Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import uvloop

from bundle import load_bundle
from cli.bench.catalogue import write_catalogue
from server.reload import Served
from server.settings import Settings
from server.steer import Engine

BEAT = 0.001
SHOWN, LEAST = 8, 0.012
"""Gaps that are told with their line, and from how many seconds on."""

SMALL = 500


class _Nobody:
    """A listener that does not listen."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000, help="size of the catalogue that is swapped in")
    parser.add_argument("--folder", type=Path, help="keep the bundles here, or use those that are there")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tiller-lag-") as place:
        root = asked.folder or Path(place)
        root.mkdir(parents=True, exist_ok=True)
        for items in (SMALL, asked.items):
            if not (root / str(items)).exists():
                write_catalogue(root / str(items), items)
        print(json.dumps(uvloop.run(_measure(root, asked.items)), indent=1))
    return 0


async def _measure(root: Path, items: int) -> dict[str, Any]:
    engine = Engine.open(load_bundle(root / str(SMALL)))
    engine.warm()
    settings = Settings(bundle=root / str(SMALL), bundles_root=root, accept_losses=True)
    served = Served(engine, settings, _Nobody())  # type: ignore[arg-type]
    gaps: list[tuple[float, str]] = []
    beating = asyncio.create_task(_beat(gaps))
    await asyncio.sleep(1)
    quiet = gaps.copy()
    gaps.clear()
    done = await served.use(str(items))
    beating.cancel()
    served.close()
    worst = sorted(gaps, reverse=True)[:SHOWN]
    return {
        "items": items, "outcome": done.outcome, "seconds": round(done.seconds, 2), "quiet": _told(quiet),
        "swapping": _told(gaps), "worst": [[round(1e3 * gap, 1), line] for gap, line in worst if gap >= LEAST],
    }  # fmt: skip


async def _beat(gaps: list[tuple[float, str]]) -> None:
    last = time.perf_counter()
    while True:
        await asyncio.sleep(BEAT)
        now = time.perf_counter()
        gap = now - last - BEAT
        gaps.append((gap, _line() if gap >= LEAST else ""))
        last = time.perf_counter()


def _line() -> str:
    """Where the loading thread is, in this project's code."""
    for thread in threading.enumerate():
        frame = sys._current_frames().get(thread.ident or 0) if thread.name.startswith("bundle") else None
        if frame is not None:
            own = [step for step in traceback.extract_stack(frame) if "site-packages" not in step.filename]
            here = [step for step in own if "/lib/python" not in step.filename]
            if here:
                return f"{Path(here[-1].filename).name}: {here[-1].line}"
    return ""


def _told(gaps: list[tuple[float, str]]) -> dict[str, float]:
    ordered = sorted(1e3 * gap for gap, _ in gaps)
    return {
        "beats": len(ordered), "p50_ms": round(ordered[len(ordered) // 2], 2),
        "p99_ms": round(ordered[int(0.99 * len(ordered))], 2), "max_ms": round(ordered[-1], 1),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
