from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle.errors import DataError
from offline.datasets.tables import MIN_ITEMS, load_tables

pytestmark = pytest.mark.train

N, U, D = 220, 30, 8
RNG = np.random.default_rng(0)
ITEMS = RNG.normal(size=(N, D)).astype(np.float32)
USERS = RNG.normal(size=(U, D)).astype(np.float32)
ITEM_IDS = [f"i{row}" for row in range(N)]
USER_IDS = [f"u{row}" for row in range(U)]
TAKEN = {"user_id": ["u1", "u0", "u1"], "item_id": ["i5", "i0", "i5"]}


class Own:
    """The three files of somebody's own data, written with the columns that a test changes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / name

    def parquet(self, name: str, columns: dict[str, object]) -> Path:
        pq.write_table(pa.table({key: value for key, value in columns.items() if value is not None}), self.path(name))
        return self.path(name)

    def items(self, **change: object) -> Path:
        return self.parquet("items.parquet", {"item_id": ITEM_IDS, "embedding": list(ITEMS)} | change)

    def users(self, **change: object) -> Path:
        return self.parquet("users.parquet", {"user_id": USER_IDS, "embedding": list(USERS)} | change)

    def interactions(self, **change: object) -> Path:
        return self.parquet("interactions.parquet", TAKEN | change)

    def npy(self, name: str, array: object) -> Path:
        np.save(self.path(name), array)
        return self.path(name)

    def text(self, name: str, text: str) -> Path:
        self.path(name).write_text(text)
        return self.path(name)

    def refusal(self, *args: Path | None, **more: object) -> str:
        """The whole message, without the folder."""
        with pytest.raises(DataError) as caught:
            load_tables(*args, **more)
        return str(caught.value).replace(f"{self.folder}/", "")


@pytest.fixture
def own(tmp_path):
    return Own(tmp_path)


# What is read


def test_three_tables(own):
    genre = [["Drama", "War"] if row % 2 else [] for row in range(N)]
    year = [1900 + row for row in range(N)]
    data, embeddings = load_tables(
        own.items(title=[f"T{row}" for row in range(N)], genre=genre, year=year, bias=np.arange(N) / 10.0),
        own.users(),
        own.interactions(timestamp=[30, 10, 20], rating=[1.5, 2, 3]),
    )
    assert data.items.column_names == ["item_id", "title", "genre", "year", "popularity"]
    assert data.items["item_id"].to_pylist() == ITEM_IDS
    assert data.items["title"].to_pylist()[:2] == ["T0", "T1"]
    assert data.items["genre"].to_pylist() == genre
    assert data.items.schema.field("genre").type == pa.list_(pa.string())
    assert data.items["popularity"].to_pylist()[:7] == [1, 0, 0, 0, 0, 2, 0]
    assert data.user_ids == USER_IDS
    assert data.interactions.user.tolist() == [1, 0, 1]
    assert data.interactions.item.tolist() == [5, 0, 5]
    assert data.interactions.order.tolist() == [30, 10, 20]
    assert data.interactions.weight.tolist() == [1.5, 2, 3]
    assert (embeddings.items == ITEMS).all()
    assert (embeddings.users == USERS).all()
    assert embeddings.item_bias.tolist() == pytest.approx((np.arange(N) / 10).tolist())
    assert embeddings.metric == "dot"
    digest = hashlib.sha256(own.path("items.parquet").read_bytes()).hexdigest()
    assert data.provenance["files"]["items.parquet"] == digest
    assert str(own.folder) not in str(data.provenance)


def test_items_alone(own):
    data, embeddings = load_tables(own.items(), metric="cosine")
    assert data.items.column_names == ["item_id", "title"]
    assert data.items["title"].to_pylist() == ITEM_IDS  # without a title, the id
    assert data.user_ids == []
    assert data.interactions is None
    assert embeddings.users.shape == (0, D)
    assert embeddings.item_bias is None
    assert embeddings.metric == "cosine"


VECTOR_TYPES = [
    pa.list_(pa.float32()),
    pa.list_(pa.float64()),
    pa.large_list(pa.float32()),
    pa.list_(pa.float32(), D),
    pa.list_(pa.float16()),
    pa.list_(pa.int64()),
]


@pytest.mark.parametrize("kind", VECTOR_TYPES, ids=str)
def test_every_list_type_of_numbers(kind, own):
    values = np.round(ITEMS * 10) + 1
    data = pa.array(values.astype(kind.value_type.to_pandas_dtype()).tolist(), kind)
    _, embeddings = load_tables(own.items(embedding=data))
    assert embeddings.items.dtype == np.float32
    assert (embeddings.items == values).all()


def test_many_batches_and_row_groups_keep_the_order(own, monkeypatch):
    monkeypatch.setattr("offline.datasets.vectors.BATCH", 7)
    pq.write_table(pa.table({"item_id": ITEM_IDS, "embedding": list(ITEMS)}), own.path("i.parquet"), row_group_size=50)
    assert (load_tables(own.path("i.parquet"))[1].items == ITEMS).all()


def test_whole_numbers_as_ids_meet_strings(own):
    items = own.items(item_id=list(range(N)))
    data, _ = load_tables(
        items, own.users(user_id=list(range(U))), own.interactions(user_id=["1"] * 3, item_id=[7] * 3)
    )
    assert data.items["item_id"].to_pylist()[:3] == ["0", "1", "2"]
    assert data.interactions.item.tolist() == [7, 7, 7]


def test_npy_with_text_ids(own):
    data, embeddings = load_tables(
        None,
        item_vectors=own.npy("items.npy", ITEMS.astype(np.float64)),
        item_ids=own.text("ids.txt", "\n".join(ITEM_IDS) + "\n"),
        user_vectors=own.npy("users.npy", USERS),
        user_ids=own.text("users.txt", "\n".join(USER_IDS)),
    )
    assert data.items["item_id"].to_pylist() == ITEM_IDS
    assert data.user_ids == USER_IDS
    assert (embeddings.items == ITEMS).all()
    assert (embeddings.users == USERS).all()


@pytest.mark.parametrize("option", ["items", "item_ids"])
def test_npy_with_parquet_ids_and_metadata(option, own):
    path = own.items(embedding=None, genre=["Drama"] * N, bias=[0.5] * N)
    data, embeddings = load_tables(
        **({"items": None} | {option: path}), item_vectors=own.npy("items.npy", np.asfortranarray(ITEMS))
    )
    assert data.items["genre"].to_pylist() == ["Drama"] * N
    assert embeddings.item_bias.tolist() == [0.5] * N
    assert (embeddings.items == ITEMS).all()
    assert embeddings.items.flags["C_CONTIGUOUS"]


def test_metadata_of_every_type(own):
    def column(values, kind):
        return pa.array(values * (N // 2), kind)

    data, _ = load_tables(
        own.items(
            mood=column(["dark", None], pa.string()).dictionary_encode(),
            tags=column([["a", None], None], pa.large_list(pa.large_string())),
            explicit=column([True, False], pa.bool_()),
            price=column([1.5, float("nan")], pa.float32()),
            stock=column([1, None], pa.uint16()),
            added=column([date(2020, 1, 1), None], pa.date32()),
            covers=column([[1.0], [2.0]], pa.list_(pa.float32())),
        )
    )
    assert data.items.column_names == ["item_id", "title", "mood", "tags", "explicit", "price", "stock"]
    assert [str(data.items.schema.field(name).type) for name in ("mood", "tags", "explicit", "price", "stock")] == [
        "string", "list<item: string>", "string", "double", "int64",
    ]  # fmt: skip
    first, second = data.items.drop(["item_id", "title"]).slice(0, 2).to_pylist()
    assert first == {"mood": "dark", "tags": ["a"], "explicit": "true", "price": 1.5, "stock": 1}
    assert second == {"mood": None, "tags": [], "explicit": "false", "price": None, "stock": None}
    assert data.provenance["columns_left_out"] == {"added": "date32[day]", "covers": "list<element: float>"}


def test_only_the_columns_asked_for(own):
    path = own.items(genre=["a"] * N, year=[1] * N, title=["t"] * N)
    assert load_tables(path, columns=["year"])[0].items.column_names == ["item_id", "title", "year"]
    assert load_tables(path, columns=[])[0].items.column_names == ["item_id", "title"]
    counted, _ = load_tables(path, own.users(), own.interactions(), columns=["year", "popularity"])
    assert counted.items.column_names == ["item_id", "title", "year", "popularity"]


def test_own_popularity_and_other_names(own):
    path = own.items(embedding=None, vector=list(ITEMS), popularity=[9] * N, offset=[1.0] * N)
    users = own.users(embedding=None, vector=list(USERS))
    data, embeddings = load_tables(path, users, own.interactions(), embedding_column="vector", bias_column="offset")
    assert data.items["popularity"].to_pylist() == [9] * N
    assert data.items.column_names == ["item_id", "title", "popularity"]
    assert embeddings.item_bias.tolist() == [1.0] * N


@pytest.mark.parametrize(
    ("values", "order"),
    [
        ([datetime(1970, 1, day, tzinfo=UTC) for day in (2, 1, 3)], [1, 0, 2]),
        ([date(1970, 1, 2), date(1970, 1, 1), date(1970, 1, 3)], [1, 0, 2]),
        ([2.0, 1.0, 3.0], [1, 0, 2]),
    ],
    ids=["time stamps", "dates", "whole floats"],
)  # fmt: skip
def test_order_from_times(values, order, own):
    data, _ = load_tables(own.items(), own.users(), own.interactions(order=values))
    assert np.argsort(np.argsort(data.interactions.order)).tolist() == order


def test_without_order_the_row_counts(own):
    data, _ = load_tables(own.items(), own.users(), own.interactions())
    assert data.interactions.order.tolist() == [0, 1, 2]
    assert data.interactions.weight.tolist() == [1, 1, 1]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(bad=st.sets(st.integers(0, N - 1), min_size=1, max_size=12), value=st.sampled_from([np.nan, np.inf, -np.inf]))
def test_every_bad_row_is_counted_and_the_first_five_named(bad, value, own):
    vectors = ITEMS.copy()
    vectors[sorted(bad), 3] = value
    rows = sorted(bad)
    shown = ", ".join(map(str, rows[:5])) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
    assert own.refusal(own.items(embedding=list(vectors))).startswith(
        f"items.parquet: embedding, {'row' if len(rows) == 1 else 'rows'} {shown} (the first row is 0): found NaN"
    )


# What is refused, with the whole message


def test_a_nan(own):
    vectors = ITEMS.copy()
    vectors[[3, 8], 2] = np.nan
    assert own.refusal(own.items(embedding=list(vectors))) == (
        "items.parquet: embedding, rows 3, 8 (the first row is 0): found NaN, infinity or null, expected finite "
        "numbers. Fix the vectors or remove the rows; a NaN often comes from dividing by the norm of a zero vector."
    )


def test_a_number_beyond_float32(own):
    vectors = ITEMS.astype(np.float64)
    vectors[4, 0] = 1e300
    assert own.refusal(own.items(embedding=list(vectors))) == (
        "items.parquet: embedding, row 4 (the first row is 0): found NaN, infinity or null, expected finite numbers. "
        "Fix the vectors or remove the rows; a NaN often comes from dividing by the norm of a zero vector."
    )


def test_a_null_inside_a_vector(own):
    vectors = ITEMS.tolist()
    vectors[6][1] = None
    assert own.refusal(own.items(embedding=vectors)).startswith(
        "items.parquet: embedding, row 6 (the first row is 0): found NaN, infinity or null"
    )


def test_a_zero_vector(own):
    vectors = USERS.copy()
    vectors[7] = 0
    assert own.refusal(own.items(), own.users(embedding=list(vectors))) == (
        "users.parquet: embedding, row 7 (the first row is 0): found all zeros, expected a vector with a direction. "
        "Remove the rows: a row that was never trained cannot be recommended or served."
    )


def test_ragged_vectors(own):
    vectors = ITEMS.tolist()
    vectors[5], vectors[9] = vectors[5][:7], [*vectors[9], 1.0]
    assert own.refusal(own.items(embedding=vectors)) == (
        "items.parquet: embedding, rows 5, 9 (the first row is 0): found 7 or 9 values, expected 8, as in row 0. "
        "Every vector must have the same length: fix or remove the rows."
    )


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), D)], ids=str)
def test_a_missing_vector(kind, own):
    vectors = ITEMS.tolist()
    vectors[5] = None
    message = own.refusal(own.items(embedding=pa.array(vectors, kind)))
    assert message == (
        "items.parquet: embedding, row 5 (the first row is 0): found no values, expected 8, as in row 0. "
        "Every vector must have the same length: fix or remove the rows."
    )
    vectors[0] = None
    assert own.refusal(own.items(embedding=pa.array(vectors, pa.list_(pa.float32())))) == (
        "items.parquet: embedding, row 0 (the first row is 0): found no vector, expected a list of numbers. "
        "Remove the row."
    )


def test_vectors_as_text(own):
    assert own.refusal(own.items(embedding=[str(vector) for vector in ITEMS])) == (
        "items.parquet: embedding: found type string, expected a list of numbers in each row. "
        "Write the vectors as list<float> or as a fixed-size list."
    )


def test_users_of_another_size(own):
    assert own.refusal(own.items(), own.users(embedding=list(USERS[:, :6]))) == (
        "users.parquet: user vectors: found 6 dimensions, expected 8, as the items of items.parquet. "
        "Both towers must end in one space: export them from the same model."
    )


def test_an_id_twice(own):
    assert own.refusal(own.items(item_id=["i3", *ITEM_IDS[1:]])) == (
        "items.parquet: item_id: found 'i3' in rows 0, 3 (the first row is 0), expected each id once. "
        "Keep one row for each id."
    )


def test_several_ids_twice(own):
    assert own.refusal(own.items(), own.users(user_id=["u3", "u4", *USER_IDS[2:]])) == (
        "users.parquet: user_id: found 2 ids more than once, the first 'u3' in rows 0, 3 (the first row is 0), "
        "expected each id once. Keep one row for each id."
    )


@pytest.mark.parametrize("blank", ["", "  ", None])
def test_an_empty_id(blank, own):
    assert own.refusal(own.items(item_id=[*ITEM_IDS[:-1], blank])) == (
        "items.parquet: item_id, row 219 (the first row is 0): found no id, expected an id in every row. "
        "Give them ids, or remove the rows."
    )


def test_ids_that_are_floats(own):
    assert own.refusal(own.items(item_id=[float(row) for row in range(N)])) == (
        "items.parquet: item_id: found type double, expected strings or whole numbers. "
        "Convert the column and write it again."
    )


def test_unknown_ids_in_interactions(own):
    path = own.interactions(user_id=["u1"] * 9, item_id=["i1", "a", "b", "c", "d", "e", "f", "g", "a"])
    assert own.refusal(own.items(), own.users(), path) == (
        "interactions.parquet: item_id: found 7 ids that items.parquet does not have, in 8 of 9 rows "
        "('a', 'b', 'c', 'd', 'e' and 2 more), expected only ids of items.parquet. "
        "Remove those rows, or add the missing ids with their vectors."
    )


def test_unknown_users_in_interactions(own):
    assert own.refusal(own.items(), own.users(), own.interactions(user_id=["u0", "ghost", None])) == (
        "interactions.parquet: user_id: found 2 ids that users.parquet does not have, in 2 of 3 rows ('ghost', None), "
        "expected only ids of users.parquet. Remove those rows, or add the missing ids with their vectors."
    )


def test_interactions_without_users(own):
    assert own.refusal(own.items(), None, own.interactions()) == (
        "interactions.parquet: found interactions without users, expected a users table. Pass --users too."
    )


def test_interactions_without_a_column(own):
    assert own.refusal(own.items(), own.users(), own.interactions(user_id=None, userid=["u1"] * 3)) == (
        "interactions.parquet: found no column 'user_id' among 'item_id', 'userid', expected a column 'user_id'. "
        "Did you mean 'userid'? Rename the columns of ids."
    )


def test_interactions_without_rows(own):
    empty = pa.array([], pa.string())
    assert own.refusal(own.items(), own.users(), own.interactions(user_id=empty, item_id=empty)) == (
        "interactions.parquet: found no rows, expected interactions. Leave --interactions out if there are none."
    )


def test_an_order_that_is_none(own):
    assert own.refusal(own.items(), own.users(), own.interactions(order=[1.5, 2, 3])) == (
        "interactions.parquet: order: found type double that is no whole number, expected whole numbers, dates or time "
        "stamps. Convert the column, or leave it out: then the order is that of the rows."
    )


def test_an_order_with_a_gap(own):
    assert own.refusal(own.items(), own.users(), own.interactions(timestamp=[1, None, 3])) == (
        "interactions.parquet: timestamp, row 1 (the first row is 0): found no value, expected a value in every row. "
        "Fill it in or leave the column out."
    )


def test_a_weight_that_is_none(own):
    assert own.refusal(own.items(), own.users(), own.interactions(weight=[1, np.inf, 2])) == (
        "interactions.parquet: weight, row 1 (the first row is 0): found NaN or infinity, expected finite numbers. "
        "Fix the values or leave the column out."
    )
    assert own.refusal(own.items(), own.users(), own.interactions(rating=["a", "b", "c"])) == (
        "interactions.parquet: rating: found type string, expected numbers. Convert the column, or leave it out."
    )


def test_an_unknown_column_asked_for(own):
    path = own.items(genre=["a"] * N, year=[1] * N)
    assert own.refusal(path, columns=["gener", "year", "colour"]) == (
        "items.parquet: found no metadata column 'gener', 'colour', expected names among 'genre', 'year'. "
        "Did you mean 'genre'? Check --columns."
    )
    assert own.refusal(own.items(), columns=["popularity"]) == (
        "items.parquet: found no metadata column 'popularity', expected no names: the file has no metadata. "
        "Check --columns."
    )


def test_a_column_asked_for_that_no_concept_can_come_of(own):
    path = own.items(added=pa.array([date(2020, 1, 1)] * N))
    assert own.refusal(path, columns=["added"]) == (
        "items.parquet: added: found type date32[day], expected text, lists of text, numbers or true/false. "
        "Convert the column, or leave it out of --columns."
    )


def test_two_columns_of_one_family(own):
    assert own.refusal(own.items(Genre=["a"] * N, genre=["b"] * N)) == (
        "items.parquet: column 'genre': found the concept family 'genre', which column 'Genre' already has, "
        "expected a family of its own. Rename the column, or leave it out with --columns."
    )
    assert own.refusal(own.items(latent=["a"] * N)) == (
        "items.parquet: column 'latent': found the concept family 'latent', which latents already has, "
        "expected a family of its own. Rename the column, or leave it out with --columns."
    )


def test_missing_columns(own):
    assert own.refusal(own.items(item_id=None, id=ITEM_IDS)) == (
        "items.parquet: found no column 'item_id' among 'embedding', 'id', expected a column 'item_id'. "
        "Did you mean 'id'? Rename the column of ids to item_id."
    )
    assert own.refusal(own.items(embedding=None, embeddings=list(ITEMS))) == (
        "items.parquet: found no column 'embedding' among 'item_id', 'embeddings', expected a column 'embedding'. "
        "Did you mean 'embeddings'? Name it with --embedding-column, or pass --item-vectors X.npy instead."
    )
    assert own.refusal(own.items(), bias_column="popularity_bias") == (
        "items.parquet: found no column 'popularity_bias' among 'item_id', 'embedding', expected a column "
        "'popularity_bias'. Check --bias-column."
    )


def test_a_bias_that_is_none(own):
    assert own.refusal(own.items(bias=[*[0.1] * (N - 1), np.nan])) == (
        "items.parquet: bias, row 219 (the first row is 0): found NaN, infinity or null, expected a finite number. "
        "Fix the values, or drop the column if it is no item bias."
    )
    assert own.refusal(own.items(bias=["left"] * N)) == (
        "items.parquet: bias: found type string, expected a number in each row. "
        "Rename the column if it is no item bias."
    )


def test_a_bias_with_cosine(own):
    assert own.refusal(own.items(bias=[0.1] * N), metric="cosine") == (
        "items.parquet: bias: found an item bias with metric cosine, expected no bias, or metric dot. "
        "Drop the column, or pass --metric dot if the model adds it to the inner product."
    )


def test_too_few_items(own):
    few = MIN_ITEMS - 1
    assert own.refusal(own.items(item_id=ITEM_IDS[:few], embedding=list(ITEMS[:few]))) == (
        "items.parquet: found 199 items, expected at least 200. "
        "Half of the items name the concepts and the other half test them: fewer say nothing."
    )


def test_no_items_at_all(own):
    nothing = {"item_id": pa.array([], pa.string()), "embedding": pa.array([], pa.list_(pa.float32()))}
    assert own.refusal(own.items(**nothing)) == (
        "items.parquet: embedding: found 0 vectors of 0 numbers. Write the file again, with the vectors."
    )


def test_a_file_that_is_no_parquet(own):
    path = own.text("items.parquet", "item_id,embedding\n")
    assert own.refusal(path) == (
        "items.parquet cannot be read as Parquet: found Parquet magic bytes not found in footer. Either the file is "
        "corrupted or this is not a parquet file. Write the file again: it is damaged, incomplete or another format."
    )


def test_a_parquet_that_is_damaged_inside(own):
    path = own.items()
    data = bytearray(path.read_bytes())
    data[4:2_000] = b"\xff" * 1_996
    path.write_bytes(data)
    assert own.refusal(path).startswith("items.parquet cannot be read as Parquet: found ")


def test_a_path_with_nothing(own):
    assert own.refusal(own.path("nowhere.parquet")) == (
        "nowhere.parquet: found nothing at this path, expected one Parquet file. Check --items."
    )


def test_a_folder(own):
    own.path("shards").mkdir()
    assert own.refusal(own.path("shards")) == ("shards: found a folder, expected one Parquet file. Check --items.")


def test_a_column_twice(own):
    table = pa.Table.from_arrays([pa.array(ITEM_IDS), pa.array(ITEM_IDS)], names=["item_id", "item_id"])
    pq.write_table(table, own.path("items.parquet"))
    assert own.refusal(own.path("items.parquet")) == (
        "items.parquet: found 'item_id' more than once, expected each column once. Rename or drop one."
    )


def test_neither_table_nor_vectors(own):
    assert own.refusal(None) == (
        "items: found neither a table nor vectors, "
        "expected --items TABLE.parquet, or --item-vectors X.npy with --item-ids IDS. Pass one of the two."
    )


def test_ids_without_vectors(own):
    assert own.refusal(own.items(), own.users(), user_ids=own.text("ids.txt", "a")) == (
        "users: found an id file without vectors, "
        "expected --users TABLE.parquet, or --user-vectors X.npy with --user-ids IDS. Pass one of the two."
    )


def test_vectors_without_ids(own):
    assert own.refusal(None, item_vectors=own.npy("v.npy", ITEMS)) == (
        "v.npy: found no ids, expected its ids, in the order of its rows, from --item-ids (text or Parquet). "
        "Pass one file of ids."
    )


def test_vectors_with_two_files_of_ids(own):
    ids = own.text("ids.txt", "\n".join(ITEM_IDS))
    assert own.refusal(own.items(), item_vectors=own.npy("v.npy", ITEMS), item_ids=ids) == (
        "v.npy: found both --items and --item-ids, expected its ids, in the order of its rows, from --item-ids "
        "(text or Parquet). Pass one file of ids."
    )


def test_another_number_of_ids(own):
    ids = own.text("ids.txt", "\n".join(ITEM_IDS[:-1]))
    assert own.refusal(None, item_vectors=own.npy("v.npy", ITEMS), item_ids=ids) == (
        "ids.txt: found 219 ids, expected 220, one for each row of v.npy. Write both from the same run."
    )


def test_an_empty_line_of_ids(own):
    ids = own.text("ids.txt", "\n".join(["i0", "", *ITEM_IDS[2:]]))
    assert own.refusal(None, item_vectors=own.npy("v.npy", ITEMS), item_ids=ids) == (
        "ids.txt, row 1 (the first row is 0): found no id, expected an id in every row. "
        "Give them ids, or remove the rows."
    )


def test_ids_that_are_no_text(own):
    own.path("ids.txt").write_bytes(b"\xff\xfe\x00")
    assert own.refusal(None, item_vectors=own.npy("v.npy", ITEMS), item_ids=own.path("ids.txt")) == (
        "ids.txt: found 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte, "
        "expected UTF-8 text with one id per line. Write the ids again."
    )


def test_a_file_of_ids_that_is_not_there(own):
    assert own.refusal(None, item_vectors=own.npy("v.npy", ITEMS), item_ids=own.path("ids.txt")) == (
        "ids.txt: found nothing at this path, expected the ids of v.npy. Check --item-ids."
    )


@pytest.mark.parametrize(
    ("array", "found"), [(ITEMS[0], "float32 (8,)"), (np.array([["a"]]), "<U1 (1, 1)"), (ITEMS > 0, "bool (220, 8)")]
)
def test_a_npy_that_is_no_matrix_of_numbers(array, found, own):
    ids = own.text("ids.txt", "a")
    assert own.refusal(None, item_vectors=own.npy("v.npy", array), item_ids=ids) == (
        f"v.npy: found {found}, expected numbers of shape (rows, dimensions). "
        "Write it with numpy.save, one vector in each row."
    )


def test_a_npy_with_a_nan(own):
    vectors = ITEMS.copy()
    vectors[2, 2] = np.inf
    ids = own.text("ids.txt", "\n".join(ITEM_IDS))
    assert own.refusal(None, item_vectors=own.npy("v.npy", vectors), item_ids=ids) == (
        "v.npy, row 2 (the first row is 0): found NaN, infinity or null, expected finite numbers. "
        "Fix the vectors or remove the rows; a NaN often comes from dividing by the norm of a zero vector."
    )


def test_files_that_are_no_npy(own):
    ids = own.text("ids.txt", "a")
    hint = "Write it with numpy.save, without objects in it."
    np.savez(own.path("v.npz"), ITEMS)
    assert own.refusal(None, item_vectors=own.path("v.npz"), item_ids=ids) == (
        "v.npz cannot be read as .npy: found the magic string is not correct; expected b'\\x93NUMPY', "
        f"got b'PK\\x03\\x04-\\x00'. {hint}"
    )
    np.save(own.path("o.npy"), np.array([[None]]), allow_pickle=True)
    assert own.refusal(None, item_vectors=own.path("o.npy"), item_ids=ids) == (
        f"o.npy cannot be read as .npy: found Array can't be memory-mapped: Python objects in dtype. {hint}"
    )
    cut = own.npy("cut.npy", ITEMS)
    cut.write_bytes(cut.read_bytes()[:1_000])
    assert own.refusal(None, item_vectors=cut, item_ids=ids).startswith("cut.npy cannot be read as .npy: found ")


def test_a_npy_without_rows(own):
    ids = own.text("ids.txt", "a")
    assert own.refusal(None, item_vectors=own.npy("v.npy", ITEMS[:0]), item_ids=ids) == (
        "v.npy: found 0 vectors of 8 numbers. Write the file again, with the vectors."
    )


def test_a_npy_that_is_not_there(own):
    ids = own.text("ids.txt", "a")
    assert own.refusal(None, item_vectors=own.path("none.npy"), item_ids=ids) == (
        "none.npy: found nothing at this path, expected a .npy file. Check --item-vectors."
    )
