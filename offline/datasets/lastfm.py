"""Last.FM of HetRec 2011 (Cantador, Brusilovsky and Kuflik, 2011, RecSys), read as GroupLens publishes it.

Items are the artists somebody listened to; ``title`` is the name, ``popularity`` int32 the number of listeners, ``tag``
list<string> the tags by this rule:

1. a tag is read in lower case, Unicode NFKC, blanks trimmed and collapsed; spellings that differ only in signs and
   blanks ("hip-hop", "Hip Hop", "hiphop") are one tag, written as most assignments write it; without any letter
   ("<3", "2008") it is none;
2. an artist carries a tag that at least ``MIN_GIVERS`` users gave it;
3. a tag stays when at least ``MIN_ARTISTS`` artists carry it.

With one giver instead of two, 575 tags stay, most of them one listener's playlist name; with two, 142 stay
(``tests/offline/datasets/test_lastfm.py``). Opinions ("seen live", "awesome") stay too: whether they are a concept is
measured later, not decreed here.

The archive has play counts (``weight``) and no time of listening, and its rows are sorted by count. ``order`` is
therefore a random permutation drawn from ``seed``: a "temporal" split becomes a random one, and nothing leaks.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bundle.errors import DataError
from offline.datasets.archive import Archive, open_archive
from offline.datasets.rows import ANY_COUNT, ANY_ID, int_columns, text_rows, whole_number
from offline.datasets.types import Dataset, Interactions

MIN_GIVERS = 2
MIN_ARTISTS = 30

TAGGED = "user_taggedartists-timestamps.dat"


def load_lastfm(path: Path, *, seed: int = 0) -> Dataset:
    """HetRec Last.FM: 1,892 users, 17,632 artists, 92,834 listening counts.

    Raises:
        DataError: ``path`` is not the archive, or a row of it is malformed.
    """
    archive = open_archive(path, "lastfm")
    plays = int_columns(
        archive.read("user_artists.dat"),
        "\t",
        {"user": ANY_ID, "item": ANY_ID, "weight": (1, ANY_COUNT[1])},
        archive.where("user_artists.dat"),
        header=True,
    )
    names = _names(archive)
    users, user = np.unique(plays["user"], return_inverse=True)
    artists, item = np.unique(plays["item"], return_inverse=True)
    unknown = [int(key) for key in artists if int(key) not in names]
    if unknown:
        raise DataError(
            f"{archive.where('user_artists.dat')}: artists without a row in artists.dat",
            found=f"{len(unknown):,} ({', '.join(map(str, unknown[:5]))}{', ...' if len(unknown) > 5 else ''})",
            expected="a row for every artist",
            hint="The archive is incomplete: get it again.",
        )
    items = pa.table(
        {
            "item_id": pa.array([str(key) for key in artists], pa.string()),
            "title": pa.array([names[int(key)] for key in artists], pa.string()),
            "tag": pa.array(_tags(archive, artists), pa.list_(pa.string())),
            "popularity": pa.array(np.bincount(item, minlength=len(artists)), pa.int32()),
        }
    )
    interactions = Interactions(
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        order=np.random.default_rng(seed).permutation(len(item)).astype(np.int64),
        weight=plays["weight"].astype(np.float32),
    )
    provenance = archive.provenance() | {
        "dataset": "lastfm",
        "items": len(artists),
        "users": len(users),
        "interactions": len(interactions),
        "order": f"random, seed {seed}",
        "tags": {"min_givers": MIN_GIVERS, "min_artists": MIN_ARTISTS},
    }
    return Dataset("lastfm", items, [str(key) for key in users], interactions, provenance)


def clean_tag(text: str) -> str:
    """Lower case, NFKC, blanks trimmed and collapsed."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text).lower()).strip()


def tag_key(tag: str) -> str:
    """What two spellings of one tag share, letters and digits only; empty where there is no letter."""
    key = re.sub(r"[\W_]+", "", clean_tag(tag))
    return "" if key.isdigit() else key


def _names(archive: Archive) -> dict[int, str]:
    where = archive.where("artists.dat")
    rows = text_rows(archive.read("artists.dat"), "\t", 4, where, "utf-8", header=True)
    return {whole_number(row[0], ANY_ID, "id", where, number): row[1].strip() for number, row in rows}


def _tags(archive: Archive, artists: npt.NDArray[np.int64]) -> list[list[str]]:
    """The tags of each artist, most given first."""
    where = archive.where("tags.dat")
    rows = text_rows(archive.read("tags.dat"), "\t", 2, where, "latin-1", header=True)
    spelled = {whole_number(row[0], ANY_ID, "tagID", where, number): clean_tag(row[1]) for number, row in rows}
    given = int_columns(
        archive.read(TAGGED),
        "\t",
        {"user": ANY_ID, "artist": ANY_ID, "tag": ANY_ID, "time": (-(2**62), 2**62)},
        archive.where(TAGGED),
        header=True,
    )
    spellings: dict[str, Counter[str]] = {}
    for tag, count in zip(*np.unique(given["tag"], return_counts=True), strict=True):
        if int(tag) in spelled and (key := tag_key(spelled[int(tag)])):
            spellings.setdefault(key, Counter())[spelled[int(tag)]] += int(count)
    keys = sorted(spellings)
    column = {key: index for index, key in enumerate(keys)}
    column_of = np.full(int(given["tag"].max()) + 1, -1)
    for tag, text in spelled.items():
        if tag < len(column_of):
            column_of[tag] = column.get(tag_key(text), -1)
    row = np.searchsorted(artists, given["artist"])
    known = (row < len(artists)) & (artists[np.minimum(row, len(artists) - 1)] == given["artist"])
    known &= column_of[given["tag"]] >= 0
    triples = np.stack([row[known], column_of[given["tag"][known]], given["user"][known]], axis=1)
    # One user may spell one tag two ways: unique before counting.
    pairs, givers = np.unique(np.unique(triples, axis=0)[:, :2], axis=0, return_counts=True)
    pairs, givers = pairs[givers >= MIN_GIVERS], givers[givers >= MIN_GIVERS]
    kept = np.bincount(pairs[:, 1], minlength=len(keys)) >= MIN_ARTISTS
    out: list[list[str]] = [[] for _ in artists]
    for index in np.lexsort((pairs[:, 1], -givers)):
        artist, tag = pairs[index]
        if kept[tag]:
            out[artist].append(spellings[keys[tag]].most_common(1)[0][0])
    return out
