"""MovieLens-1M and MovieLens-100K (Harper and Konstan, 2015, ACM TiiS 5(4)), read as GroupLens publishes them.

Items are the rated movies only, in the order of their ids; ``title`` keeps its year, ``genre`` is list<string>,
``year`` int32 is parsed from the title (null where there is none), ``popularity`` int32 counts interactions. Every
rating is an interaction, its stars the weight. ``order`` is the time stamp; in copies whose fourth column is a position
in the user's history instead (numbers far below any time stamp) it is that position, and provenance says which.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa

from bundle.errors import DataError
from offline.datasets.archive import Archive, open_archive
from offline.datasets.rows import ANY_COUNT, ANY_ID, IntArray, int_columns, text_rows, whole_number
from offline.datasets.types import Dataset, Interactions

YEAR = re.compile(r"\((\d{4})\)(?:\s*\([^()]*\))*$")
"""The last four digits in brackets, before at most remarks: ``Two Friends (1986) (V)`` is of 1986."""

STARS = (1, 5)
EARLIEST_TIME = 500_000_000
"""November 1985: MovieLens began in 1997, and nobody rated a million movies, so this divides times from positions."""

_Movies = dict[int, tuple[str, list[str]]]
_RATING = {"user": ANY_ID, "item": ANY_ID, "rating": STARS, "time": ANY_COUNT}


def load_ml_1m(path: Path) -> Dataset:
    """MovieLens-1M: 6,040 users, 3,706 rated movies, 1,000,209 ratings, 18 genres.

    Raises:
        DataError: ``path`` is not the archive, or a row of it is malformed.
    """
    archive = open_archive(path, "ml-1m")
    ratings = int_columns(archive.read("ratings.dat"), "::", _RATING, archive.where("ratings.dat"))
    movies: _Movies = {}
    where = archive.where("movies.dat")
    for number, (key, title, genres) in text_rows(archive.read("movies.dat"), "::", 3, where, "latin-1"):
        movies[_new_id(key, movies, where, number)] = (title.strip(), [name for name in genres.split("|") if name])
    return _dataset(archive, ratings, movies)


def load_ml_100k(path: Path) -> Dataset:
    """MovieLens-100K: 943 users, 1,682 movies, 100,000 ratings, 18 genres ("unknown" is taken as none).

    Raises:
        DataError: ``path`` is not the archive, or a row of it is malformed.
    """
    archive = open_archive(path, "ml-100k")
    ratings = int_columns(archive.read("u.data"), "\t", _RATING, archive.where("u.data"))
    genres = [row[0] for _, row in text_rows(archive.read("u.genre"), "|", 2, archive.where("u.genre"), "latin-1")]
    movies: _Movies = {}
    where = archive.where("u.item")
    # id, title, release date, video release date, URL, then one 0/1 flag per genre
    for number, row in text_rows(archive.read("u.item"), "|", 5 + len(genres), where, "latin-1"):
        flags = [whole_number(flag, (0, 1), genre, where, number) for genre, flag in zip(genres, row[5:], strict=True)]
        names = [genre for genre, flag in zip(genres, flags, strict=True) if flag and genre != "unknown"]
        movies[_new_id(row[0], movies, where, number)] = (row[1].strip(), names)
    return _dataset(archive, ratings, movies)


def year_of(title: str) -> int | None:
    """The year at the end of a title, or None."""
    match = YEAR.search(title.strip())
    return int(match[1]) if match else None


def _new_id(text: str, movies: _Movies, where: str, number: int) -> int:
    key = whole_number(text, ANY_ID, "movie id", where, number)
    if key in movies:
        raise DataError(
            f"{where}, row {number}: movie id",
            found=f"{key}, which an earlier row has",
            expected="each id once",
            hint="Use the archive as it was published, or remove the row.",
        )
    return key


def _dataset(archive: Archive, ratings: dict[str, IntArray], movies: _Movies) -> Dataset:
    users, user = np.unique(ratings["user"], return_inverse=True)
    rated, item = np.unique(ratings["item"], return_inverse=True)
    unknown = [int(key) for key in rated if int(key) not in movies]
    if unknown:
        ratings_file, movies_file = (
            ("ratings.dat", "movies.dat") if archive.dataset == "ml-1m" else ("u.data", "u.item")
        )
        raise DataError(
            f"{archive.where(ratings_file)}: movies without a row in {movies_file}",
            found=f"{len(unknown):,} ({', '.join(map(str, unknown[:5]))}{', ...' if len(unknown) > 5 else ''})",
            expected="a row for every rated movie",
            hint="The archive is incomplete: get it again.",
        )
    titles, genres = zip(*(movies[int(key)] for key in rated), strict=True)
    items = pa.table(
        {
            "item_id": pa.array([str(key) for key in rated], pa.string()),
            "title": pa.array(titles, pa.string()),
            "genre": pa.array(genres, pa.list_(pa.string())),
            "year": pa.array([year_of(title) for title in titles], pa.int32()),
            "popularity": pa.array(np.bincount(item, minlength=len(rated)), pa.int32()),
        }
    )
    interactions = Interactions(
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        order=ratings["time"],
        weight=ratings["rating"].astype(np.float32),
    )
    timed = int(ratings["time"].max()) >= EARLIEST_TIME
    provenance = archive.provenance() | {
        "dataset": archive.dataset,
        "items": len(rated),
        "users": len(users),
        "interactions": len(interactions),
        "order": "time" if timed else "position",
    }
    return Dataset(archive.dataset, items, [str(key) for key in users], interactions, provenance)
