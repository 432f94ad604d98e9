from __future__ import annotations

import zipfile

import pytest

from bundle.errors import DataError
from offline.datasets.archive import open_archive

pytestmark = pytest.mark.train


def refusal(path, dataset) -> str:
    with pytest.raises(DataError) as caught:
        open_archive(path, dataset)
    return str(caught.value)


@pytest.mark.parametrize("dataset", ["ml-1m", "ml-100k", "lastfm"])
def test_zip_and_unpacked_folder_hold_the_same_bytes(dataset, official, write_zip, write_folder):
    files = official[dataset]
    from_zip = open_archive(write_zip("a.zip", files), dataset)
    from_folder = open_archive(write_folder("a", files), dataset)
    assert from_zip.members == from_folder.members
    for member, data in files.items():
        name = member.rpartition("/")[2]
        assert from_zip.read(name) == from_folder.read(name) == data


def test_the_inner_folder_may_be_given_too(official, write_folder):
    outer = write_folder("a", official["ml-1m"])
    assert open_archive(outer / "ml-1m", "ml-1m").read("users.dat") == official["ml-1m"]["ml-1m/users.dat"]


def test_what_macos_adds_to_a_zip_does_not_count(official, write_zip):
    path = write_zip("a.zip", {"__MACOSX/ml-1m/ratings.dat": b"junk", **official["ml-1m"]})
    assert open_archive(path, "ml-1m").members["ratings.dat"] == "ml-1m/ratings.dat"


def test_provenance_names_the_file_and_not_the_machine(official, write_zip, write_folder):
    zipped = open_archive(write_zip("a.zip", official["ml-1m"]), "ml-1m").provenance()
    assert zipped["source"] == "a.zip"
    assert len(str(zipped["md5"])) == 32
    folder = open_archive(write_folder("b", official["ml-1m"]), "ml-1m").provenance()
    assert folder == {"source": "b", "md5": None}


def test_nothing_there(tmp_path):
    assert refusal(tmp_path / "ml-1m.zip", "ml-1m") == (
        f"{tmp_path / 'ml-1m.zip'}: found nothing at this path, expected the ml-1m archive (.zip) or its unpacked "
        "folder. Check --data, or leave it out to download the archive."
    )


def test_a_truncated_zip(official, write_zip):
    path = write_zip("ml-1m.zip", official["ml-1m"])
    path.write_bytes(path.read_bytes()[:200])
    assert refusal(path, "ml-1m") == (
        f"{path}: found 200 bytes that are not a complete zip, expected the ml-1m archive (.zip) or its unpacked "
        "folder. If it was downloaded, the transfer may have broken off: get it again."
    )


def test_a_zip_whose_directory_is_damaged(official, write_zip):
    path = write_zip("ml-1m.zip", official["ml-1m"])
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at : at + 4] = b"XXXX"
    path.write_bytes(data)
    assert refusal(path, "ml-1m") == (
        f"{path}: found a damaged zip (Bad magic number for central directory), expected the ml-1m archive. "
        "Get it again."
    )


def test_a_member_with_a_flipped_byte(tmp_path, official):
    path = tmp_path / "ml-1m.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for name, data in official["ml-1m"].items():
            file.writestr(name, data)
    path.write_bytes(path.read_bytes().replace(b"7::30::3", b"7::31::3"))
    archive = open_archive(path, "ml-1m")
    with pytest.raises(DataError) as caught:
        archive.read("ratings.dat")
    assert str(caught.value) == (
        "ml-1m.zip: ml-1m/ratings.dat cannot be read: found Bad CRC-32 for file 'ml-1m/ratings.dat'. "
        "The archive is damaged or locked: get it again."
    )


def test_the_archive_of_another_data_set(official, write_zip):
    path = write_zip("ml-1m.zip", official["ml-100k"])
    assert refusal(path, "ml-1m") == (
        f"{path}: found the ml-100k archive, expected the ml-1m archive. "
        "Pass --dataset ml-100k, or the path of the ml-1m archive."
    )


def test_a_missing_member(official, write_folder):
    del official["lastfm"]["tags.dat"]
    path = write_folder("lastfm", official["lastfm"])
    assert refusal(path, "lastfm") == (
        f"{path}: found no tags.dat in it, expected all of artists.dat, tags.dat, user_artists.dat, "
        "user_taggedartists-timestamps.dat. The archive is incomplete: get it again."
    )


def test_a_zip_of_something_else(write_zip):
    path = write_zip("holiday.zip", {f"{n}.jpg": b"" for n in range(7)})
    assert refusal(path, "ml-100k") == (
        f"{path}: found a zip with 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 2 more, expected the ml-100k archive with "
        "u.data, u.item, u.genre. Pass the path of the ml-100k archive or of its unpacked folder."
    )


def test_an_empty_folder(tmp_path):
    assert refusal(tmp_path, "ml-100k") == (
        f"{tmp_path}: found a folder with no file, expected the ml-100k archive with u.data, u.item, u.genre. "
        "Pass the path of the ml-100k archive or of its unpacked folder."
    )


def test_two_copies_in_one_folder(official, write_folder):
    files = {f"{copy}/{name}": data for copy in "ab" for name, data in official["ml-1m"].items()}
    path = write_folder("both", files)
    assert refusal(path, "ml-1m") == (
        f"{path}: found ratings.dat more than once (a/ml-1m/ratings.dat, b/ml-1m/ratings.dat), expected one data set. "
        "Pass the folder that holds only one of them."
    )
