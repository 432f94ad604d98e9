"""The bare index call, one query at a time on one thread per process: `python -m cli.bench.bare_faiss INDEX QUERIES K`.

One JSON order per line in, ``{"seconds": s}``, one answer per line out: searches per second, median and 99th percentile
in milliseconds. QUERIES is a .npy file [U, D'] of what the index is asked, as bundle.search_query makes it.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import faiss
import numpy as np

WARM = 20
LEAST = 20


def measure(index: faiss.Index, queries: np.ndarray[Any, Any], k: int, seconds: float) -> dict[str, float]:
    """Search for ``seconds``, and at least ``LEAST`` times."""
    for row in range(WARM):
        index.search(queries[row % len(queries)][None], k)
    took: list[float] = []
    began = time.perf_counter()
    while (start := time.perf_counter()) < began + seconds or len(took) < LEAST:
        row = len(took) % len(queries)
        index.search(queries[row : row + 1], k)
        took.append(time.perf_counter() - start)
    p50, p99 = np.percentile(took, [50, 99]) * 1e3
    return {"per_second": len(took) / (time.perf_counter() - began), "p50": float(p50), "p99": float(p99)}


def main(index_file: str, query_file: str, k: int) -> None:
    """Answer orders until standard input ends."""
    faiss.omp_set_num_threads(1)
    index, queries = faiss.read_index(index_file), np.load(query_file)
    for line in sys.stdin:
        print(json.dumps(measure(index, queries, k, json.loads(line)["seconds"])), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
