"""The official archives over HTTP: resumed where they broke off, checked, and moved into the cache in one rename.

GroupLens publishes an md5 beside each MovieLens archive. It publishes none for HetRec 2011; that digest is of the
archive as it circulates since 2011 (the same in independent public copies), so a mismatch there says "changed", too.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from bundle.errors import DataError

Progress = Callable[[int, int | None], None]
"""Called as ``progress(bytes on disk, bytes in all)``; the second is None where the server does not say."""

_CHUNK = 1 << 14  # what a break-off loses at most: urllib3 drops a chunk that it could not fill
_CONNECT_SECONDS, _READ_SECONDS = 10, 60


@dataclass(frozen=True)
class Source:
    """Where an archive is, what it is called in the cache, and what it must be."""

    dataset: str
    url: str
    file_name: str
    md5: str


SOURCES = {
    source.dataset: source
    for source in (
        Source(
            "ml-1m",
            "https://files.grouplens.org/datasets/movielens/ml-1m.zip",
            "ml-1m.zip",
            "c4d9eecfca2ab87c1945afe126590906",
        ),
        Source(
            "ml-100k",
            "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
            "ml-100k.zip",
            "0e33842e24a9c977be4e0107933c0723",
        ),
        Source(
            "lastfm",
            "https://files.grouplens.org/datasets/hetrec2011/hetrec2011-lastfm-2k.zip",
            "hetrec2011-lastfm-2k.zip",
            "296d61afe4e8632b173fc2dd3be20ce2",
        ),
    )
}


def cache_dir() -> Path:
    """``$TILLER_CACHE``, else ``$XDG_CACHE_HOME/tiller``, else ``~/.cache/tiller``."""
    named = os.environ.get("TILLER_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tiller"


def download(
    source: Source, folder: Path, *, progress: Progress | None = None, attempts: int = 5, pause: float = 1.0
) -> Path:
    """The archive in ``folder``, downloaded unless it is there and whole.

    A transfer that breaks off is taken up again where it stopped, ``attempts`` times with ``pause`` seconds (doubling)
    between, and at the next call; what is there so far waits in ``NAME.part``. Two processes take turns.

    Raises:
        DataError: no connection, a refusal of the server, too many break-offs, or another checksum.
    """
    target, part = folder / source.file_name, folder / f"{source.file_name}.part"
    folder.mkdir(parents=True, exist_ok=True)
    with _turn(folder / f".{source.file_name}.lock"):
        if target.is_file() and _md5(target) == source.md5:
            return target
        resumed = part.exists()
        _transfer(source, part, progress, attempts, pause)
        if resumed and _md5(part) != source.md5:
            # The beginning may be of another version or another transfer: once more, from nothing.
            part.unlink()
            _transfer(source, part, progress, attempts, pause)
        found = _md5(part)
        if found != source.md5:
            size = part.stat().st_size
            part.unlink()
            raise DataError(
                f"{source.url}",
                found=f"{size:,} bytes with md5 {found}",
                expected=f"md5 {source.md5}",
                hint=f"A proxy may have answered instead, or the archive changed. {_by_hand(source)}",
            )
        part.replace(target)
    return target


def _transfer(source: Source, part: Path, progress: Progress | None, attempts: int, pause: float) -> None:
    for attempt in range(attempts):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            return _once(source, part, progress)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            last: Exception = error
    have = part.stat().st_size if part.exists() else 0
    if not have:
        raise DataError(
            f"{source.dataset} cannot be downloaded from {source.url}",
            found=f"no connection ({type(last).__name__})",
            hint=_by_hand(source),
        ) from last
    raise DataError(
        f"{source.dataset} from {source.url}",
        found=f"a transfer that broke off {attempts} times, the last time after {have:,} bytes",
        hint=f"Run it again: it goes on from there. {_by_hand(source)}",
    ) from last


def _once(source: Source, part: Path, progress: Progress | None) -> None:
    have = part.stat().st_size if part.exists() else 0
    # identity: a transport that compresses would make byte ranges mean something else
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(source.url, headers=headers, stream=True, timeout=(_CONNECT_SECONDS, _READ_SECONDS)) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable and have:
            if response.headers.get("Content-Range") == f"bytes */{have}":
                return  # whole already: it broke off after the last byte
            part.unlink()
            raise requests.ConnectionError("the server's file is shorter than what is here")
        if response.status_code >= requests.codes.server_error:
            raise requests.ConnectionError(f"HTTP {response.status_code}")
        if response.status_code not in (requests.codes.ok, requests.codes.partial_content):
            raise DataError(
                f"{source.dataset} cannot be downloaded from {source.url}",
                found=f"HTTP {response.status_code} {response.reason}",
                hint=_by_hand(source),
            )
        resuming = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        done = have if resuming else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        with part.open("ab" if resuming else "wb") as file:
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                if progress:
                    progress(done, total)
    if total is not None and done < total:
        raise requests.ConnectionError(f"{done:,} of {total:,} bytes")


def _by_hand(source: Source) -> str:
    return (
        f"Without internet, get {source.file_name} on another machine and pass it: "
        f"--dataset {source.dataset} --data PATH/TO/{source.file_name} (the archive or its unpacked folder)."
    )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextmanager
def _turn(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
