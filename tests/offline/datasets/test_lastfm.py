from __future__ import annotations

from collections import Counter

import pytest

from bundle.errors import DataError
from offline.datasets import lastfm
from offline.datasets.lastfm import clean_tag, load_lastfm, tag_key

pytestmark = pytest.mark.train


@pytest.fixture
def few_artists(monkeypatch):
    """The small archive has three artists, so one is enough for a tag."""
    monkeypatch.setattr(lastfm, "MIN_ARTISTS", 1)


@pytest.mark.usefixtures("few_artists")
def test_rows_worked_out_by_hand(official, write_zip):
    data = load_lastfm(write_zip("a.zip", official["lastfm"]))
    # Mogwai: users 2 and 4 say post-rock, user 2 in both spellings, which counts once. It is written "post-rock",
    # which four assignments use, against two of "Post Rock".
    # Björk: two users say "rock français"; only one says post-rock; "<3" is no tag. Artist 9 is in no list.
    assert data.items.to_pylist() == [
        {"item_id": "1", "title": "Björk", "tag": ["rock français"], "popularity": 1},
        {"item_id": "2", "title": "Mogwai", "tag": ["post-rock"], "popularity": 2},
    ]
    assert data.user_ids == ["2", "4"]
    assert data.interactions.weight.tolist() == [100, 50, 7]
    assert sorted(data.interactions.order.tolist()) == [0, 1, 2]


def test_a_tag_of_few_artists_does_not_stay(official, write_zip):
    data = load_lastfm(write_zip("a.zip", official["lastfm"]))
    assert data.items["tag"].to_pylist() == [[], []]


@pytest.mark.parametrize(
    ("raw", "clean", "key"),
    [
        ("  Hip  Hop ", "hip hop", "hiphop"),
        ("Hip-Hop", "hip-hop", "hiphop"),
        ("'80s", "'80s", "80s"),
        ("ｒｏｃｋ", "rock", "rock"),
        ("die Ärzte", "die ärzte", "dieärzte"),
        ("<3", "<3", ""),
        ("2008", "2008", ""),
        ("!!!", "!!!", ""),
    ],
)
def test_tags_are_cleaned_by_the_written_rule(raw, clean, key):
    assert (clean_tag(raw), tag_key(raw)) == (clean, key)


def test_order_is_a_permutation_of_the_seed(official, write_folder):
    path = write_folder("a", official["lastfm"])
    orders = {tuple(load_lastfm(path, seed=seed).interactions.order.tolist()) for seed in range(20)}
    assert len(orders) == 6  # every permutation of three
    assert load_lastfm(path, seed=3).provenance["order"] == "random, seed 3"


def test_a_malformed_row(official, write_folder):
    official["lastfm"]["user_artists.dat"] = b"userID\tartistID\tweight\r\n2\t1\t100\r\n2\tx\t50\r\n"
    with pytest.raises(DataError) as caught:
        load_lastfm(write_folder("a", official["lastfm"]))
    assert str(caught.value) == (
        "a: user_artists.dat, row 3: item: found 'x', expected a whole number from 1. "
        "Use the archive as it was published, or remove the row."
    )


def test_an_artist_name_that_is_not_utf_8(official, write_folder):
    official["lastfm"]["artists.dat"] = b"id\tname\turl\tpictureURL\n1\tBj\xf6rk\tu\tp\n"
    with pytest.raises(DataError) as caught:
        load_lastfm(write_folder("a", official["lastfm"]))
    assert str(caught.value) == (
        "a: artists.dat, row 2: found the byte 0xf6, expected utf-8 text. "
        "Use the archive as it was published, not a converted copy."
    )


def test_artists_without_a_row(official, write_folder):
    official["lastfm"]["artists.dat"] = b"id\tname\turl\tpictureURL\n1\tA\tu\tp\n"
    with pytest.raises(DataError) as caught:
        load_lastfm(write_folder("a", official["lastfm"]))
    assert str(caught.value) == (
        "a: user_artists.dat: artists without a row in artists.dat: found 1 (2), expected a row for every artist. "
        "The archive is incomplete: get it again."
    )


@pytest.mark.data
def test_the_real_archive(data_dir, monkeypatch):
    data = load_lastfm(data_dir / "hetrec2011-lastfm-2k.zip")
    assert (data.items.num_rows, len(data.user_ids), len(data.interactions)) == (17_632, 1_892, 92_834)
    artists = Counter(tag for tags in data.items["tag"].to_pylist() for tag in tags)
    assert len(artists) == 142
    assert artists.most_common(2) == [("rock", 1092), ("alternative", 760)]
    assert min(artists.values()) == 30
    assert {"80s", "hip-hop", "singer-songwriter"} <= artists.keys()
    assert not {"80's", "hip hop", "<3"} & artists.keys()
    # The measurement behind the rule: with one giver, playlist names stay.
    monkeypatch.setattr(lastfm, "MIN_GIVERS", 1)
    single = load_lastfm(data_dir / "hetrec2011-lastfm-2k.zip").items["tag"].to_pylist()
    assert len({tag for tags in single for tag in tags}) == 575
