"""The run folder beside the output, ``OUT.run``: what a killed run leaves, so that the same command goes on.

It holds ``run.json`` (whose run it is), ``recommender.safetensors`` once that is trained, until then
``fit.safetensors`` with its last epoch, and ``sae/`` with the SAE's own checkpoints. A lock keeps two runs from writing
into one; the system frees it when a process dies. Deleted on success.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, TextIO

from bundle import __version__
from bundle.errors import TrainingError
from offline.recommenders import store
from offline.recommenders.base import TrainedRecommender

MARKER = "run.json"
LOCK = "lock"
RECOMMENDER = "recommender.safetensors"
FIT = "fit.safetensors"


class Workspace:
    """One run's folder, locked while the object is open."""

    def __init__(self, out: Path) -> None:
        """Make the folder beside ``out`` and lock it.

        Raises:
            TrainingError: it cannot be written, another run holds it, or it is something else.
        """
        self.folder = out.with_name(f"{out.name}.run")
        self._lock = self._locked()
        self.fingerprint = ""
        strangers = {path.name for path in self.folder.iterdir()} - {
            MARKER,
            LOCK,
            RECOMMENDER,
            f"{RECOMMENDER}.part",
            FIT,
            f"{FIT}.part",
            "sae",
        }
        if strangers:
            self._lock.close()
            raise TrainingError(
                f"run folder {self.folder}",
                found=f"files of something else ({', '.join(sorted(strangers)[:3])})",
                expected="a run folder or nothing",
                hint="Move them away, or choose another --out.",
            )

    @property
    def sae(self) -> Path:
        """Where the SAE keeps its checkpoints."""
        return self.folder / "sae"

    @property
    def fit(self) -> Path:
        """Where a recommender keeps its last epoch while it is trained."""
        return self.folder / FIT

    def claim(self, facts: dict[str, Any], *, resume: bool) -> str:
        """Make the folder this run's; what another configuration left is deleted. Returns a sentence, or nothing.

        ``facts`` is all that decides the outcome of recommender and SAE.
        """
        document = json.dumps({"tiller": __version__, **facts}, sort_keys=True, default=str)
        self.fingerprint = hashlib.sha256(document.encode()).hexdigest()
        marker = self.folder / MARKER
        told = ""
        if marker.is_file():
            same = _read_marker(marker) == self.fingerprint
            if same and resume:
                return f"Going on with the run in {self.folder}."
            told = "as asked" if same else "it is of another configuration or other data"
            told = f"The unfinished run in {self.folder} is thrown away: {told}."
        shutil.rmtree(self.sae, ignore_errors=True)
        for name in (RECOMMENDER, FIT):
            (self.folder / name).unlink(missing_ok=True)
        marker.write_text(
            json.dumps({"kind": "tiller.run", "fingerprint": self.fingerprint, "facts": facts}, default=str)
        )
        return told

    def recall(self) -> TrainedRecommender | None:
        """The trained recommender, if this run has come so far."""
        file = self.folder / RECOMMENDER
        if not file.is_file():
            return None
        try:
            return store.load(file)
        except TrainingError as error:
            raise TrainingError(
                f"{file}", found=error.found, hint="Delete the run folder, or pass --no-resume."
            ) from error

    def remember(self, recommender: TrainedRecommender) -> None:
        """Keep the trained recommender."""
        store.save(recommender, self.folder / RECOMMENDER)

    def release(self, *, delete: bool) -> None:
        """Give the lock back; ``delete`` the folder, which is done anyway when it holds nothing to go on from."""
        if delete or not (self.sae.exists() or (self.folder / RECOMMENDER).exists() or self.fit.exists()):
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    def _locked(self) -> TextIO:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / LOCK).open("a")
        except OSError as error:
            raise TrainingError(
                f"{self.folder}",
                found=f"cannot be written ({error.strerror})",
                expected="a folder beside --out for checkpoints",
                hint="Choose another --out, or make room.",
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise TrainingError(
                f"{self.folder}", found="another run at work in it", hint="Wait for it, or choose another --out."
            ) from error
        return lock


def _read_marker(marker: Path) -> str:
    try:
        document = json.loads(marker.read_text())
    except (ValueError, OSError):
        return ""
    return str(document.get("fingerprint", "")) if isinstance(document, dict) else ""
