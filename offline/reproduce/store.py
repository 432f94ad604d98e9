"""Units of work on disk: what is done once is not done again, and a killed run leaves nothing half-written.

A unit has a name (its file), facts (all that decides its outcome, the fingerprints of what it was made from among them)
and a result: plain data (``NAME.json``) or arrays (``NAME.safetensors``). A file whose fingerprint is another one's is
made anew. Files are written beside their place, synced and renamed. A lock keeps two runs out of one folder; the system
frees it when a process dies.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from bundle import __version__
from bundle.errors import TrainingError

Arrays = Mapping[str, npt.NDArray[Any]]

REVISION = 3
"""Raise it when the meaning of a unit changes, so that nothing old is taken for new."""


def fingerprint(name: str, facts: Mapping[str, Any]) -> str:
    """Names a unit with its facts."""
    document = json.dumps({"tiller": __version__, "revision": REVISION, "unit": name, "facts": facts}, sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()


class Store:
    """The folder ``out/units`` of one reproduction, locked while open.

    ``made``, ``found``: units of this sitting; ``seconds``: that all of them took, in whichever sitting; ``started``:
    units that were there before.
    """

    def __init__(self, out: Path) -> None:
        """Open the folder.

        Raises:
            TrainingError: it cannot be written, or another run is at work in it.
        """
        self.folder = out / "units"
        self.made = self.found = 0
        self.seconds = 0.0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / ".lock").open("a")
        except OSError as error:
            raise TrainingError(
                f"{out}",
                found=f"cannot be written ({error.strerror})",
                expected="a folder for the results",
                hint="Choose another --out, or make room.",
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise TrainingError(
                f"{out}", found="another run at work in it", hint="Wait for it, or choose another --out."
            ) from error

        self.started = sum(path.suffix in (".json", ".safetensors") for path in self.folder.iterdir())

    def close(self) -> None:
        """Give the lock back."""
        self._lock.close()

    def data(self, name: str, facts: Mapping[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The plain data of a unit, made when it is not there; with ``seconds`` that the making took."""
        path, wanted = self.folder / f"{name}.json", fingerprint(name, facts)
        known = _read_json(path)
        if known is not None and known.get("fingerprint") == wanted:
            self.found += 1
            result: dict[str, Any] = known["result"]
            self.seconds += result["seconds"]
            return result
        started = time.perf_counter()
        result = plain(make())
        result["seconds"] = round(time.perf_counter() - started, 2)
        document = {"fingerprint": wanted, "facts": dict(facts), "result": result}
        write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")
        self.made += 1
        self.seconds += result["seconds"]
        return result

    def arrays(
        self, name: str, facts: Mapping[str, Any], make: Callable[[], tuple[Arrays, dict[str, Any]]]
    ) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """The arrays of a unit and the plain data that came with them (``seconds`` among it)."""
        path, wanted = self.folder / f"{name}.safetensors", fingerprint(name, facts)
        known = _read_arrays(path, wanted)
        if known is not None:
            self.found += 1
            self.seconds += known[1]["seconds"]
            return known
        started = time.perf_counter()
        made, about = make()
        about = plain(about)
        about["seconds"] = round(time.perf_counter() - started, 2)
        metadata = {"fingerprint": wanted, "about": json.dumps(about, allow_nan=False)}
        own = {key: np.ascontiguousarray(value) for key, value in made.items()}
        replace_file(path, lambda temporary: save_file(own, temporary, metadata))
        self.made += 1
        self.seconds += about["seconds"]
        return own, about


def write_text(path: Path, text: str) -> None:
    """A whole file or none."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    replace_file(path, write)


def plain(value: Any) -> Any:
    """As JSON holds it: numpy numbers as Python's, NaN and infinity as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """``write`` a file beside its place, sync it, move it there; its name keeps the ending."""
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _read_arrays(path: Path, wanted: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]] | None:
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            if metadata.get("fingerprint") != wanted:
                return None
            return {key: file.get_tensor(key) for key in file.keys()}, json.loads(metadata["about"])  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
