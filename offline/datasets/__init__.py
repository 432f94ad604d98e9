"""Where embeddings and interactions come from: public archives, the planted world, or your own tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bundle.errors import DataError

if TYPE_CHECKING:
    from offline.datasets.download import Progress
    from offline.datasets.synthetic import SyntheticConfig
    from offline.datasets.types import Dataset

NAMES = ("ml-1m", "ml-100k", "lastfm", "synthetic")


def load_dataset(
    name: str,
    data: Path | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    world: SyntheticConfig | None = None,
) -> Dataset:
    """A data set by name (one of ``NAMES``).

    ``data`` is its official archive or unpacked folder; without it the archive is downloaded into the cache
    (``offline.datasets.download.cache_dir``), and ``progress(bytes, total)`` is called on the way. ``seed`` draws the
    planted world, and the order of Last.FM's listens; it does not touch MovieLens. ``world``: sizes of ``synthetic``.

    Raises:
        DataError: no such name, no such archive, a damaged one, or no connection.
    """
    if name not in NAMES:
        from rapidfuzz.process import extractOne

        nearest = extractOne(name, NAMES)
        raise DataError(
            "dataset",
            found=repr(name),
            expected=f"one of {', '.join(NAMES)}",
            hint=f"Did you mean {nearest[0]}? Own embeddings go in with --items and --users." if nearest else None,
        )
    if name == "synthetic":
        if data is not None:
            raise DataError(
                "dataset synthetic",
                found=f"--data {data}",
                expected="no --data",
                hint="It is made, not read: leave it out.",
            )
        from offline.datasets.synthetic import make_synthetic

        return make_synthetic(world, seed=seed)
    if data is None:
        from offline.datasets.download import SOURCES, cache_dir, download

        data = download(SOURCES[name], cache_dir(), progress=progress)
    if name == "lastfm":
        from offline.datasets.lastfm import load_lastfm

        return load_lastfm(data, seed=seed)
    from offline.datasets.movielens import load_ml_1m, load_ml_100k

    return load_ml_1m(data) if name == "ml-1m" else load_ml_100k(data)
