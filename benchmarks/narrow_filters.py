"""When a filter leaves little: a search of the index beside an exact scan of what passes (docs/decisions/015).

    python benchmarks/narrow_filters.py bundles/ml-1m --out runs/narrow
    python benchmarks/narrow_filters.py --items 100000 --out runs/narrow

For a bundle, or a planted catalogue of ``--items``: builds a graph and inverted lists with the default parameters, and
asks both through the server's own searchers, with the scan switched off, for 10 items under filters that let 100 % to
0.5 % pass, by chance and by region. Beside it the exact scan of the same items. Times are CPU seconds of one thread
(``time.thread_time``), the tenth percentile over the queries, because the machine may be busy. Prints what the
constants of server/retrieval come from, the pass rate at which both cost the same beside the one at which the server
switches, and writes Markdown to ``--out``/narrow-NAME.md, every figure to .json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from bundle import Bundle, HnswParams, IndexKind, load_bundle, search_query, search_vectors
from cli.bench.catalogue import write_catalogue
from offline.index import build_index, make_params
from server.retrieval import ApproximateRetriever, HnswSearcher, IvfSearcher, Searcher, searchers
from server.retrieval.approximate import WHOLE_SCAN

KINDS: tuple[IndexKind, ...] = ("hnsw", "ivf")
SHARES = (1.0, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
MASKS = 6
QUANTILE = 0.1
K = 10

FloatArray = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]


def measure(bundle: Bundle, kind: IndexKind, queries: int, seed: int) -> dict[str, Any]:
    """Times and recall of one kind of index by pass rate, and the constants they mean."""
    contents = bundle.contents
    vectors = search_vectors(contents.item_vectors, contents.item_bias, contents.metric)
    params = make_params(kind, {}, *vectors.shape)
    index = build_index(contents, kind, params, seed=seed)
    searcher: Searcher = HnswSearcher(index, params) if isinstance(params, HnswParams) else IvfSearcher(index, params)
    forced = ApproximateRetriever(searcher, vectors, scan=False)
    asked = ask(bundle, queries, seed)
    rng = np.random.default_rng(seed)
    rows = []
    for share in SHARES:
        seconds: dict[str, list[float]] = {"index": [], "scan": []}
        recall = []
        for place in range(MASKS):
            allowed = mask(vectors, share, by_chance=place % 2 == 0, rng=rng)
            for query in asked[place::MASKS]:
                found, took = timed(forced.search, query, allowed)
                wanted, scanned = timed(forced._scan, query, allowed)
                seconds["index"].append(took)
                seconds["scan"].append(scanned)
                recall.append(np.isin(wanted.items, found.items).mean())
        rows.append(
            {
                "share": share,
                "index_ms": 1e3 * float(np.quantile(seconds["index"], QUANTILE)),
                "scan_ms": 1e3 * float(np.quantile(seconds["scan"], QUANTILE)),
                "recall": float(np.mean(recall)),
                "work": searcher.cost(1, share),
                "rows": share * len(vectors),
            }
        )
    return {"params": params.model_dump(), "rows": rows, **constants(searcher, rows, len(vectors))}


def ask(bundle: Bundle, queries: int, seed: int) -> list[FloatArray]:
    """Search queries of stored users, drawn at random."""
    contents = bundle.contents
    assert contents.user_vectors is not None
    chosen = np.random.default_rng(seed).integers(0, len(contents.user_vectors), queries)
    return [
        search_query(
            np.array(contents.user_vectors[row]), has_bias=contents.item_bias is not None, metric=contents.metric
        )
        for row in chosen
    ]


def mask(vectors: FloatArray, share: float, *, by_chance: bool, rng: np.random.Generator) -> Mask | None:
    """A filter that lets ``share`` of the items pass, packed: any of them, or those nearest to one of them."""
    if share == 1.0:
        return None
    items = len(vectors)
    order = rng.random(items) if by_chance else vectors @ vectors[rng.integers(items)]
    passes = np.zeros(items, np.bool_)
    passes[np.argsort(-order)[: max(K, round(share * items))]] = True
    return np.packbits(passes, bitorder="little")


def timed(search: Callable[..., Any], query: FloatArray, allowed: Mask | None) -> tuple[Any, float]:
    began = time.thread_time()
    found = search(query, K, allowed)
    return found, time.thread_time() - began


def constants(searcher: Searcher, rows: list[dict[str, Any]], items: int) -> dict[str, float]:
    """What the rule of server/retrieval needs, by least squares through the origin.

    ``row_ns``: a scattered row of an exact scan; ``whole``: a row of a scan of everything, relative to it; ``unit``:
    the searcher's unit of work (a candidate kept, a row of a list) in scattered rows; ``crossover``: the pass rate at
    which index and scan cost the same, between two measured ones, geometrically; ``switches``: the one below which the
    server scans.
    """
    narrow = [row for row in rows if row["share"] <= 0.2]
    overhead = min(row["scan_ms"] for row in narrow)
    spread = np.array([row["rows"] for row in narrow]) - min(row["rows"] for row in narrow)
    row_ms = float(spread @ np.array([row["scan_ms"] - overhead for row in narrow]) / (spread @ spread))
    filtered = [row for row in rows if 0.02 <= row["share"] < 1]
    units = np.array([row["work"] for row in filtered]) / searcher_unit(searcher)
    unit_ms = float(units @ np.array([row["index_ms"] for row in filtered]) / (units @ units))
    whole = next(row["scan_ms"] for row in rows if row["share"] == 1.0) / items
    crossover = 1.0 if rows[1]["index_ms"] >= rows[1]["scan_ms"] else 0.0
    for wide, tight in pairwise(rows[1:]):
        if wide["index_ms"] < wide["scan_ms"] and tight["index_ms"] >= tight["scan_ms"]:
            crossover = float(np.sqrt(wide["share"] * tight["share"]))
    switches = next(
        (share for share in np.linspace(0.99, 0.001, 990) if searcher.cost(1, share) >= min(share, WHOLE_SCAN) * items),
        0,
    )
    return {
        "switches": float(switches),
        "row_ns": 1e6 * row_ms,
        "whole": whole / row_ms,
        "unit": unit_ms / row_ms,
        "crossover": crossover,
    }


def searcher_unit(searcher: Searcher) -> float:
    """What the searcher's own cost counts a unit of work as."""
    return searchers.HNSW_ROWS if isinstance(searcher, HnswSearcher) else searchers.IVF_ROWS


def table(kind: str, found: dict[str, Any]) -> str:
    params = ", ".join(f"{name} {value}" for name, value in found["params"].items())
    lines = [
        f"{kind} ({params}): scattered row {found['row_ns']:.1f} ns, whole scan {found['whole']:.2f} of it, unit of "
        f"work {found['unit']:.2f} rows; a scan is cheaper below a pass rate of {found['crossover']:.2f}, the server "
        f"scans below {found['switches']:.2f}",
        "",
        "| passes | index ms | scan ms | recall@10 of the index |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['share']:.1%} | {row['index_ms']:.3f} | {row['scan_ms']:.3f} | {row['recall']:.3f} |"
        for row in found["rows"]
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", help="left out: a planted catalogue")
    parser.add_argument("--items", type=int, default=100_000, help="of the planted catalogue")
    parser.add_argument("--queries", type=int, default=180)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/narrow"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    faiss.omp_set_num_threads(1)
    with TemporaryDirectory(dir=options.out) as folder:
        name, path = str(options.items), Path(folder) / "bundle"
        if options.bundle is None:
            write_catalogue(path, options.items, options.seed)
        else:
            name, path = options.bundle.name, options.bundle
        bundle = load_bundle(path)
        found = {kind: measure(bundle, kind, options.queries, options.seed) for kind in KINDS}
    text = "\n".join(table(kind, result) for kind, result in found.items())
    print(text)
    (options.out / f"narrow-{name}.md").write_text(text)
    (options.out / f"narrow-{name}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
