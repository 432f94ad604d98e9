from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.errors import DataError
from offline.datasets.movielens import load_ml_1m, load_ml_100k, year_of

pytestmark = pytest.mark.train


def refusal(load, path) -> str:
    with pytest.raises(DataError) as caught:
        load(path)
    return str(caught.value)


def test_ml_1m_rows_worked_out_by_hand(official, write_zip):
    data = load_ml_1m(write_zip("ml-1m.zip", official["ml-1m"]))
    # Movie 20 has no rating, so it is not an item; latin-1 and the year without a blank before it are read.
    assert data.items.to_pylist() == [
        {"item_id": "10", "title": "Léon (1994)", "genre": ["Action", "Drama"], "year": 1994, "popularity": 2},
        {
            "item_id": "30",
            "title": "Associate, The (L'Associe)(1982)",
            "genre": ["Comedy"],
            "year": 1982,
            "popularity": 1,
        },
    ]
    assert data.user_ids == ["7", "9"]
    assert data.interactions.user.tolist() == [0, 0, 1]
    assert data.interactions.item.tolist() == [0, 1, 0]
    assert data.interactions.order.tolist() == [978300760, 978300761, 978300700]
    assert data.interactions.weight.tolist() == [5, 3, 1]
    assert data.provenance["order"] == "time"
    assert data.provenance | {"md5": None} == {
        "source": "ml-1m.zip", "md5": None, "dataset": "ml-1m", "items": 2, "users": 2, "interactions": 3,
        "order": "time",
    }  # fmt: skip


def test_ml_1m_with_positions_instead_of_times_says_so(official, write_folder):
    official["ml-1m"]["ml-1m/ratings.dat"] = b"7::10::5::2\n7::30::3::1\n"
    data = load_ml_1m(write_folder("a", official["ml-1m"]))
    assert data.interactions.order.tolist() == [2, 1]
    assert data.provenance["order"] == "position"


def test_ml_100k_rows_worked_out_by_hand(official, write_zip):
    data = load_ml_100k(write_zip("ml-100k.zip", official["ml-100k"]))
    assert data.items.to_pylist() == [
        {"item_id": "1", "title": "unknown", "genre": [], "year": None, "popularity": 1},
        {
            "item_id": "2",
            "title": "Two Friends (1986) (V)",
            "genre": ["Action", "Drama"],
            "year": 1986,
            "popularity": 2,
        },
    ]
    assert data.interactions.user.tolist() == [0, 0, 1]
    assert data.interactions.item.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("title", "year"),
    [
        ("Toy Story (1995)", 1995),
        ("Land Before Time III (1995) (V)", 1995),
        ("Heidi Fleiss (1995) ", 1995),
        ("2001: A Space Odyssey", None),
        ("Seven (Se7en) (1995)", 1995),
        ("(1900) Remembered", None),
    ],
)
def test_year(title, year):
    assert year_of(title) == year


@given(st.text(), st.integers(1000, 9999))
def test_any_title_with_a_year_at_its_end(title, year):
    assert year_of(f"{title} ({year})") == year


BAD_RATINGS = [
    (b"7::10::5::1\n7::30::3\n", "row 2: found 3 fields in '7::30::3', expected 4 fields divided by '::'"),
    (b"7::10::5::1\n\n7::30::x::1\n", "row 3: rating: found 'x', expected a whole number from 1 to 5"),
    (b"7::10::5::1\n7::30::6::1\n", "row 2: rating: found '6', expected a whole number from 1 to 5"),
    (b"7::10::::1\n", "row 1: rating: found '', expected a whole number from 1 to 5"),
    (b"0::10::5::1\n", "row 1: user: found '0', expected a whole number from 1"),
    (b"7::10::5::99999999999999999999\n", "row 1: time: found '99999999999999999999', expected a whole number from 0"),
]


@pytest.mark.parametrize(("ratings", "message"), BAD_RATINGS)
def test_a_malformed_rating_is_refused_by_file_and_row(ratings, message, official, write_zip):
    official["ml-1m"]["ml-1m/ratings.dat"] = ratings
    assert refusal(load_ml_1m, write_zip("ml-1m.zip", official["ml-1m"])) == (
        f"ml-1m.zip: ml-1m/ratings.dat, {message}. Use the archive as it was published, or remove the row."
    )


def test_a_ratings_file_without_rows(official, write_zip):
    official["ml-1m"]["ml-1m/ratings.dat"] = b"\n"
    assert refusal(load_ml_1m, write_zip("ml-1m.zip", official["ml-1m"])) == (
        "ml-1m.zip: ml-1m/ratings.dat: found no rows. The file is damaged: get the archive again."
    )


def test_a_malformed_movie(official, write_zip):
    official["ml-1m"]["ml-1m/movies.dat"] = b"10::One (1990)::Drama\n30::Two (1991)\n"
    assert refusal(load_ml_1m, write_zip("ml-1m.zip", official["ml-1m"])) == (
        "ml-1m.zip: ml-1m/movies.dat, row 2: found 2 fields in '30::Two (1991)', expected 3 fields divided by '::'. "
        "Use the archive as it was published, or remove the row."
    )


def test_a_movie_given_twice(official, write_zip):
    official["ml-1m"]["ml-1m/movies.dat"] = b"10::One (1990)::Drama\n10::Two (1991)::Drama\n"
    assert refusal(load_ml_1m, write_zip("ml-1m.zip", official["ml-1m"])) == (
        "ml-1m.zip: ml-1m/movies.dat, row 2: movie id: found 10, which an earlier row has, expected each id once. "
        "Use the archive as it was published, or remove the row."
    )


def test_rated_movies_without_a_row(official, write_zip):
    official["ml-1m"]["ml-1m/movies.dat"] = b"20::One (1990)::Drama\n"
    assert refusal(load_ml_1m, write_zip("ml-1m.zip", official["ml-1m"])) == (
        "ml-1m.zip: ml-1m/ratings.dat: movies without a row in movies.dat: found 2 (10, 30), "
        "expected a row for every rated movie. The archive is incomplete: get it again."
    )


def test_a_genre_flag_that_is_none(official, write_zip):
    item = official["ml-100k"]["ml-100k/u.item"]
    official["ml-100k"]["ml-100k/u.item"] = item.replace(b"Two|0|1|1", b"Two|0|1|2")
    assert refusal(load_ml_100k, write_zip("ml-100k.zip", official["ml-100k"])) == (
        "ml-100k.zip: ml-100k/u.item, row 2: Drama: found '2', expected a whole number from 0 to 1. "
        "Use the archive as it was published, or remove the row."
    )


@pytest.mark.data
def test_the_real_ml_1m(data_dir):
    data = load_ml_1m(data_dir / "ml-1m-rebuilt.zip")
    assert (data.items.num_rows, len(data.user_ids), len(data.interactions)) == (3706, 6040, 1_000_209)
    assert len({genre for genres in data.items["genre"].to_pylist() for genre in genres}) == 18
    assert data.items["year"].null_count == 0
    assert sum(data.items["popularity"].to_pylist()) == 1_000_209
    assert data.provenance["order"] == "position"
    # One rating per user and movie, and every user's history has at least 20.
    pairs = data.interactions.user.astype(np.int64) * 3706 + data.interactions.item
    assert len(np.unique(pairs)) == 1_000_209
    assert np.bincount(data.interactions.user).min() == 20
    titles = data.items["title"].to_pylist()
    assert "Misérables, Les (1995)" in titles


@pytest.mark.data
def test_the_real_ml_100k(data_dir):
    data = load_ml_100k(data_dir / "ml-100k.zip")
    assert (data.items.num_rows, len(data.user_ids), len(data.interactions)) == (1682, 943, 100_000)
    assert len({genre for genres in data.items["genre"].to_pylist() for genre in genres}) == 18
    assert data.items["year"].null_count == 1
    assert data.provenance["order"] == "time"
