"""The bare index call: one thread, one query at a time. `python -m benchmarks.faiss_alone BUNDLE K SECONDS`"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import faiss
import numpy as np

from bundle import load_bundle


def main(folder: Path, k: int, seconds: float) -> None:
    """Print searches per second and their median and 99th percentile in milliseconds."""
    faiss.omp_set_num_threads(1)
    index = faiss.read_index(str(folder / "index.faiss"))
    users = load_bundle(folder, verify=False).contents.user_vectors
    assert users is not None
    rows = np.ascontiguousarray(users)
    for row in range(100):
        index.search(rows[row : row + 1], k)
    took: list[float] = []
    began = time.perf_counter()
    while (start := time.perf_counter()) < began + seconds:
        row = len(took) % len(rows)
        index.search(rows[row : row + 1], k)
        took.append(time.perf_counter() - start)
    p50, p99 = np.percentile(took, [50, 99]) * 1e3
    print(json.dumps({"per_second": len(took) / (time.perf_counter() - began), "p50": float(p50), "p99": float(p99)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
