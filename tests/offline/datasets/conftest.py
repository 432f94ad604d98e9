"""Archives in the official layouts, small enough to count by hand."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Files = Mapping[str, bytes]
Write = Callable[[str, Files], Path]

ML_1M = {
    "ml-1m/ratings.dat": b"7::10::5::978300760\n7::30::3::978300761\n9::10::1::978300700\n",
    "ml-1m/movies.dat": (
        "10::Léon (1994)::Action|Drama\n20::Never Rated (2000)::Drama\n30::Associate, The (L'Associe)(1982)::Comedy\n"
    ).encode("latin-1"),
    "ml-1m/users.dat": b"7::F::1::10::48067\n9::M::56::16::70072\n",
}
ML_100K = {
    "ml-100k/u.data": b"5\t2\t4\t881250949\n5\t1\t3\t881250948\n6\t2\t5\t881250947\n",
    "ml-100k/u.item": (
        b"1|unknown||||1|0|0\n"
        b"2|Two Friends (1986) (V)|26-Apr-1986||http://us.imdb.com/M/title-exact?Two|0|1|1\n"
        b"3|Unrated (1990)|01-Jan-1990|||0|0|1\n"
    ),
    "ml-100k/u.genre": b"unknown|0\nAction|1\nDrama|2\n\n",
}
LASTFM = {
    "artists.dat": "id\tname\turl\tpictureURL\n1\tBjörk\tu\tp\n2\tMogwai\tu\tp\n3\tUnheard\tu\tp\n".encode(),
    "tags.dat": "tagID\ttagValue\r\n1\tpost-rock\r\n2\tPost Rock\r\n3\trock français\r\n4\t<3\r\n".encode("latin-1"),
    "user_artists.dat": b"userID\tartistID\tweight\r\n2\t1\t100\r\n2\t2\t50\r\n4\t2\t7\r\n",
    "user_taggedartists-timestamps.dat": (
        b"userID\tartistID\ttagID\ttimestamp\r\n"
        b"2\t2\t1\t1238536800000\r\n2\t2\t2\t1238536800000\r\n4\t2\t2\t1238536800000\r\n"
        b"2\t1\t3\t1238536800000\r\n4\t1\t3\t-62135596800000\r\n2\t1\t4\t0\r\n4\t1\t4\t0\r\n"
        b"2\t1\t1\t0\r\n2\t9\t1\t0\r\n4\t9\t1\t0\r\n"
    ),
}
OFFICIAL = {"ml-1m": ML_1M, "ml-100k": ML_100K, "lastfm": LASTFM}


@pytest.fixture
def official() -> dict[str, dict[str, bytes]]:
    """Members and bytes of a small archive of each data set; change them to break one."""
    return {name: dict(files) for name, files in OFFICIAL.items()}


@pytest.fixture
def write_zip(tmp_path: Path) -> Write:
    """``write_zip(file name, files)``: a zip in tmp_path."""

    def write(name: str, files: Files) -> Path:
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as file:
            for member, data in files.items():
                file.writestr(member, data)
        return tmp_path / name

    return write


@pytest.fixture
def write_folder(tmp_path: Path) -> Write:
    """``write_folder(folder name, files)``: the same, unpacked."""

    def write(name: str, files: Files) -> Path:
        for member, data in files.items():
            (tmp_path / name / member).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / member).write_bytes(data)
        return tmp_path / name

    return write
