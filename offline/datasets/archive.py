"""An official archive, by path: the .zip as it was downloaded, or the folder it was unpacked into.

Members are found by file name, at any depth (``ratings.dat`` in ``ml-1m/ratings.dat``), so that a folder may be given
one level too high. What is not the archive it is said to be is refused with what was found and what to do.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bundle.errors import DataError

REQUIRED: dict[str, tuple[str, ...]] = {
    "ml-1m": ("ratings.dat", "movies.dat", "users.dat"),
    "ml-100k": ("u.data", "u.item", "u.genre"),
    "lastfm": ("artists.dat", "tags.dat", "user_artists.dat", "user_taggedartists-timestamps.dat"),
}
"""Files that an archive must hold; no two data sets share one, so they also say which archive it is."""

_SHOWN = 5
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)


@dataclass(frozen=True)
class Archive:
    """An opened archive of one data set: ``members`` maps each required file name to its place inside."""

    dataset: str
    path: Path
    members: dict[str, str]

    def where(self, name: str) -> str:
        """How messages name a member: ``ml-1m.zip: ml-1m/ratings.dat``."""
        return f"{self.path.name}: {self.members[name]}"

    def read(self, name: str) -> bytes:
        """The bytes of one member; a zip member's checksum is verified on the way."""
        member = self.members[name]
        try:
            if self.path.is_dir():
                return (self.path / member).read_bytes()
            with zipfile.ZipFile(self.path) as file:
                return file.read(member)
        except _UNREADABLE as error:
            raise DataError(
                f"{self.where(name)} cannot be read",
                found=str(error) or type(error).__name__,
                hint="The archive is damaged or locked: get it again.",
            ) from error

    def provenance(self) -> dict[str, object]:
        """File name and md5 of a zip (a folder has none), for the bundle's manifest."""
        if self.path.is_dir():
            return {"source": self.path.name, "md5": None}
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
        return {"source": self.path.name, "md5": digest.hexdigest()}


def open_archive(path: Path, dataset: str) -> Archive:
    """Open the archive or folder of ``dataset`` (a key of ``REQUIRED``).

    Raises:
        DataError: nothing there, not a zip, a damaged zip, another archive, or a member is missing.
    """
    names = _names(path, dataset)
    required = REQUIRED[dataset]
    found = {name: _find(name, names, path) for name in required}
    missing = [name for name, member in found.items() if member is None]
    if missing:
        _refuse(path, dataset, names, missing)
    return Archive(dataset, path, {name: member for name, member in found.items() if member is not None})


def _names(path: Path, dataset: str) -> list[str]:
    if path.is_dir():
        return [str(PurePosixPath(file.relative_to(path))) for file in sorted(path.rglob("*")) if file.is_file()]
    if not path.exists():
        raise DataError(
            f"{path}",
            found="nothing at this path",
            expected=f"the {dataset} archive (.zip) or its unpacked folder",
            hint="Check --data, or leave it out to download the archive.",
        )
    if not zipfile.is_zipfile(path):
        raise DataError(
            f"{path}",
            found=f"{path.stat().st_size:,} bytes that are not a complete zip",
            expected=f"the {dataset} archive (.zip) or its unpacked folder",
            hint="If it was downloaded, the transfer may have broken off: get it again.",
        )
    try:
        with zipfile.ZipFile(path) as file:
            return [info.filename for info in file.infolist() if not info.is_dir()]
    except _UNREADABLE as error:
        raise DataError(
            f"{path}", found=f"a damaged zip ({error})", expected=f"the {dataset} archive", hint="Get it again."
        ) from error


def _find(name: str, names: Iterable[str], path: Path) -> str | None:
    """The shallowest member of that file name; what macOS adds to a zip does not count."""
    hits = [hit for hit in names if PurePosixPath(hit).name == name and "__MACOSX" not in PurePosixPath(hit).parts]
    hits.sort(key=lambda hit: (len(PurePosixPath(hit).parts), hit))
    if len(hits) > 1 and len(PurePosixPath(hits[0]).parts) == len(PurePosixPath(hits[1]).parts):
        raise DataError(
            f"{path}",
            found=f"{name} more than once ({hits[0]}, {hits[1]})",
            expected="one data set",
            hint="Pass the folder that holds only one of them.",
        )
    return hits[0] if hits else None


def _refuse(path: Path, dataset: str, names: list[str], missing: list[str]) -> None:
    files = {PurePosixPath(name).name for name in names}
    other = [key for key, required in REQUIRED.items() if key != dataset and files.issuperset(required)]
    if other:
        raise DataError(
            f"{path}",
            found=f"the {other[0]} archive",
            expected=f"the {dataset} archive",
            hint=f"Pass --dataset {other[0]}, or the path of the {dataset} archive.",
        )
    if len(missing) < len(REQUIRED[dataset]):
        raise DataError(
            f"{path}",
            found=f"no {', '.join(missing)} in it",
            expected=f"all of {', '.join(REQUIRED[dataset])}",
            hint="The archive is incomplete: get it again.",
        )
    listed = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")
    raise DataError(
        f"{path}",
        found=f"{'a folder' if path.is_dir() else 'a zip'} with {listed or 'no file'}",
        expected=f"the {dataset} archive with {', '.join(REQUIRED[dataset])}",
        hint=f"Pass the path of the {dataset} archive or of its unpacked folder.",
    )
