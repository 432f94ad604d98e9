"""The measuring processes beside the server: each does as a line of JSON on its standard input says."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle.errors import TillerError
from cli.server_process import command, environment


class MeasuringFailed(TillerError):
    """A process that measures ended or could not do what it was told."""


class Child:
    """A module of ours as a process, until it is closed."""

    def __init__(self, module: str, *arguments: object) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [*command(module), *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True, env={**environment(), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def begin(self, order: dict[str, Any]) -> None:
        """Give an order and do not wait."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise MeasuringFailed(f"{self._module} ended", found=f"code {self._process.wait()}") from error

    def answer(self) -> dict[str, Any]:
        """What the last order came to.

        Raises:
            MeasuringFailed: the process ended, or could not do it.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise MeasuringFailed(f"{self._module} ended", found=f"code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise MeasuringFailed(f"{self._module}: {answer['error']}")
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def children(count: int, module: str, *arguments: object) -> Iterator[list[Child]]:
    """So many processes of a module."""
    made: list[Child] = []
    try:
        made += [Child(module, *arguments) for _ in range(count)]
        yield made
    finally:
        for child in made:
            child.close()


@contextmanager
def load_client(folder: Path, payloads: dict[str, tuple[bytes, ...]]) -> Iterator[LoadClient]:
    """The load client, with the messages of every case written to ``folder``."""
    files = {}
    for number, (case, messages) in enumerate(payloads.items()):
        files[case] = folder / f"payloads-{number}.json"
        files[case].write_text(json.dumps([message.hex() for message in messages]))
    with children(1, "cli.bench.load") as (child,):
        yield LoadClient(child, files)


class LoadClient:
    """One process that makes all calls; see cli.bench.load."""

    def __init__(self, child: Child, files: dict[str, Path]) -> None:
        self._child = child
        self._files = files

    def ask(self, mode: str, case: str, **order: object) -> dict[str, Any]:
        """Measure a case.

        Raises:
            MeasuringFailed: calls were refused, or the connection broke.
        """
        self._child.begin({"mode": mode, "payloads": str(self._files[case]), **order})
        answer = self._child.answer()
        if answer.get("refused"):
            raise MeasuringFailed(
                f"{case}: calls were refused or failed", found=answer["refused"], expected="none",
                hint="Ask for fewer calls in flight: --in-flight.",
            )  # fmt: skip
        return answer


@contextmanager
def bare_index(
    folder: Path, bundle: Path, queries: npt.NDArray[np.float32] | None, k: int, workers: int
) -> Iterator[BareIndex | None]:
    """The bundle's index alone, in as many processes as the server has; None where it is not what users ask."""
    if queries is None:
        yield None
        return
    file = folder / "queries.npy"
    np.save(file, queries)
    with children(workers, "cli.bench.bare_faiss", bundle / "index.faiss", file, k) as made:
        yield BareIndex(made)


class BareIndex:
    """Processes that search at the same time."""

    def __init__(self, made: list[Child]) -> None:
        self._made = made

    def per_second(self, seconds: float) -> float:
        """Searches a second, of all of them."""
        for child in self._made:
            child.begin({"seconds": seconds})
        return float(sum(child.answer()["per_second"] for child in self._made))


def shared_memory(pid: int) -> int | None:
    """Bytes of a process and its children: pages that several map count in parts (PSS). None where /proc has none."""
    total = 0
    try:
        for each in (pid, *_children(pid)):
            rollup = Path(f"/proc/{each}/smaps_rollup").read_text()
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) << 10
    except (OSError, StopIteration):
        return None
    return total


def cpu_seconds(pid: int) -> float:
    """Used by a process and its children, the kernel's part included."""
    used = 0
    for each in (pid, *_children(pid)):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])  # utime and stime, counted after the command's name
    return used / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]  # fmt: skip
