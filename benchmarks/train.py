"""Training benchmark: wall time by stage and peak memory of the whole run, from a data set to a verified bundle.

    python -m benchmarks.train --data ml-1m.zip [--dataset ml-1m] [--out runs/bench] [--runs 1]

Each run is `python -m offline.train_sae` in a process of its own, all cores, default configuration; its peak resident
memory is the kernel's figure. Prints a table and writes train.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bundle import read_manifest


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dataset", default="ml-1m", help="ml-1m, ml-100k, lastfm or synthetic")
    parser.add_argument("--data", type=Path, help="its archive or folder; left out: download it")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder for train.json")
    parser.add_argument("--runs", type=int, default=1, help="how often")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    runs = [_run(asked.dataset, asked.data) for _ in range(asked.runs)]
    result = {"dataset": asked.dataset, "cores": len(os.sched_getaffinity(0)), "runs": runs}
    (asked.out / "train.json").write_text(json.dumps(result, indent=1) + "\n")
    print(_table(result))


def _run(dataset: str, data: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="tiller-bench-") as folder:
        out, log = Path(folder) / "bundle", Path(folder) / "log"
        command = [sys.executable, "-m", "offline.train_sae", "--dataset", dataset, "--out", str(out)]
        command += ["--data", str(data)] if data else []
        started = time.perf_counter()
        with log.open("wb") as output:
            child = subprocess.Popen(command, stdout=output, stderr=output)
            # wait4 gives this one child's own peak, whatever else runs.
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
        if child.returncode:
            raise SystemExit(f"training ended with {child.returncode}: {log.read_text()[-2000:]}")
        manifest = read_manifest(out)
        size = sum(path.stat().st_size for path in out.iterdir())
    provenance = manifest.provenance
    return {
        "wall_seconds": wall, "cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_bytes": usage.ru_maxrss * 1024,
        "bundle_bytes": size, "stages": provenance["seconds"], "sae": provenance["sae"]["metrics"],
        "dims": manifest.dims.model_dump(),
    }  # fmt: skip


def _table(result: dict[str, Any]) -> str:
    runs = result["runs"]
    dims = runs[0]["dims"]
    lines = [
        f"{result['dataset']}: {dims['items']:,} items, {dims['users']:,} users, {dims['embedding']} dimensions, "
        f"{dims['latents']} latents, {dims['concepts']} concepts; {result['cores']} cores, {len(runs)} runs", "",
        "| stage | seconds |", "| --- | --- |",
    ]  # fmt: skip
    lines += [f"| {stage} | {median(run['stages'][stage] for run in runs):.1f} |" for stage in runs[0]["stages"]]
    lines += [
        f"| the whole process, wall | {median(run['wall_seconds'] for run in runs):.1f} |",
        f"| the whole process, CPU | {median(run['cpu_seconds'] for run in runs):.1f} |", "",
        f"Peak resident memory {max(run['peak_bytes'] for run in runs) / 2**20:,.0f} MiB; "
        f"bundle {runs[0]['bundle_bytes'] / 2**20:.1f} MiB.",
    ]  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    main()
