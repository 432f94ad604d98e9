"""Serving benchmark: unsteered and steered Recommend beside an echo service and the bare index, in one run.

    python -m benchmarks.serve --out runs/bench [--items 4000 100000] [--rounds 5] [--seconds 2] [--k 30]

Real server processes on loopback, load from a process of its own. Every round measures every case once, echo included,
and ratios are taken within a round before the median over rounds, so that a slow minute of the machine hits all of
them. Prints the tables and writes serve.json and serve.png.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import load, report
from benchmarks.catalogue import USERS, write_catalogue
from bundle import __version__
from protos.steering.v1 import recommend_pb2 as pb
from protos.steering.v1 import rules_pb2

ECHO, FAISS = "echo", "bare FAISS"

_PROMOTE, _DEMOTE, _FILTER = rules_pb2.ACTION_PROMOTE, rules_pb2.ACTION_DEMOTE, rules_pb2.ACTION_FILTER
# Concepts k0 to k17 hold 25 % to 1 % of the catalogue; k4 about 12 %, k9 about 4.5 %.
CASES: dict[str, list[tuple[Any, int]]] = {
    "no rule": [],
    "1 filter": [(_FILTER, 4)],
    "1 demotion": [(_DEMOTE, 4)],
    "1 promotion": [(_PROMOTE, 9)],
    "8 rules": [(_FILTER, 0), (_FILTER, 12), (_DEMOTE, 2), (_DEMOTE, 4), (_DEMOTE, 7), (_PROMOTE, 5), (_PROMOTE, 9),
                (_PROMOTE, 15)],
}  # fmt: skip


def main() -> None:
    """Measure, print, write."""
    asked = _arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"machine": _machine(), "k": asked.k, "rounds": asked.rounds, "seconds": asked.seconds,
                              "closed_client": "h2load" if load.H2LOAD else "python", "sizes": {}}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="tiller-bench-") as folder:
        for items in asked.items:
            bundle = Path(folder) / f"items-{items}"
            print(f"{items} items: making the catalogue ...", file=sys.stderr, flush=True)
            write_catalogue(bundle, items)
            result["sizes"][str(items)] = _measure(bundle, Path(folder), asked)
    (asked.out / "serve.json").write_text(json.dumps(result, indent=1) + "\n")
    report.draw(result, asked.out / "serve.png")
    print(report.tables(result))


def _measure(bundle: Path, folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    payloads = {case: _payloads(rules, asked.k) for case, rules in CASES.items()}
    with ExitStack() as stack:
        echo = stack.enter_context(process(["benchmarks.echo"], folder / "echo.port", positional=True))
        server = stack.enter_context(
            process(["server", "--bundle", str(bundle), "--host", "127.0.0.1", "--port", "0", "--metrics-port", "0"],
                    folder / f"{bundle.name}.port")
        )  # fmt: skip
        closed: dict[str, list[float]] = {ECHO: [], **{case: [] for case in CASES}, FAISS: []}
        for number in range(asked.rounds):
            print(f"  round {number + 1} of {asked.rounds}: throughput", file=sys.stderr, flush=True)
            closed[FAISS].append(_faiss(bundle, asked.k, asked.seconds)["per_second"])
            for case in (ECHO, *CASES):
                address = (echo if case == ECHO else server)["grpc"]
                mine = payloads["no rule" if case == ECHO else case]
                closed[case].append(load.closed(address, mine[number : number + 1], asked.seconds))
        _all_ok(server["metrics"])
        rate = asked.rate or _round(0.4 * min(statistics.median(closed[case]) for case in CASES))
        latency: dict[str, list[dict[str, float]]] = {case: [] for case in (ECHO, *CASES)}
        for number in range(asked.rounds):
            print(f"  round {number + 1} of {asked.rounds}: latency at {rate} calls/s", file=sys.stderr, flush=True)
            for case, runs in latency.items():
                address = (echo if case == ECHO else server)["grpc"]
                mine = payloads["no rule" if case == ECHO else case]
                runs.append(load.open_loop(address, mine, rate, 2 * asked.seconds))
        _all_ok(server["metrics"])
        memory = _metric(server["metrics"], "process_resident_memory_bytes")
    return {"closed": closed, "rate": rate, "open": latency, "faiss": _faiss(bundle, asked.k, asked.seconds),
            "server_resident_bytes": memory}  # fmt: skip


@contextmanager
def process(module: list[str], port_file: Path, *, positional: bool = False) -> Iterator[dict[str, str]]:
    """A Python module as a process, until the block ends; gives the addresses it wrote."""
    port_file.unlink(missing_ok=True)
    told = [str(port_file)] if positional else ["--port-file", str(port_file)]
    child = subprocess.Popen(
        [sys.executable, "-m", *module, *told], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True,
    )  # fmt: skip
    try:
        while not port_file.exists():
            if child.poll() is not None:
                raise RuntimeError(f"{module[0]} ended: {child.stderr.read() if child.stderr else ''}")
            time.sleep(0.05)
        yield json.loads(port_file.read_text())
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()


def _payloads(rules: list[tuple[Any, int]], k: int) -> list[bytes]:
    """The same question of 200 users."""
    made = []
    for user in range(0, USERS, USERS // 200):
        request = pb.RecommendRequest(user_id=f"u{user}", k=k)
        for action, concept in rules:
            rule = request.rules.add(action=action, concept=f"kind:k{concept}")
            if action != _FILTER:
                rule.strength = 0.5
        made.append(request.SerializeToString())
    return made


def _faiss(bundle: Path, k: int, seconds: float) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.faiss_alone", str(bundle), str(k), str(seconds)],
        capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def _metric(url: str, name: str) -> float:
    with urllib.request.urlopen(url, timeout=10) as page:
        found = re.search(rf"^{name} (\S+)$", page.read().decode(), re.MULTILINE)
    return float(found[1]) if found else float("nan")


def _all_ok(url: str) -> None:
    """h2load counts a refused gRPC call as HTTP 200: the server's own count says whether any was refused."""
    with urllib.request.urlopen(url, timeout=10) as page:
        codes = set(
            re.findall(r'^tiller_requests_total\{code="(\w+)",method="Recommend"\}', page.read().decode(), re.M)
        )
    if not codes <= {"OK", "CANCELLED"}:  # h2load leaves what is in flight when its time is up
        raise RuntimeError(f"some calls were refused: {codes}")


def _round(rate: float) -> int:
    """Down to two digits, at most 1,500: what the Python client can still start on time."""
    step = int(10 ** max(len(str(int(rate))) - 2, 0))
    return max(10, min(1_500, int(rate // step) * step))


def _machine() -> dict[str, Any]:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()) if sys.platform == "linux" else None
    return {"cores": len(os.sched_getaffinity(0)), "cpu": model[1] if model else platform.machine(),
            "python": platform.python_version(), "tiller": __version__}  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder for serve.json and serve.png")
    parser.add_argument("--items", type=int, nargs="+", default=[4_000, 100_000], help="sizes of the catalogues")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each case")
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="of each throughput measurement; latency takes twice"
    )
    parser.add_argument("--k", type=int, default=30, help="length of a list, at most 100")
    parser.add_argument("--rate", type=int, default=0, help="calls a second for latency; 0: 0.4 of the slowest case")
    return parser.parse_args()


if __name__ == "__main__":
    main()
